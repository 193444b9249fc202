"""Credentials: whose tokens count, for what, and until when."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

OIDC = "unit/auth/test_oidc"
STATES = "unit/auth/test_key_states"
FORGED = "integration/test_forged_tokens"
KEYS = "integration/test_api_keys"
RENEWAL = "integration/test_ws_authorize"

BUGS = (
    PlantedBug(
        name="a token for somebody else is accepted",
        sentence="Whoever runs another service of the same issuer can use the tokens of its users here.",
        file="auth/oidc.py",
        old="return reading.is_for(claims, rule.audience_claim, frozenset(rule.audience)) and all(",
        new="return all(",
        selection=noticed_by(FORGED, "test_none_is_accepted_by_http"),
    ),
    PlantedBug(
        name="an issuer's token is verified by a secret if it says so",
        sentence="The token chooses by its header who verifies it.",
        file="auth/credentials.py",
        old="if told is not None and self._oidc is not None and self._oidc.knows(told.issuer):",
        new="if told is not None and self._oidc is not None and self._oidc.knows(told.issuer) "
        "and told.algorithm != ALGORITHM:",
        selection=noticed_by(FORGED, "test_none_is_accepted_by_http"),
    ),
    PlantedBug(
        name="any type of token signs in",
        sentence="A logout token of the issuer's lets somebody in.",
        file="auth/jws.py",
        old="        if kind not in _TYPES:\n",
        new="        if kind is None:\n",
        selection=noticed_by(FORGED, "test_none_is_accepted_by_http"),
    ),
    PlantedBug(
        name="a key that is gone still counts",
        sentence="What was verified once is believed although the issuer has taken its key back.",
        file="auth/oidc.py",
        old="changed=self._remembered.clear,",
        new="changed=lambda: None,",
        selection=noticed_by(OIDC, "test_a_key_that_is_gone_does_not_count_any_more_even_for_a_token_that_was_good"),
    ),
    PlantedBug(
        name="each unknown key is fetched for",
        sentence="Whoever sends tokens with made-up key names makes the server attack its issuer.",
        file="auth/jwks.py",
        old="return monotonic() >= self._tried_at + self._cooldown_seconds",
        new="return True",
        selection=noticed_by(OIDC, "test_unknown_keys_cause_no_more_than_a_fetch_each_half_minute"),
    ),
    PlantedBug(
        name="keys are dropped when a fetch fails",
        sentence="An issuer that is down for a moment locks everybody out.",
        file="auth/jwks.py",
        old="            self._failed = True\n            reason",
        new="            self._failed = True\n            self._keys = ()\n            reason",
        selection=noticed_by(OIDC, "test_an_issuer_that_breaks_keeps_its_keys"),
    ),
    PlantedBug(
        name="sockets outlive their API key",
        sentence="A revoked key is refused, but who is connected with it is told everything for ever.",
        file="auth/key_states.py",
        old="                _end(watch, error)\n        if key is None:",
        new="                error.add_note(watch.use.key)\n        if key is None:",
        selection=noticed_by(STATES, "test_a_revoked_key_ends_all_who_watch_it_and_nobody_else"),
    ),
    PlantedBug(
        name="without the store every key counts for ever",
        sentence="Whoever keeps a node from its store keeps a revoked key alive.",
        file="auth/key_states.py",
        old="            if now - held.looked_at >= TRUSTED_SECONDS:\n                for",
        new="            if now < held.looked_at:\n                for",
        selection=noticed_by(STATES, "test_without_the_store_what_is_known_counts_for_a_while_and_then_nobody_can_say"),
    ),
    PlantedBug(
        name="scopes are not asked for",
        sentence="A key that may only read writes.",
        file="api/engine.py",
        old="        context.require(_NEEDED[self.kind])\n",
        new="",
        selection=noticed_by(KEYS, "test_scopes_say_which_operations_there_are"),
    ),
    PlantedBug(
        name="a connection is renewed for somebody else",
        sentence="With a fresh token of one identity a socket goes on to deliver what another one may see.",
        file="web/renewal.py",
        old="if credential.viewer.identity != before.viewer.identity:",
        new="if credential.viewer.identity != credential.viewer.identity:",
        selection=noticed_by(RENEWAL, "test_a_token_that_will_not_do_changes_nothing"),
    ),
    PlantedBug(
        name="a renewed connection never ends",
        sentence="The end of the fresh token is not looked at.",
        file="web/connection.py",
        old="            self._adopt(credential)\n            self._sender.put(AUTHORIZE_ACK)",
        new="            self._heartbeat.expires_at = None\n            self._sender.put(AUTHORIZE_ACK)",
        selection=noticed_by(RENEWAL, "test_what_was_renewed_ends_when_the_new_token_does"),
    ),
    PlantedBug(
        name="a login that has data becomes somebody else",
        sentence="Linking a login takes its data from it.",
        file="storage/sqlite_identities.py",
        old='if connection.execute(self._sql["has_data"], {"identity": before}).get:',
        new="if before == identity:",
        selection=noticed_by("contract/test_store_identities", "test_a_login_whose_identity_has_data_stays_what_it_is"),
    ),
)

"""Guests: signing in loses nothing, does nothing twice, and ends what the guest may."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

CORE = "unit/core/test_linking"
CONTRACT = "contract/test_store_linking"
HTTP = "integration/test_guests"
NODES = "integration/postgres/test_postgres_linking"
PROPERTY = ("tests/property/test_core_linking.py",)

BUGS = (
    PlantedBug(
        name="a merge prefers the guest",
        sentence="Where both have a field, the guest's takes the place of the account's.",
        file="core/linking.py",
        old="unparsed({**ours, **added})",
        new="unparsed({**ours, **theirs})",
        selection=noticed_by(CORE, "test_fields_that_only_the_guest_has_are_added_although_others_differ"),
    ),
    PlantedBug(
        name="a conflict is not reported",
        sentence="What differs is decided without a word.",
        file="core/linking.py",
        old="                if differ:\n",
        new="                if False:\n",
        selection=PROPERTY,
    ),
    PlantedBug(
        name="a merge obeys no limit",
        sentence="The account's dataset grows over its limits.",
        file="core/linking.py",
        old="        self._request.limits.check_growth(\n",
        new="        (lambda **_: None)(\n",
        selection=noticed_by(CORE, "test_a_merge_over_a_limit_is_an_error_that_names_it"),
    ),
    PlantedBug(
        name="the guest's receipts stay behind",
        sentence="A push whose answer was lost before the link is applied once more after it.",
        file="storage/sqlite_writes.py",
        old='("hand_over_deleted", "hand_over_members", "hand_over_receipts")',
        new='("hand_over_deleted", "hand_over_members")',
        selection=noticed_by(CONTRACT, "test_a_push_whose_answer_was_lost_has_no_second_effect_after_the_link"),
    ),
    PlantedBug(
        name="a linked guest goes on writing",
        sentence="What it writes is in datasets that nobody sees any more.",
        file="storage/sqlite_lookups.py",
        old="        if may_be_guest(identity) and self.linked_guests([identity]):\n",
        new="        if False:\n",
        selection=noticed_by(CONTRACT, "test_whatever_a_linked_guest_does_is_refused"),
    ),
    PlantedBug(
        name="a sync that was decided before the link is written after it",
        sentence="A node does not notice that its guest was linked by another one.",
        file="storage/postgres_linking.py",
        old='        await connection.execute(sql["lock_owner"], owner)\n',
        new="        pass\n",
        selection=noticed_by(NODES, "test_a_sync_that_was_decided_before_the_link_and_not_written_is_refused"),
    ),
    PlantedBug(
        name="the guest's other device is not told",
        sentence="Its socket stays open, and hears nothing.",
        file="web/connection.py",
        old="                if credential.guest:\n",
        new="                if False:\n",
        selection=noticed_by(HTTP, "test_a_socket_whose_hint_was_lost_is_closed_by_the_sweep"),
    ),
    PlantedBug(
        name="a linked guest's token is renewed",
        sentence="Who is disabled gets a fresh token.",
        file="service/guests.py",
        old="        await self.standings.look(viewer.identity)\n",
        new="",
        selection=noticed_by(HTTP, "test_a_linked_guest_is_refused_whatever_it_asks_and_is_not_renewed"),
    ),
)

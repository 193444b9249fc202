"""Tokens of an issuer of others: whose keys count, for how long, and what happens when the issuer is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from syncline.auth import jwks
from syncline.auth.jws import unverified
from syncline.auth.oidc import OidcVerifier, SignedIn
from syncline.core.ids import Tenant
from syncline.errors import CredentialExpired, CredentialUnavailable, Unauthenticated
from syncline.ports import Issuer, Login, Subject
from syncline.sign_in import OidcIssuer
from tests.support.oidc_provider import AUDIENCE, DISCOVERY, JWKS, Provider, provider, rsa_key

PATIENCE_SECONDS = 20.0


@pytest.fixture
def issuer() -> Iterator[Provider]:
    with provider() as each:
        yield each


def trusting(issuer: Provider, **more: Any) -> OidcIssuer:
    return OidcIssuer.model_validate({"issuer": issuer.issuer, "audience": [AUDIENCE], **more})


@asynccontextmanager
async def verifying(
    *settings: OidcIssuer, tenant_claim: str | None = None, cooldown: float = 30.0, fetch: float = 5.0
) -> AsyncIterator[OidcVerifier]:
    verifier = OidcVerifier(
        settings,
        lambda: datetime.now(UTC),
        tenant_claim=tenant_claim,
        cooldown_seconds=cooldown,
        fetch_seconds=fetch,
    )
    verifier.start()
    try:
        yield verifier
    finally:
        await verifier.close()


async def verified(verifier: OidcVerifier, token: str) -> SignedIn:
    told = unverified(token)
    assert told is not None
    return await verifier.verify(token, told)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        *(("rsa-1", name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("ec-1", "ES256"),
        ("ec-384", "ES384"),
        ("ec-521", "ES512"),
        ("ed-1", "EdDSA"),
    ],
)
async def test_a_token_is_good_with_each_algorithm(issuer: Provider, key: str, algorithm: str) -> None:
    async with verifying(trusting(issuer)) as verifier:
        signed_in = await verified(verifier, issuer.token("ada", key=key, algorithm=algorithm, did="phone"))

    assert signed_in.login == Login(issuer=Issuer(issuer.issuer), subject=Subject("ada"))
    assert signed_in.device == "phone"
    assert timedelta(seconds=620) < signed_in.expires_at - datetime.now(UTC) < timedelta(seconds=631)


async def test_claims_may_have_other_names(issuer: Provider) -> None:
    # As in access tokens of Cognito's user pools.
    setting = trusting(
        issuer,
        audienceClaim="client_id",
        identityClaim="username",
        deviceClaim="device_key",
        required={"use": "access"},
    )
    token = issuer.token(
        "uuid", aud=..., client_id=AUDIENCE, username="ada", device_key="d-1", use="access", org="acme"
    )
    async with verifying(setting, tenant_claim="org") as verifier:
        signed_in = await verified(verifier, token)
        with pytest.raises(Unauthenticated, match="another audience, or of another kind"):
            await verified(verifier, issuer.token(aud=..., client_id=AUDIENCE, username="ada", use="id", org="acme"))
        with pytest.raises(Unauthenticated, match="has no org"):
            await verified(verifier, issuer.token(aud=..., client_id=AUDIENCE, username="ada", use="access"))

    assert (signed_in.login.subject, signed_in.login.tenant, signed_in.device) == ("ada", Tenant("acme"), "d-1")


async def test_an_issuer_may_have_tokens_of_two_kinds(issuer: Provider) -> None:
    settings = [
        trusting(issuer, required={"use": "id"}),
        trusting(issuer, audienceClaim="client_id", required={"use": "access"}),
    ]
    async with verifying(*settings) as verifier:
        await verified(verifier, issuer.token(use="id"))
        await verified(verifier, issuer.token(aud=..., client_id=AUDIENCE, use="access"))
        with pytest.raises(Unauthenticated):
            await verified(verifier, issuer.token(aud=..., client_id=AUDIENCE, use="id"))

    assert issuer.requests.count(JWKS) == 1


async def test_a_clock_may_be_half_a_minute_off(issuer: Provider) -> None:
    now = int(datetime.now(UTC).timestamp())
    async with verifying(trusting(issuer)) as verifier:
        await verified(verifier, issuer.token(exp=now - 20))
        await verified(verifier, issuer.token(iat=now + 20, nbf=now + 20))
        with pytest.raises(CredentialExpired):
            await verified(verifier, issuer.token(exp=now - 31))
        with pytest.raises(Unauthenticated, match="not valid yet"):
            await verified(verifier, issuer.token(iat=now + 60))
        with pytest.raises(Unauthenticated, match="not valid yet"):
            await verified(verifier, issuer.token(nbf=now + 60))


async def test_many_tokens_at_once_are_one_fetch(issuer: Provider) -> None:
    issuer.hold.clear()
    async with verifying(trusting(issuer)) as verifier:
        waiting = [asyncio.create_task(verified(verifier, issuer.token(f"ada {number}"))) for number in range(50)]
        await asyncio.sleep(0)
        issuer.hold.set()
        await asyncio.gather(*waiting)

    assert issuer.requests == [DISCOVERY, JWKS]


async def test_a_new_key_counts_at_once_and_the_old_one_goes_on(issuer: Provider) -> None:
    async with verifying(trusting(issuer), cooldown=0) as verifier:
        old = issuer.token()
        await verified(verifier, old)
        issuer.keys["rsa-2"] = rsa_key("rsa-2")
        issuer.published.append("rsa-2")

        await verified(verifier, issuer.token(key="rsa-2"))
        await verified(verifier, old)


async def test_a_key_that_is_gone_does_not_count_any_more_even_for_a_token_that_was_good(issuer: Provider) -> None:
    async with verifying(trusting(issuer), cooldown=0) as verifier:
        old = issuer.token()
        await verified(verifier, old)
        issuer.keys["rsa-2"] = rsa_key("rsa-2")
        issuer.published = ["rsa-2"]
        await verified(verifier, issuer.token(key="rsa-2"))

        with pytest.raises(Unauthenticated, match="a key that its issuer has now"):
            await verified(verifier, old)


async def test_another_key_of_the_same_name_takes_the_place_of_the_old_one(issuer: Provider) -> None:
    async with verifying(trusting(issuer), cooldown=0) as verifier:
        old = issuer.token(key="ec-1")
        await verified(verifier, old)
        issuer.keys["ec-1"] = ec.generate_private_key(ec.SECP256R1())
        with pytest.raises(Unauthenticated):
            await verified(verifier, issuer.token(header={"kid": "x"}))

        await verified(verifier, issuer.token(key="ec-1"))
        with pytest.raises(Unauthenticated):
            await verified(verifier, old)


async def test_keys_are_looked_at_anew_by_age(issuer: Provider) -> None:
    keys = jwks.KeySet(issuer.issuer, jwks_url=None, refresh_seconds=0.05, changed=lambda: None, cooldown_seconds=3_600)
    keys.start()
    try:
        assert await keys.candidates("rsa-1", "RS256")
        issuer.keys["rsa-2"] = rsa_key("rsa-2")
        issuer.published.append("rsa-2")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await keys.candidates("rsa-2", "RS256"):  # noqa: ASYNC110 # nobody rings
                await asyncio.sleep(0.01)
    finally:
        await keys.close()


async def test_unknown_keys_cause_no_more_than_a_fetch_each_half_minute(issuer: Provider) -> None:
    async with verifying(trusting(issuer)) as verifier:
        await verified(verifier, issuer.token())
        for number in range(20):
            with pytest.raises(Unauthenticated):
                await verified(verifier, issuer.token(header={"kid": f"unknown {number}"}))

    assert issuer.requests.count(JWKS) == 1
    assert jwks.COOLDOWN_SECONDS == 30


def html() -> tuple[int, bytes]:
    return 200, b"<html>we are down for maintenance</html>"


def huge() -> tuple[int, bytes]:
    return 200, b'{"keys": [' + b" " * 5_000_000 + b"]}"


BROKEN: dict[str, tuple[str, Any]] = {
    "HTML": (JWKS, html),
    "huge": (JWKS, huge),
    "no keys": (JWKS, lambda: (200, b'{"keys": []}')),
    "keys that are none": (JWKS, lambda: (200, b'{"keys": [1, {"kty": "RSA"}, {"kty": "oct", "k": "AAAA"}]}')),
    "deep": (JWKS, lambda: (200, b"[" * 100_000)),
    "an error": (JWKS, lambda: (500, b"{}")),
    "a redirect": (JWKS, lambda: (302, b"")),
    "another issuer": (DISCOVERY, lambda: (200, b'{"issuer": "https://evil.example", "jwks_uri": "https://x"}')),
    "no discovery": (DISCOVERY, lambda: (404, b"{}")),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_an_issuer_that_breaks_keeps_its_keys(issuer: Provider, fault: str) -> None:
    path, answer = BROKEN[fault]
    async with verifying(trusting(issuer), cooldown=0) as verifier:
        await verified(verifier, issuer.token())
        issuer.answers[path] = answer
        with pytest.raises(CredentialUnavailable):
            await verified(verifier, issuer.token(header={"kid": "new"}))

        await verified(verifier, issuer.token("bob"))


@pytest.mark.parametrize("fault", BROKEN)
async def test_while_the_keys_were_never_seen_nobody_can_say_that_a_token_is_bad(issuer: Provider, fault: str) -> None:
    path, answer = BROKEN[fault]
    issuer.answers[path] = answer
    async with verifying(trusting(issuer), cooldown=0) as verifier:
        with pytest.raises(CredentialUnavailable):
            await verified(verifier, issuer.token())
        issuer.answers.clear()

        await verified(verifier, issuer.token())


async def test_a_slow_issuer_holds_up_nobody_whose_key_is_known(issuer: Provider) -> None:
    async with verifying(trusting(issuer), cooldown=0, fetch=0.3) as verifier:
        await verified(verifier, issuer.token())
        issuer.hold.clear()
        unknown = asyncio.create_task(verified(verifier, issuer.token(header={"kid": "new"})))
        while len(issuer.requests) < 3:  # noqa: ASYNC110 # nobody rings
            await asyncio.sleep(0.01)

        await verified(verifier, issuer.token("bob"))
        assert not unknown.done()
        with pytest.raises(CredentialUnavailable):
            await unknown


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_keys_that_are_not_for_signatures_of_ours_are_not_used(issuer: Provider) -> None:
    weak = rsa_key("weak", 1024)
    issuer.keys.update({"rsa-weak": weak, "rsa-enc": rsa_key("rsa-2"), "ec-bound": issuer.keys["ec-1"]})
    issuer.extra = [
        issuer.jwk("rsa-weak"),
        {**issuer.jwk("rsa-enc"), "use": "enc"},
        {**issuer.jwk("ec-bound"), "alg": "ES384"},
        {"kty": "oct", "kid": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
    ]
    async with verifying(trusting(issuer)) as verifier:
        for key in ("rsa-weak", "rsa-enc", "ec-bound"):
            with pytest.raises(Unauthenticated):
                await verified(verifier, issuer.token(key=key))


async def test_a_key_that_is_bound_to_an_algorithm_is_good_for_that_alone(issuer: Provider) -> None:
    issuer.published = []
    issuer.extra = [{**issuer.jwk("rsa-1"), "alg": "PS256"}]
    async with verifying(trusting(issuer)) as verifier:
        await verified(verifier, issuer.token(algorithm="PS256"))
        with pytest.raises(Unauthenticated):
            await verified(verifier, issuer.token(algorithm="RS256"))

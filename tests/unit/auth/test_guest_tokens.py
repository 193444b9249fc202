from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from syncline.auth.guest_tokens import GuestAuthenticator, JwtGuestTokens, is_guest_token
from syncline.auth.tokens import TokenAuthenticator, mint
from syncline.core.guests import guest_id, may_be_guest
from syncline.core.ids import DeviceId, IdentityId, Tenant
from syncline.core.model import Viewer
from syncline.errors import CredentialExpired, GuestLinked, Unauthenticated
from syncline.ports import Credential, Presented

SECRET = b"a secret of the tests, 32 bytes or more"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GUEST = Viewer(identity=guest_id(7), device=DeviceId("phone"))
ALICE = Viewer(identity=IdentityId("alice"), device=DeviceId("phone"))
A_DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> JwtGuestTokens:
    return JwtGuestTokens(SECRET, clock, lifetime=30 * A_DAY, renewal=365 * A_DAY)


async def nobody_is_linked(_guest: IdentityId) -> None:
    return


@pytest.fixture
def authenticator(tokens: JwtGuestTokens, clock: Clock) -> GuestAuthenticator:
    return GuestAuthenticator(tokens, clock, nobody_is_linked, otherwise=TokenAuthenticator(SECRET, clock))


async def test_a_guests_token_stands_for_guest_and_device_until_it_expires(
    tokens: JwtGuestTokens, authenticator: GuestAuthenticator, clock: Clock
) -> None:
    token = tokens.mint(GUEST)
    assert (token.expires_at, token.renewable_until) == (NOW + 30 * A_DAY, NOW + 395 * A_DAY)
    credential = await authenticator.authenticate(Presented(token=token.text))
    assert credential == Credential(viewer=GUEST, expires_at=token.expires_at, guest=True)
    clock.now = token.expires_at - timedelta(seconds=1)
    await authenticator.authenticate(Presented(token=token.text))
    clock.now = token.expires_at
    with pytest.raises(CredentialExpired):
        await authenticator.authenticate(Presented(token=token.text))


def test_it_can_be_read_for_renewal_as_long_as_promised(tokens: JwtGuestTokens, clock: Clock) -> None:
    token = tokens.mint(GUEST)
    clock.now = token.renewable_until - timedelta(seconds=1)
    assert tokens.read(token.text) == GUEST
    clock.now = token.renewable_until
    with pytest.raises(CredentialExpired):
        tokens.read(token.text)


def test_a_guest_of_a_tenant_stays_one(tokens: JwtGuestTokens) -> None:
    viewer = Viewer(identity=guest_id(7, Tenant("acme")), device=DeviceId("phone"))
    assert tokens.read(tokens.mint(viewer).text) == viewer


async def test_other_tokens_are_left_to_the_other_authenticator(authenticator: GuestAuthenticator) -> None:
    credential = await authenticator.authenticate(Presented(token=mint(SECRET, ALICE, A_DAY, NOW)))
    assert (credential.viewer, credential.guest) == (ALICE, False)
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(Presented(token="junk"))  # noqa: S106


async def test_a_linked_guest_is_refused_also_with_a_token_that_has_expired(
    tokens: JwtGuestTokens, clock: Clock
) -> None:
    async def all_are_linked(_guest: IdentityId) -> None:
        raise GuestLinked

    authenticator = GuestAuthenticator(tokens, clock, all_are_linked, otherwise=TokenAuthenticator(SECRET, clock))
    token = tokens.mint(GUEST)
    with pytest.raises(GuestLinked):
        await authenticator.authenticate(Presented(token=token.text))
    clock.now = token.expires_at + A_DAY
    with pytest.raises(GuestLinked):
        await authenticator.authenticate(Presented(token=token.text))


# --- what is not one of ours ------------------------------------------------------------------------------------------


def signed(key: bytes, *, alg: str = "HS256", typ: str = "guest+jwt", **changes: Any) -> str:
    claims = {"sub": GUEST.identity, "did": "phone", "exp": int((NOW + A_DAY).timestamp())}
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not ...}
    return jwt.encode(claims, key, algorithm=alg, headers={"typ": typ})


def unsigned(tokens: JwtGuestTokens) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = tokens.mint(GUEST).text.split(".")[1]
    return f"{part({'alg': 'none', 'typ': 'guest+jwt'})}.{body}."


async def test_what_is_signed_with_the_secret_of_all_tokens_is_no_guests(
    tokens: JwtGuestTokens, authenticator: GuestAuthenticator
) -> None:
    """Whoever may make tokens for accounts may not thereby make guests', and the other way round."""
    for token in (signed(SECRET), signed(SECRET * 2, alg="HS512"), unsigned(tokens)):
        with pytest.raises(Unauthenticated):
            tokens.read(token)
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(Presented(token=token))
    # A guest's token that says it is another kind is verified as such, and is none.
    header, body, signature = tokens.mint(GUEST).text.split(".")
    plain = jwt.encode({}, b"x" * 32).split(".")[0]
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(Presented(token=f"{plain}.{body}.{signature}"))
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(Presented(token=f"{header}.{body}.{signature[:-4]}AAAA"))


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "alice"},
        {"sub": "guest-1"},
        {"sub": 1},
        {"sub": ...},
        {"did": None},
        {"did": ""},
        {"did": ...},
        {"exp": "soon"},
        {"exp": 10**30},
        {"exp": ...},
        {"tenant": 5},
    ],
    ids=str,
)
async def test_a_token_with_wrong_claims_is_refused_even_if_it_is_signed(
    tokens: JwtGuestTokens, authenticator: GuestAuthenticator, changes: dict[str, Any]
) -> None:
    token = signed(tokens._key, **changes)
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(Presented(token=token))


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "x" * 10_000, "\x00", "ü.ü.ü", "e30.e30."])
def test_whatever_text_is_no_guests_token(text: str) -> None:
    assert not is_guest_token(text)


def test_only_what_the_server_makes_looks_like_a_guests_id() -> None:
    assert may_be_guest(guest_id(0))
    assert may_be_guest(guest_id(2**128 - 1, Tenant("acme")))
    for text in ("guest", "guest-", "guest-1", "Guest-" + "0" * 32, "guest-" + "0" * 33, "guest-" + "0" * 32 + "\n"):
        assert not may_be_guest(IdentityId(text))

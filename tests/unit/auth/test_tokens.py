"""Tokens: what is accepted, for how long, and that nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from syncline.auth import tokens
from syncline.auth.tokens import TokenAuthenticator, mint
from syncline.core.ids import DeviceId, IdentityId
from syncline.core.model import Viewer
from syncline.errors import Unauthenticated
from syncline.ports import Credential, Presented

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALICE = Viewer(identity=IdentityId("alice"), device=DeviceId("phone"))
NO_JWT = "a.b.c"
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: object, claims: object, secret: bytes = SECRET) -> str:
    """A token made without the product's or any library's help; texts are taken as they are."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    text = ".".join(segment(part.encode("utf-8", "surrogatepass")) for part in parts)
    return f"{text}.{segment(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def claiming(**claims: Any) -> str:
    given = {"sub": "alice", "exp": int(NOW.timestamp()) + 60, **claims}
    return signed({"alg": "HS256"}, {name: claim for name, claim in given.items() if claim is not ...})


async def accepted(token: str, clock: Clock | None = None) -> Credential:
    return await TokenAuthenticator(SECRET, clock or Clock()).authenticate(Presented(token=token))


async def test_a_minted_token_stands_for_its_viewer_until_it_expires() -> None:
    credential = await accepted(mint(SECRET, ALICE, timedelta(minutes=5), NOW))

    assert credential == Credential(viewer=ALICE, expires_at=NOW + timedelta(minutes=5))


async def test_a_token_without_device_stands_for_the_identity_alone() -> None:
    nobody = Viewer(identity=IdentityId("ålice 🙂"), device=None)

    credential = await accepted(mint(SECRET, nobody, timedelta(minutes=5), NOW))

    assert credential.viewer == nobody


async def test_a_token_made_elsewhere_with_the_same_secret_is_accepted() -> None:
    token = jwt.encode({"sub": "bob", "did": "pad", "exp": NOW + timedelta(hours=1), "role": "x"}, SECRET, "HS256")

    credential = await accepted(token)

    assert credential.viewer == Viewer(identity=IdentityId("bob"), device=DeviceId("pad"))


async def test_a_token_ends_at_its_exp_also_when_it_was_accepted_before() -> None:
    clock = Clock()
    authenticator = TokenAuthenticator(SECRET, clock)
    token = mint(SECRET, ALICE, timedelta(seconds=60), NOW)
    clock.now = NOW + timedelta(seconds=59, microseconds=999_999)
    await authenticator.authenticate(Presented(token=token))

    clock.now = NOW + timedelta(seconds=60)

    with pytest.raises(Unauthenticated, match="has expired"):
        await authenticator.authenticate(Presented(token=token))


async def test_a_token_begins_at_its_nbf_give_or_take_a_clock() -> None:
    clock = Clock()
    authenticator = TokenAuthenticator(SECRET, clock)
    token = claiming(nbf=int(NOW.timestamp()) + 30)

    with pytest.raises(Unauthenticated, match="not valid yet"):
        await authenticator.authenticate(Presented(token=token))
    clock.now = NOW + timedelta(seconds=20)

    assert (await authenticator.authenticate(Presented(token=token))).viewer.identity == "alice"


async def test_a_fraction_of_a_second_of_lifetime_is_rounded_up() -> None:
    credential = await accepted(mint(SECRET, ALICE, timedelta(milliseconds=1), NOW))

    assert credential.expires_at == NOW + timedelta(seconds=1)


@pytest.mark.parametrize("iat", [0, 10**12, "yesterday", None])
async def test_when_a_token_was_made_is_of_no_concern(iat: object) -> None:
    assert (await accepted(claiming(iat=iat))).viewer.identity == "alice"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": ...}, "has no exp"),
        ({"exp": None}, "has no exp"),
        ({"exp": "1799999999"}, "exp is no number"),
        ({"exp": True}, "exp is no number"),
        ({"exp": [1]}, "exp is no number"),
        ({"exp": 1_799_999_999_000}, "exp is no time in seconds"),
        ({"exp": 10**400}, "exp is no time in seconds"),
        ({"exp": float("inf")}, "exp is no time in seconds"),
        ({"exp": float("nan")}, "exp is no time in seconds"),
        ({"exp": -1}, "has expired"),
        ({"nbf": "x"}, "nbf is no number"),
        ({"sub": ...}, "has no sub"),
        ({"sub": None}, "has no sub"),
        ({"sub": 7}, "sub is no string"),
        ({"sub": ["alice"]}, "sub is no string"),
        ({"sub": ""}, "sub must be 1 to 256 bytes"),
        ({"sub": "a" * 257}, "sub must be 1 to 256 bytes"),
        ({"sub": "a\nb"}, "sub must be 1 to 256 bytes of printable"),
        ({"sub": "\ud800"}, "sub must be 1 to 256 bytes of printable"),
        ({"did": 7}, "did is no string"),
        ({"did": ""}, "did must be 1 to 256 bytes"),
        ({"aud": "another"}, "for another audience"),
        ({"aud": ["another"]}, "for another audience"),
    ],
)
async def test_signed_tokens_with_bad_claims_are_refused_with_the_reason(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        await accepted(claiming(**claims))


CLAIMS = {"sub": "alice", "exp": int(NOW.timestamp()) + 60}


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "no JWT"),
        ("a", "no JWT"),
        ("a.b", "no JWT"),
        ("a.b.c.d", "no JWT"),
        ("a.b.c\n", "no JWT"),
        ("ä.ö.ü", "no JWT"),
        ("a.b.\ud800", "no JWT"),
        ("....", "no JWT"),
        ("a.b.c", "no valid JWT"),
        ("e30.e30.", "alg is not HS256"),
        (signed({"alg": "none"}, CLAIMS), "alg is not HS256"),
        (signed({"alg": "none"}, CLAIMS).rpartition(".")[0] + ".", "alg is not HS256"),
        (signed({"alg": "None"}, CLAIMS), "alg is not HS256"),
        (signed({"alg": "hs256"}, CLAIMS), "alg is not HS256"),
        (signed({"alg": ""}, CLAIMS), "alg is not HS256"),
        (signed({"alg": None}, CLAIMS), "alg is not HS256"),
        (signed({"alg": ["HS256"]}, CLAIMS), "alg is not HS256"),
        (signed({"alg": {"HS256": 1}}, CLAIMS), "alg is not HS256"),
        (signed({}, CLAIMS), "alg is not HS256"),
        (jwt.encode(CLAIMS, SECRET * 2, "HS512"), "alg is not HS256"),
        (jwt.encode(CLAIMS, SECRET * 2, "HS384"), "alg is not HS256"),
        (jwt.encode(CLAIMS, b"another secret of thirty-two bytes", "HS256"), "signature is not ours"),
        (signed({"alg": "HS256", "crit": ["exp"]}, CLAIMS), "no valid JWT"),
        (signed({"alg": "HS256", "crit": ["b64"], "b64": False}, CLAIMS), "no valid JWT"),
        (signed({"alg": "HS256", "kid": 7}, CLAIMS), "no valid JWT"),
        (signed([], CLAIMS), "no valid JWT"),
        (signed("nonsense", CLAIMS), "no valid JWT"),
        (signed('{"alg":"HS256","n":' + "1" * 5_000 + "}", CLAIMS), "no valid JWT"),
        (signed({"alg": "HS256"}, []), "no valid JWT"),
        (signed({"alg": "HS256"}, "alice"), "no valid JWT"),
        (signed({"alg": "HS256"}, "nonsense"), "no valid JWT"),
        (signed({"alg": "HS256"}, "[" * 5_000), "no valid JWT"),
        (signed({"alg": "HS256"}, "\ud800"), "no valid JWT"),
        (claiming(padding="x" * 8_192), "longer than 8192 bytes"),
        ("x" * 10_000_000, "longer than 8192 bytes"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
async def test_what_is_no_token_of_ours_is_refused_with_the_reason(token: str, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        await accepted(token)


@given(data=st.data())
async def test_a_token_tampered_with_anywhere_is_refused(data: st.DataObject) -> None:
    token = mint(SECRET, ALICE, timedelta(minutes=5), NOW)
    place = data.draw(st.integers(0, len(token) - 1))
    tampered = data.draw(
        st.one_of(
            st.sampled_from(BASE64URL + ".=+/ ").map(lambda character: token[:place] + character + token[place + 1 :]),
            st.text(BASE64URL, min_size=1, max_size=4).map(lambda text: token[:place] + text + token[place:]),
            st.integers(1, 4).map(lambda length: token[:place] + token[place + length :]),
            st.sampled_from(["=", "==", ".", " ", "\n", "\x00", "A"]).map(lambda text: token + text),
        )
    )
    assume(tampered != token)

    authenticator = TokenAuthenticator(SECRET, Clock())
    await authenticator.authenticate(Presented(token=token))
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(Presented(token=tampered))


@pytest.mark.parametrize("last", BASE64URL)
async def test_a_signature_has_one_spelling(last: str) -> None:
    token = mint(SECRET, ALICE, timedelta(minutes=5), NOW)
    other = token[:-1] + last

    if other == token:
        assert (await accepted(other)).viewer == ALICE
    else:
        with pytest.raises(Unauthenticated):
            await accepted(other)


@given(
    identity=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60),
    device=st.none() | st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60),
    seconds=st.integers(1, 10**9),
)
async def test_every_viewer_comes_back_from_its_token(identity: str, device: str | None, seconds: int) -> None:
    viewer = Viewer(identity=IdentityId(identity), device=None if device is None else DeviceId(device))

    credential = await accepted(mint(SECRET, viewer, timedelta(seconds=seconds), NOW))

    assert credential == Credential(viewer=viewer, expires_at=NOW + timedelta(seconds=seconds))


async def test_what_is_remembered_is_bounded_and_forgets_the_longest_unused_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED", 3)
    authenticator = TokenAuthenticator(SECRET, Clock())
    verified: list[str] = []
    decode = jwt.decode

    def counted(token: str, *rest: Any, **more: Any) -> Any:
        verified.append(token)
        return decode(token, *rest, **more)

    monkeypatch.setattr(jwt, "decode", counted)
    first, second, third, fourth = (claiming(sub=f"identity {number}") for number in range(4))

    for token in (first, second, third, first, fourth, first, second):
        await authenticator.authenticate(Presented(token=token))

    assert verified == [first, second, third, fourth, second]


async def test_a_refused_token_is_not_remembered() -> None:
    authenticator = TokenAuthenticator(SECRET, Clock())

    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(Presented(token=NO_JWT))

    assert len(authenticator._remembered) == 0

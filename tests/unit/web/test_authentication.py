from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncline.auth.tokens import TokenAuthenticator
from syncline.errors import CredentialExpired, Unauthenticated
from syncline.ports import Presented
from syncline.web.authentication import (
    credential_of_headers,
    credential_of_init,
    token_in_headers,
    token_in_payload,
)
from tests.support.web_server import SECRET, a_token, now


@pytest.mark.parametrize("value", [b"Bearer abc", b"bearer abc", b"BEARER  abc ", b" Bearer abc"])
def test_the_header_has_a_bearer_token(value: bytes) -> None:
    assert token_in_headers([(b"host", b"x"), (b"Authorization", value)]) == "abc"


@pytest.mark.parametrize("value", [b"", b"abc", b"Bearer", b"Bearer ", b"Basic abc", b"\xff\xfe"])
def test_another_header_is_refused_and_not_repeated(value: bytes) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        token_in_headers([(b"authorization", value)])
    assert "abc" not in refusal.value.message


def test_two_headers_are_refused() -> None:
    with pytest.raises(Unauthenticated):
        token_in_headers([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")])


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": "Bearer abc"},
        {"Authorization": "abc"},
        {"AUTHORIZATION": "bearer abc"},
        {"headers": {"Authorization": "Bearer abc"}},
        {"Headers": {"authorization": " abc "}, "authorization": None},
        {"headers": [], "authorization": "abc"},
        {"authorization": "abc", "headers": {"authorization": "Bearer abc"}},
    ],
)
def test_the_payload_of_init_has_a_token(payload: dict[str, Any]) -> None:
    assert token_in_payload(payload) == "abc"


@pytest.mark.parametrize("payload", [None, {}, {"token": "abc"}, {"authorization": ""}, {"headers": {}}])
def test_a_payload_may_have_no_token(payload: dict[str, Any] | None) -> None:
    assert token_in_payload(payload) is None


@pytest.mark.parametrize(
    "payload",
    [{"authorization": 1}, {"authorization": ["abc"]}, {"authorization": "a", "Authorization": "b"}],
)
def test_a_payload_whose_token_is_unclear_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        token_in_payload(payload)


async def test_the_payload_wins_over_the_header_of_the_upgrade() -> None:
    authenticator = TokenAuthenticator(SECRET, now)
    headers = [(b"authorization", b"Bearer " + a_token(device="header").encode())]
    by_payload = await credential_of_init(authenticator, {"authorization": a_token(device="payload")}, headers)
    by_header = await credential_of_init(authenticator, {}, headers)
    assert (by_payload.viewer.device, by_header.viewer.device) == ("payload", "header")


async def test_a_socket_needs_a_token_and_a_request_does_not() -> None:
    authenticator = TokenAuthenticator(SECRET, now)
    assert await credential_of_headers(authenticator, []) is None
    with pytest.raises(Unauthenticated):
        await credential_of_init(authenticator, None, [])


async def test_an_expired_token_is_told_from_a_bad_one() -> None:
    authenticator = TokenAuthenticator(SECRET, now)
    expired = a_token(lifetime=timedelta(seconds=1), at=now() - timedelta(hours=1))
    with pytest.raises(CredentialExpired):
        await authenticator.authenticate(Presented(token=expired))
    with pytest.raises(Unauthenticated) as refusal:
        await authenticator.authenticate(Presented(token=expired[:-4] + "AAAA"))
    assert not isinstance(refusal.value, CredentialExpired)

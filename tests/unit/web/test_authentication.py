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
    presented_in_headers,
    presented_in_payload,
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


def test_what_is_presented_shows_no_secret() -> None:
    presented = presented_in_payload({"authorization": "a-canary"}, [(b"x-canary", b"a-canary")], "192.0.2.1")

    assert "canary" not in repr(presented)
    assert presented.address == "192.0.2.1"


@pytest.mark.parametrize(
    "payload",
    [
        {"apiKey": "k", "device": "d", "actAs": "a", "actAsDevice": "t"},
        {"x-api-key": "k", "X-Syncline-Device": "d", "headers": {"X-Act-As": "a", "x-act-as-device": "t"}},
        {"APIKEY": "k", "x-api-key": "k", "Device": "d", "actas": "a", "actasdevice": "t"},
    ],
)
def test_a_payload_may_have_an_api_key_and_for_whom_it_acts(payload: dict[str, Any]) -> None:
    assert presented_in_payload(payload) == Presented(api_key="k", device="d", act_as="a", act_as_device="t")


def test_headers_may_have_an_api_key_and_for_whom_it_acts() -> None:
    headers = [(b"X-Api-Key", b"k"), (b"x-syncline-device", b"d"), (b"x-act-as", "ä".encode()), (b"cookie", b"c")]

    assert presented_in_headers(headers) == Presented(api_key="k", device="d", act_as="ä", headers=headers)
    assert presented_in_payload({"device": "other"}, headers).device == "other"
    # A payload that has a credential has all of it.
    assert presented_in_payload({"authorization": "t"}, headers).api_key is None


@pytest.mark.parametrize("name", [b"x-api-key", b"x-syncline-device", b"x-act-as", b"x-act-as-device"])
def test_a_header_that_is_there_twice_or_is_no_text_is_refused(name: bytes) -> None:
    for headers in ([(name, b"a"), (name, b"a")], [(name, b"\xff")]):
        with pytest.raises(Unauthenticated):
            presented_in_headers(headers)


@pytest.mark.parametrize("payload", [{"apiKey": 1}, {"device": {}}, {"apiKey": "a", "x-api-key": "b"}])
def test_a_payload_whose_api_key_is_unclear_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        presented_in_payload(payload)

"""Finding the token in a header and in the payload of ``connection_init``."""

from __future__ import annotations

import pytest

from syncline.auth.bearer import token_from_header, token_from_init
from syncline.errors import Unauthenticated

TOKEN = "abc.DEF-123.x_y~z+/=="  # noqa: S105 # every character that a token may have, and no secret


@pytest.mark.parametrize(
    "value",
    [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER {TOKEN}", f"Bearer   {TOKEN}", f"  Bearer {TOKEN}  "],
)
def test_the_token_is_found_in_a_header(value: str) -> None:
    assert token_from_header(value) == TOKEN


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "send a token as"),
        ("", "send a token as"),
        ("   ", "send a token as"),
        (TOKEN, "must be of the form 'Bearer <token>'"),
        (f"Basic {TOKEN}", "must be of the form 'Bearer <token>'"),
        (f"Bearer\t{TOKEN}", "must be of the form 'Bearer <token>'"),
        ("Bearer", "the token is empty"),
        ("Bearer  ", "the token is empty"),
        (f"Bearer {TOKEN} {TOKEN}", "characters that no token has"),
        (f"Bearer {TOKEN}, Bearer {TOKEN}", "characters that no token has"),
        (f"Bearer {TOKEN}\nx", "characters that no token has"),
        ('Bearer "abc"', "characters that no token has"),
        ("Bearer tökén", "characters that no token has"),
        ("Bearer =abc", "characters that no token has"),
    ],
)
def test_other_headers_are_refused_with_the_reason(value: str | None, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        token_from_header(value)


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer {TOKEN}"},
        {"AUTHORIZATION": TOKEN},
        {"aUtHoRiZaTiOn": f" Bearer  {TOKEN} "},
        {"headers": {"authorization": f"Bearer {TOKEN}"}},
        {"headers": {"Authorization": TOKEN}},
        {"Headers": {"Authorization": TOKEN}},
        {"headers": None, "authorization": TOKEN},
        {"headers": "x", "authorization": TOKEN, "other": [1]},
        {"authorization": TOKEN, "headers": {"Authorization": f"Bearer {TOKEN}"}},
    ],
)
def test_the_token_is_found_in_a_payload(payload: object) -> None:
    assert token_from_init(payload) == TOKEN


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "has no payload"),
        ({}, "has no 'authorization'"),
        ({"token": TOKEN}, "has no 'authorization'"),
        ({"headers": {}}, "has no 'authorization'"),
        ({"headers": [["authorization", TOKEN]]}, "has no 'authorization'"),
        ({"payload": {"authorization": TOKEN}}, "has no 'authorization'"),
        ([], "must be an object"),
        ("Bearer abc", "must be an object"),
        (1, "must be an object"),
        (True, "must be an object"),
        ({"authorization": None}, "must be a string"),
        ({"authorization": 1}, "must be a string"),
        ({"authorization": {"Bearer": TOKEN}}, "must be a string"),
        ({"authorization": ""}, "the token is empty"),
        ({"authorization": "Bearer "}, "the token is empty"),
        ({"authorization": f"Basic {TOKEN}"}, "characters that no token has"),
        ({"authorization": "tok\ud800en"}, "characters that no token has"),
        ({"authorization": TOKEN, "Authorization": "other"}, "several different tokens"),
        ({"authorization": TOKEN, "headers": {"authorization": "other"}}, "several different tokens"),
    ],
)
def test_other_payloads_are_refused_with_the_reason(payload: object, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        token_from_init(payload)


@pytest.mark.parametrize("sent", ["hush.hush.hush", "Hush hush", "Bearer hush!"])
def test_refusals_do_not_repeat_what_was_sent(sent: str) -> None:
    with pytest.raises(Unauthenticated) as by_header:
        token_from_header(sent)

    assert "hush" not in by_header.value.message.lower()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.web.negotiation import MediaType, acceptable, is_json

JSON, GRAPHQL = MediaType.JSON, MediaType.GRAPHQL_RESPONSE


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON; Charset=UTF-8", JSON),
        ("application/graphql-response+json", GRAPHQL),
        ("application/graphql-response+json;charset=utf-8, application/json;charset=utf-8", GRAPHQL),
        ("application/json, application/graphql-response+json", GRAPHQL),
        ("application/graphql-response+json;q=0.5, application/json", JSON),
        ("application/graphql-response+json, application/json;q=0.9", GRAPHQL),
        ("application/graphql-response+json;q=0, */*", JSON),
        ("application/json;q=0, application/graphql-response+json;q=0.1", GRAPHQL),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("application/json;q=0, */*", None),
        ("application/graphql-response+json;q=0", None),
        ("text/html", None),
        ("text/event-stream", None),
        ("application/json;charset=latin1", None),
        ("application/json;q=2", None),
        ("application/json;q=x", None),
        (";;;,,,", None),
    ],
)
def test_the_media_type_is_what_the_client_likes_best(accept: str | None, answer: MediaType | None) -> None:
    assert acceptable(accept) is answer


@pytest.mark.parametrize(
    ("content_type", "answer"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json;charset=utf8;x=y", True),
        ("application/json; charset=latin1", False),
        ("application/json; charset=utf-16", False),
        ("application/graphql", False),
        ("text/plain", False),
        ("multipart/form-data; boundary=x", False),
        ("application/x-www-form-urlencoded", False),
        ("application/jsonx", False),
        ("", False),
        (None, False),
    ],
)
def test_only_json_in_utf8_is_json(content_type: str | None, answer: bool) -> None:
    assert is_json(content_type) is answer


@given(st.text())
def test_any_header_has_an_answer(text: str) -> None:
    assert acceptable(text) in (None, *MediaType)
    assert is_json(text) in (True, False)

"""Finding the token in what a caller sent: an ``Authorization`` header, or the payload of ``connection_init``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from syncline.errors import Unauthenticated

_SCHEME: Final = "bearer"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
"""``b64token`` of RFC 6750, 2.1."""


def token_from_header(value: str | None) -> str:
    """The token in the value of an ``Authorization`` header. Raises Unauthenticated."""
    if value is None or not value.strip():
        raise Unauthenticated("send a token as 'Authorization: Bearer <token>'")
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != _SCHEME:
        # What was sent is not repeated: without a scheme it is the token itself.
        raise Unauthenticated("the Authorization header must be of the form 'Bearer <token>'")
    return _token(rest)


def token_from_init(payload: object) -> str:
    """The token in the payload of ``connection_init``. Raises Unauthenticated.

    It is ``authorization`` in any letter case, at the top or under ``headers``, with or without ``Bearer`` before it.
    Given more than once, it must be the same.
    """
    if payload is None:
        raise Unauthenticated('connection_init has no payload; send {"authorization": "Bearer <token>"} in it')
    if not isinstance(payload, Mapping):
        raise Unauthenticated("the payload of connection_init must be an object")
    values = list(_authorizations(payload))
    for name, nested in payload.items():
        if isinstance(name, str) and name.lower() == "headers" and isinstance(nested, Mapping):
            values += _authorizations(nested)
    if not values:
        raise Unauthenticated("the payload of connection_init has no 'authorization'")
    tokens = {_token_with_or_without_scheme(value) for value in values}
    if len(tokens) > 1:
        raise Unauthenticated("the payload of connection_init has several different tokens")
    return tokens.pop()


def _authorizations(fields: Mapping[object, object]) -> Iterator[object]:
    return (value for name, value in fields.items() if isinstance(name, str) and name.lower() == "authorization")


def _token_with_or_without_scheme(value: object) -> str:
    if not isinstance(value, str):
        raise Unauthenticated("'authorization' in the payload of connection_init must be a string")
    scheme, _, rest = value.strip().partition(" ")
    return _token(rest if scheme.lower() == _SCHEME else value)


def _token(text: str) -> str:
    token = text.strip(" ")
    if not token:
        raise Unauthenticated("the token is empty")
    if not _TOKEN.match(token):
        raise Unauthenticated("the token has characters that no token has")
    return token

"""Who is calling: the token's place in a request, and what becomes of a request whose token is not good.

In HTTP the token stands in the ``Authorization`` header. On a WebSocket it stands in the payload of
``connection_init``, because browsers cannot set headers there; a header of the upgrade counts if the payload has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from syncline.errors import Unauthenticated
from syncline.ports import Authenticator, Credential

_SCHEME = "bearer"


def token_in_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer token of the ``Authorization`` header; None if there is no such header.

    Raises Unauthenticated for a header of another scheme, an empty one, or several.
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if not values:
        return None
    if len(values) > 1:
        raise Unauthenticated("there are several Authorization headers")
    scheme, _, token = values[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        # What was sent is not repeated: without a scheme it is the token itself.
        raise Unauthenticated("the Authorization header must be of the form 'Bearer <token>'")
    return token.strip()


def token_in_payload(payload: Mapping[str, Any] | None) -> str | None:
    """The token in a ``connection_init`` payload; None if there is none.

    It is ``authorization`` in any letter case, at the top or under ``headers``, with or without ``Bearer``. Null and
    the empty text count as left out. Raises Unauthenticated if it is no text, or if there are two that differ.
    """
    tokens = set()
    for value in _authorizations(payload or {}):
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise Unauthenticated("'authorization' in the payload of connection_init must be a text")
        scheme, blank, rest = value.strip().partition(" ")
        tokens.add(rest.strip() if blank and scheme.lower() == _SCHEME else value.strip())
    if len(tokens) > 1:
        raise Unauthenticated("the payload of connection_init has several different tokens")
    return tokens.pop() if tokens else None


def _authorizations(payload: Mapping[str, Any]) -> Iterator[Any]:
    for name, value in payload.items():
        if name.lower() == "authorization":
            yield value
        elif name.lower() == "headers" and isinstance(value, Mapping):
            yield from (nested for key, nested in value.items() if key.lower() == "authorization")


async def credential_of_headers(
    authenticator: Authenticator, headers: Iterable[tuple[bytes, bytes]]
) -> Credential | None:
    """The verified credential of an HTTP request; None if it has no token. Raises Unauthenticated."""
    token = token_in_headers(headers)
    return None if token is None else await authenticator.authenticate(token)


async def credential_of_init(
    authenticator: Authenticator, payload: Mapping[str, Any] | None, headers: Iterable[tuple[bytes, bytes]]
) -> Credential:
    """The verified credential of a WebSocket. Raises Unauthenticated, also if there is no token."""
    token = token_in_payload(payload)
    if token is None:
        token = token_in_headers(headers)
    if token is None:
        raise Unauthenticated('send a token in connection_init: {"authorization": "Bearer <token>"}')
    return await authenticator.authenticate(token)

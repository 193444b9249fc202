"""Who is calling: where in a request its credential stands, and what becomes of one that is not good.

In HTTP it stands in headers. On a WebSocket it stands in the payload of ``connection_init``, because browsers cannot
set headers there; headers of the upgrade count for what the payload has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from syncline.errors import Unauthenticated
from syncline.ports import Authenticator, Credential, Presented

_SCHEME = "bearer"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "api_key": ("x-api-key", "apikey"),
    "device": ("x-syncline-device", "device"),
    "act_as": ("x-act-as", "actas"),
    "act_as_device": ("x-act-as-device", "actasdevice"),
}
"""By what it is, its header, which may stand in a payload as well, and the payload's own name for it."""

Headers = Sequence[tuple[bytes, bytes]]


def token_in_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer token of the ``Authorization`` header; None if there is no such header.

    Raises Unauthenticated for a header of another scheme, an empty one, or several.
    """
    value = _header(headers, "authorization")
    if value is None:
        return None
    scheme, _, token = value.decode("latin-1").strip().partition(" ")
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
    for value in _texts(payload or {}, ("authorization",)):
        scheme, blank, rest = value.strip().partition(" ")
        tokens.add(rest.strip() if blank and scheme.lower() == _SCHEME else value.strip())
    if len(tokens) > 1:
        raise Unauthenticated("the payload of connection_init has several different tokens")
    return tokens.pop() if tokens else None


def presented_in_headers(headers: Headers, address: str | None = None) -> Presented:
    """What an HTTP request's headers say. Raises Unauthenticated for what cannot be understood."""
    token = token_in_headers(headers)
    named = {field: _text_header(headers, names[0]) for field, names in _NAMES.items()}
    return Presented(token=token, headers=headers, address=address, **named)


def presented_in_payload(
    payload: Mapping[str, Any] | None, headers: Headers = (), address: str | None = None
) -> Presented:
    """What a payload says, and of what it does not say the headers of the upgrade. Raises Unauthenticated."""
    token = token_in_payload(payload)
    named = {field: _one(payload or {}, names) for field, names in _NAMES.items()}
    if token is None and named["api_key"] is None:
        token, named["api_key"] = token_in_headers(headers), _text_header(headers, _NAMES["api_key"][0])
    for field, (header, _) in _NAMES.items():
        if field != "api_key" and named[field] is None:
            named[field] = _text_header(headers, header)
    return Presented(token=token, headers=headers, address=address, **named)


async def credential_of_headers(
    authenticator: Authenticator, headers: Headers, address: str | None = None
) -> Credential | None:
    """The verified credential of an HTTP request; None if it has none. Raises what ``authenticate`` raises."""
    presented = presented_in_headers(headers, address)
    if presented.token is None and presented.api_key is None:
        return None
    return await authenticator.authenticate(presented)


async def credential_of_init(
    authenticator: Authenticator, payload: Mapping[str, Any] | None, headers: Headers, address: str | None = None
) -> Credential:
    """The verified credential of a WebSocket. Raises what ``authenticate`` raises, also if there is none."""
    presented = presented_in_payload(payload, headers, address)
    if presented.token is None and presented.api_key is None:
        raise Unauthenticated('send a token in connection_init: {"authorization": "Bearer <token>"}')
    return await authenticator.authenticate(presented)


def _header(headers: Iterable[tuple[bytes, bytes]], name: str) -> bytes | None:
    values = [value for key, value in headers if key.lower() == name.encode()]
    if len(values) > 1:
        raise Unauthenticated(f"there are several {name.title()} headers")
    return values[0] if values else None


def _text_header(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    value = _header(headers, name)
    try:
        return None if value is None else value.decode().strip()
    except UnicodeDecodeError:
        raise Unauthenticated(f"the header {name} is not UTF-8") from None


def _one(payload: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    values = set(_texts(payload, names))
    if len(values) > 1:
        raise Unauthenticated(f"the payload has several different values of {names[0]}")
    return values.pop() if values else None


def _texts(payload: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name, value in _values(payload, names):
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise Unauthenticated(f"{name!r} in the payload of connection_init must be a text")
        yield value


def _values(payload: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, value in payload.items():
        if name.lower() in names:
            yield names[0], value
        elif name.lower() == "headers" and isinstance(value, Mapping):
            yield from ((names[0], nested) for key, nested in value.items() if key.lower() in names)

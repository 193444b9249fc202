"""Messages of graphql-transport-ws: text in, typed messages out, and the other way round. No I/O happens here.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from syncline.web.close_codes import CloseCode
from syncline.web.requests import GraphqlRequest

SUBPROTOCOL = "graphql-transport-ws"
MAX_ID_CHARACTERS = 128
MAX_REASON_BYTES = 123
"""A close frame has 125 bytes, and the code takes two."""

_encode = msgspec.json.Encoder().encode


class ProtocolViolation(Exception):
    """The client broke the protocol; the socket is closed with ``code`` and ``reason``."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        self.code = code
        self.reason = close_reason(reason)
        super().__init__(f"{code.value} {self.reason}")


def close_reason(text: str) -> str:
    """``text``, cut to what fits into a close frame."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_REASON_BYTES:
        return encoded.decode()
    return encoded[: MAX_REASON_BYTES - 3].decode("utf-8", "ignore") + "..."


# --- from the client --------------------------------------------------------------------------------------------------

OperationId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]

_ABSENT = msgspec.Raw(b"null")


class ConnectionInit(msgspec.Struct, frozen=True, tag_field="type", tag="connection_init"):
    payload: dict[str, Any] | None = None


class Authorize(msgspec.Struct, frozen=True, tag_field="type", tag="authorize"):
    """An extension of ours: a fresh credential for a connection that is open."""

    payload: dict[str, Any] | None = None


class Ping(msgspec.Struct, frozen=True, tag_field="type", tag="ping"):
    """``payload`` is the JSON text of an object or of null, to be sent back as it came."""

    payload: msgspec.Raw = _ABSENT


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    payload: msgspec.Raw = _ABSENT


class Subscribe(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    id: OperationId
    payload: GraphqlRequest


class Complete(msgspec.Struct, frozen=True, tag_field="type", tag="complete"):
    id: OperationId


ClientMessage = ConnectionInit | Authorize | Ping | Pong | Subscribe | Complete

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_only = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(text: str) -> ClientMessage:
    """The message in a text frame. Raises ProtocolViolation, and nothing else, for whatever is none."""
    try:
        message = _decoder.decode(text)
    except RecursionError:
        raise ProtocolViolation(CloseCode.BAD_REQUEST, "the message is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ProtocolViolation(CloseCode.BAD_REQUEST, f"not a message of {SUBPROTOCOL}: {error}") from None
    if isinstance(message, Ping | Pong) and bytes(message.payload)[:1] not in (b"{", b"n"):
        raise ProtocolViolation(CloseCode.BAD_REQUEST, "the payload of a ping or pong is an object or null")
    return message


# --- to the client ----------------------------------------------------------------------------------------------------

CONNECTION_ACK = b'{"type":"connection_ack"}'
AUTHORIZE_ACK = b'{"type":"pong","payload":{"type":"authorize_ack"}}'
"""In a pong: any client of the protocol takes one, with any payload and at any time. Another type would be its end."""
PING = b'{"type":"ping"}'


def pong(payload: msgspec.Raw = _ABSENT) -> bytes:
    """The answer to a ping, with the payload that the ping had."""
    text = bytes(payload)
    return b'{"type":"pong"}' if text == b"null" else b'{"type":"pong","payload":' + text + b"}"


def before_payload(operation_id: str) -> bytes:
    """What stands before the payload in each ``next`` of an operation; a brace follows it.

    The payload is ready JSON, often shared with other operations; only the id is spliced in.
    """
    return b'{"id":' + _encode(operation_id) + b',"type":"next","payload":'


def error(operation_id: str, errors: Sequence[object] | msgspec.Raw) -> bytes:
    return b'{"id":' + _encode(operation_id) + b',"type":"error","payload":' + _encode(errors) + b"}"


def authorize_error(error: object) -> bytes:
    return b'{"type":"pong","payload":{"type":"authorize_error","error":' + _encode(error) + b"}}"


def complete(operation_id: str) -> bytes:
    return b'{"id":' + _encode(operation_id) + b',"type":"complete"}'

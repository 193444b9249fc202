"""GraphQL over WebSocket (``graphql-transport-ws``): one subscription on one socket, which is all this client needs.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from syncline.client.errors import ConnectionRefused, NotSyncline, ServerRefused, ServerUnreachable, TokenRejected
from syncline.client.wire import WireError

SUBPROTOCOL = Subprotocol("graphql-transport-ws")
TOKEN_EXPIRED = 4403
FATAL_CLOSE_CODES = frozenset({4400, 4401, 4406, 4409, 4429})
"""Coming back would end the same way. All other codes, 1006 and unknown ones included, are worth another attempt."""

_T = TypeVar("_T")
_HANDSHAKE_SECONDS = 10
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_WAITING = 64
_LATER = frozenset({401, 408, 425, 429})
_OPERATION = "1"


class _Message(msgspec.Struct):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")


class _Payload(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[WireError] = []


class Subscription:
    """A subscription's events, as long as its socket lasts. It never just ends: it raises.

    ServerUnreachable: connect again. TokenRejected: connect again with a fresh token. ConnectionRefused, ServerRefused,
    NotSyncline: do not. At most _MAX_WAITING events wait here; then the server waits, and may close.
    """

    def __init__(self, url: str, token: str, query: str, variables: dict[str, Any]) -> None:
        self._url = url
        self._token = token
        self._operation = {"query": query, "variables": variables}
        self._events: asyncio.Queue[msgspec.Raw | Exception] = asyncio.Queue(_MAX_WAITING)

    async def __aenter__(self) -> Self:
        self._socket = await self._connect()
        try:
            await self._subscribe()
        except BaseException:
            await self._socket.close()
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])
        await self._socket.close()

    async def next_event(self) -> msgspec.Raw:
        """The ``data`` of the next event. Cancelling is safe: no event is lost."""
        event = await self._events.get()
        if isinstance(event, Exception):
            raise event
        return event

    async def _connect(self) -> ClientConnection:
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                return await connect(
                    self._url,
                    subprotocols=[SUBPROTOCOL],
                    max_size=_MAX_MESSAGE_BYTES,
                    open_timeout=None,
                    close_timeout=1,
                    compression=None,
                )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in _LATER or status >= 500:
                raise ServerUnreachable(self._url, f"HTTP {status}") from error
            raise NotSyncline(self._url, f"HTTP {status} instead of a WebSocket") from error
        except (OSError, TimeoutError, EOFError, InvalidHandshake) as error:
            raise ServerUnreachable(self._url, str(error) or type(error).__name__) from error

    async def _subscribe(self) -> None:
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                await self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
                message = await self._receive()
                if message.type != "connection_ack":
                    raise NotSyncline(self._url, f"{message.type!r} instead of connection_ack")
                await self._send({"type": "subscribe", "id": _OPERATION, "payload": self._operation})
        except TimeoutError as error:
            raise ServerUnreachable(self._url, "no connection_ack in time") from error
        except ConnectionClosed as error:
            raise self._close_translated(error) from error

    async def _read(self) -> None:
        try:
            while True:
                event = await self._next()
                if event is not None:
                    await self._events.put(event)
        except ConnectionClosed as error:
            await self._events.put(self._close_translated(error))
        except (ServerUnreachable, ServerRefused, TokenRejected, NotSyncline) as error:
            await self._events.put(error)

    async def _next(self) -> msgspec.Raw | None:
        message = await self._receive()
        match message.type:
            case "ping":
                await self._send({"type": "pong"})
                return None
            case "pong":
                return None
            case "next":
                payload = self._decoded(message.payload, _Payload)
                for error in payload.errors:
                    raise self._refusal(error)
                return payload.data
            case "error":
                for error in self._decoded(message.payload, list[WireError]):
                    raise self._refusal(error)
                raise NotSyncline(self._url, "an error message without errors")
            case "complete":
                raise ServerUnreachable(self._url, "the subscription was completed")
            case _:
                raise NotSyncline(self._url, f"a message of type {message.type!r}")

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send(msgspec.json.encode(message).decode())

    async def _receive(self) -> _Message:
        return self._decoded(await self._socket.recv(decode=False), _Message)

    def _decoded(self, data: bytes | msgspec.Raw, type_: type[_T]) -> _T:
        try:
            return msgspec.json.decode(data, type=type_)
        except msgspec.DecodeError as error:
            raise NotSyncline(self._url, str(error)) from error

    def _refusal(self, error: WireError) -> Exception:
        if error.code == "UNAUTHENTICATED":
            return TokenRejected(error.message)
        if error.retryable:
            return ServerUnreachable(self._url, error.message)
        return ServerRefused(error.code, error.message, **error.facts)

    def _close_translated(self, error: ConnectionClosed) -> Exception:
        code, reason = (1006, "") if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)
        if code == TOKEN_EXPIRED:
            return TokenRejected(reason or "expired")
        if code in FATAL_CLOSE_CODES:
            return ConnectionRefused(code, reason)
        return ServerUnreachable(self._url, f"the connection was closed with {code} {reason}".rstrip())

"""A graphql-transport-ws client for many operations at once on one socket, at any address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

PATIENCE_SECONDS = 30.0

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class SocketCut(Exception):
    """The socket was closed with ``code`` (1006: without a close frame), or could not be opened."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class GraphqlSocket:
    """An acknowledged socket. All waits are bounded, and end with SocketCut when the socket is closed."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._ids = count(1)
        self._inboxes: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self._pongs: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._socket = await connect(
                    self._url,
                    subprotocols=[Subprotocol("graphql-transport-ws")],
                    compression=None,
                    max_size=None,
                    ping_interval=None,
                    close_timeout=5,
                )
                await self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
                assert _decode(await self._socket.recv()) == {"type": "connection_ack"}
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            raise SocketCut(1006) from error
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._reader

    async def execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The payload of a query's or mutation's answer."""
        return await self.answer(await self.start(query, variables))

    async def start(self, query: str, variables: dict[str, Any]) -> str:
        """Send an operation, and return its id without waiting for an answer."""
        operation = f"operation-{next(self._ids)}"
        self._inboxes[operation] = asyncio.Queue()
        payload = {"query": query, "variables": variables}
        await self._send({"type": "subscribe", "id": operation, "payload": payload})
        return operation

    async def answer(self, operation: str) -> dict[str, Any]:
        """The only payload of an operation that was started."""
        message = await self._next_message(operation)
        assert message["type"] == "next", message
        assert (await self._next_message(operation))["type"] == "complete"
        del self._inboxes[operation]
        payload: dict[str, Any] = message["payload"]
        return payload

    async def next_payload(self, operation: str) -> dict[str, Any]:
        """The next payload of a subscription that was started."""
        message = await self._next_message(operation)
        assert message["type"] == "next", message
        payload: dict[str, Any] = message["payload"]
        return payload

    async def payloads(self, operation: str) -> AsyncIterator[dict[str, Any]]:
        """The payloads of a subscription, without end and without a bound on the wait for the next one."""
        while True:
            message = await self._inboxes[operation].get()
            if message is None:
                raise SocketCut(self._closed.result())
            assert message["type"] == "next", message
            yield message["payload"]

    async def complete(self, operation: str) -> None:
        """Tell the server that nobody waits for the operation any more."""
        await self._send({"type": "complete", "id": operation})

    async def ping(self) -> None:
        """Return when the server has read all that was sent before: it handles messages in their order."""
        await self._send({"type": "ping"})
        async with asyncio.timeout(PATIENCE_SECONDS):
            if await self._pongs.get() is None:
                raise SocketCut(self._closed.result())

    async def closed(self) -> int:
        """Wait for the end; the close code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asyncio.shield(self._closed)

    def abort(self) -> None:
        """Cut the connection, as when a device loses its network."""
        self._socket.transport.abort()

    def freeze(self) -> None:
        """Read nothing more, as when a device is suspended."""
        self._socket.transport.pause_reading()

    async def _next_message(self, operation: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self._inboxes[operation].get()
        if message is None:
            raise SocketCut(self._closed.result())
        return message

    async def _send(self, message: object) -> None:
        try:
            await self._socket.send(_encode(message).decode())
        except ConnectionClosed as closed:
            raise SocketCut(_code(closed)) from closed

    async def _read(self) -> None:
        try:
            while True:
                message = _decode(await self._socket.recv())
                match message["type"]:
                    case "ping":
                        await self._socket.send('{"type":"pong"}')
                    case "pong":
                        self._pongs.put_nowait(message)
                    case _:
                        self._inboxes[message["id"]].put_nowait(message)
        except ConnectionClosed as closed:
            self._closed.set_result(_code(closed))
        finally:
            if not self._closed.done():
                self._closed.set_result(1006)
            for inbox in [*self._inboxes.values(), self._pongs]:
                inbox.put_nowait(None)


def _code(closed: ConnectionClosed) -> int:
    return 1006 if closed.rcvd is None else closed.rcvd.code

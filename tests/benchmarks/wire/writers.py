"""Devices that send syncs, over HTTP or on a socket, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import cycle
from typing import Any, Protocol, TypeVar, assert_never

from tests.benchmarks.target import Target
from tests.benchmarks.wire.failures import LoadFailed, give_up
from tests.benchmarks.wire.http import HttpConnection, open_http
from tests.benchmarks.wire.websocket import SocketConnection

OnDone = Callable[[], None]
R = TypeVar("R")

_SOURCES = cycle([f"127.0.0.{number}" for number in range(1, 9)])
"""One address has some 28,000 ports, and a port rests for a minute after its connection."""
_APPLIED = b'"__typename":"SyncApplied"'


class Transport(StrEnum):
    """How a device sends its syncs."""

    HTTP = "HTTP"
    WEBSOCKET = "WebSocket"


class Writer(Protocol):
    """One device. ``on_done`` is called when the sync before was acknowledged."""

    on_done: OnDone
    failed: asyncio.Future[None]

    def send(self, body: bytes) -> None:
        """Send one sync. To be called only when the one before is done."""
        ...

    def close(self) -> None: ...


async def open_writer(target: Target, transport: Transport, token: str) -> Writer:
    """A device that is ready to send."""
    match transport:
        case Transport.HTTP:
            return await _HttpWriter.open(target, token)
        case Transport.WEBSOCKET:
            return await _SocketWriter.open(target, token)
        case _:
            assert_never(transport)


async def unless_failed(work: asyncio.Future[R], writers: Sequence[Writer | SocketConnection]) -> R:
    """Wait for ``work``; raises LoadFailed as soon as one of the writers fails."""
    failures = [writer.failed for writer in writers]
    waiting: list[asyncio.Future[Any]] = [work, *failures]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for failure in failures:
        if failure.done():
            give_up(work)
            failure.result()
    return await work


def _never() -> None:
    raise LoadFailed("an answer came that nobody waited for")


class _HttpWriter:
    @classmethod
    async def open(cls, target: Target, token: str) -> _HttpWriter:
        writer = cls()
        connection = writer._connection = await open_http(target, token, writer._on_answer)
        writer.failed = connection.failed
        return writer

    def __init__(self) -> None:
        self.on_done: OnDone = _never
        self.failed: asyncio.Future[None]
        self._connection: HttpConnection

    def send(self, body: bytes) -> None:
        self._connection.post(body)

    def close(self) -> None:
        self._connection.close()

    def _on_answer(self, body: bytes) -> None:
        if _APPLIED in body:
            self.on_done()
        else:
            self._connection.fail(body[:300].decode())


class _SocketWriter:
    @classmethod
    async def open(cls, target: Target, token: str) -> _SocketWriter:
        writer = cls()
        writer._connection = await open_socket(target, token)
        writer._connection.on_message = writer._on_message
        writer.failed = writer._connection.failed
        return writer

    def __init__(self) -> None:
        self.on_done: OnDone = _never
        self.failed: asyncio.Future[None]
        self._connection: SocketConnection

    def send(self, body: bytes) -> None:
        self._connection.subscribe(b"s", body)

    def close(self) -> None:
        self._connection.close()

    def _on_message(self, message: bytes) -> None:
        # First the result, then that it was the only one: then the id is free again.
        if message == b'{"id":"s","type":"complete"}':
            self.on_done()
        elif _APPLIED not in message:
            self._connection.fail(message[:300].decode())


async def open_socket(target: Target, token: str) -> SocketConnection:
    """A socket that the server has acknowledged."""
    connection = SocketConnection(target.host, token, lambda message: None)
    await asyncio.get_running_loop().create_connection(
        lambda: connection, target.address, target.port, local_addr=(next(_SOURCES), 0)
    )
    await connection.ready
    return connection

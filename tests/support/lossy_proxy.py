"""A TCP proxy that passes everything on, until it is told to lose answers or to cut connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass(slots=True)
class _Fate:
    marker: bytes
    nth: int
    reaches: bool
    last: bool = False


class HeldAnswer:
    """An answer that is here, and not passed on before it is let go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.let_go = asyncio.Event()


@dataclass(slots=True)
class _Line:
    losing: bool = False
    """The next answer is lost."""
    last: bool = False
    """After which nothing is passed on any more."""
    held: HeldAnswer | None = None
    """The next answer is held."""


class LossyProxy:
    """Stands before a server on a port of its own."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.lost = 0
        self._to = port
        self._losing = 0
        self._fates: list[_Fate] = []
        self._to_be_held: tuple[bytes, HeldAnswer] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def lose_answers(self, count: int) -> None:
        """The next ``count`` answers are read from the server and thrown away, with their connections."""
        self._losing = count

    def lose_answer_to(self, marker: bytes, nth: int = 1) -> None:
        """The ``nth`` request with ``marker`` in it reaches the server; its answer is lost, with the connection."""
        self._fates.append(_Fate(marker, nth, reaches=True))

    def refuse_after_losing_answer_to(self, marker: bytes) -> None:
        """As ``lose_answer_to``, and from then on as after ``refuse``."""
        self._fates.append(_Fate(marker, 1, reaches=True, last=True))

    def lose_request(self, marker: bytes, nth: int = 1) -> None:
        """The ``nth`` request with ``marker`` in it is lost, with the connection."""
        self._fates.append(_Fate(marker, nth, reaches=False))

    def hold_answer_to(self, marker: bytes) -> HeldAnswer:
        """The next request with ``marker`` in it is passed on; its answer waits here."""
        held = HeldAnswer()
        self._to_be_held = (marker, held)
        return held

    def refuse(self) -> None:
        """End all connections, and take no new ones until ``lead_to`` is called: a device that is offline."""
        self._to = 0
        self.cut()

    def lead_to(self, port: int) -> None:
        """From now on new connections lead to another server."""
        self._to = port

    def hold(self) -> None:
        """Pass nothing on, either way, but keep the connections: a network that is cut."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """End all connections at once, without a goodbye."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        line = _Line()
        to_server = asyncio.create_task(self._to_server(reader, far_writer, line))
        to_device = asyncio.create_task(self._to_device(far_reader, writer, line))
        await asyncio.wait([to_server, to_device], return_when=asyncio.FIRST_COMPLETED)
        for task in (to_server, to_device):
            task.cancel()
        await asyncio.gather(to_server, to_device, return_exceptions=True)
        for each in (writer, far_writer):
            self._writers.discard(each)
            each.transport.abort()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._open.wait()
                fate = self._fate_of(data)
                if fate is not None and not fate.reaches:
                    self.lost += 1
                    return
                line.losing = line.losing or fate is not None
                line.last = line.last or (fate is not None and fate.last)
                if self._to_be_held is not None and self._to_be_held[0] in data:
                    line.held, self._to_be_held = self._to_be_held[1], None
                writer.write(data)
                await writer.drain()

    async def _to_device(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._open.wait()
                if self._losing or line.losing:
                    self._losing = max(0, self._losing - 1)
                    self.lost += 1
                    if line.last:
                        self.refuse()
                    return
                if line.held is not None:
                    line.held.arrived.set()
                    await line.held.let_go.wait()
                    line.held = None
                writer.write(data)
                await writer.drain()

    def _fate_of(self, data: bytes) -> _Fate | None:
        for fate in self._fates:
            if fate.marker in data:
                fate.nth -= 1
                if fate.nth == 0:
                    self._fates.remove(fate)
                    return fate
        return None


@asynccontextmanager
async def lossy_proxy(port: int) -> AsyncIterator[LossyProxy]:
    """A proxy before the server on ``port``."""
    proxy = LossyProxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.release()
        proxy.cut()
        await server.wait_closed()

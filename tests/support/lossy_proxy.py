"""A TCP proxy that passes everything on, until it is told to lose answers or to cut connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class LossyProxy:
    """Stands before a server on a port of its own."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.lost = 0
        self._to = port
        self._losing = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def lose_answers(self, count: int) -> None:
        """The next ``count`` answers are read from the server and thrown away, with their connections."""
        self._losing = count

    def cut(self) -> None:
        """End all connections at once, without a goodbye."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, far_writer}
        to_server = asyncio.create_task(self._pass_on(reader, far_writer, from_server=False))
        to_device = asyncio.create_task(self._pass_on(far_reader, writer, from_server=True))
        await asyncio.wait([to_server, to_device], return_when=asyncio.FIRST_COMPLETED)
        for task in (to_server, to_device):
            task.cancel()
        await asyncio.gather(to_server, to_device, return_exceptions=True)
        for each in (writer, far_writer):
            self._writers.discard(each)
            each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if from_server and self._losing:
                    self._losing -= 1
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()


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
        proxy.cut()
        await server.wait_closed()

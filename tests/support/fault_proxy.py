"""A TCP proxy before a Valkey that loses some of what is published, or stops passing anything on."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

MESSAGES = (b">3\r\n$7\r\nmessage\r\n", b">3\r\n$8\r\nsmessage\r\n")


class FaultProxy:
    """Stands before a server on a port of its own."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.lost = 0
        self.share_lost = 0.0
        """Which part of the messages does not arrive, beats included."""
        self._to = port
        self._random = random.Random(7)  # noqa: S311
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def hold(self) -> None:
        """Pass nothing on, either way, but keep the connections: a network that is cut."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """End all connections at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def end(self) -> None:
        """Let all go."""
        self.release()
        self.cut()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        to_server = asyncio.create_task(self._pass_on(reader, far_writer))
        to_node = asyncio.create_task(self._pass_on_some(far_reader, writer))
        try:
            await asyncio.wait([to_server, to_node], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (writer, far_writer):
                self._writers.discard(each)
                each.transport.abort()
            for task in (to_server, to_node):
                task.cancel()
            await asyncio.gather(to_server, to_node, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()

    async def _pass_on_some(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._open.wait()
                buffer += data
                for item in items(buffer):
                    buffer = buffer[len(item) :]
                    if item.startswith(MESSAGES) and self._random.random() < self.share_lost:
                        self.lost += 1
                    else:
                        writer.write(item)
                await writer.drain()


def items(buffer: bytes) -> Iterator[bytes]:
    """The whole RESP replies and pushes at the start of ``buffer``, each as it came."""
    start = 0
    while (end := _end(buffer, start)) is not None:
        yield buffer[start:end]
        start = end


def _end(buffer: bytes, start: int) -> int | None:
    """Where the item that begins at ``start`` ends; None: it is not all there."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, head = buffer[start : start + 1], buffer[start + 1 : line_end]
    end: int | None = line_end + 2
    if kind == b"$" and int(head) >= 0:
        end = line_end + 4 + int(head)
        return end if end <= len(buffer) else None
    if kind in b"*>%~":
        for _ in range(int(head) * (2 if kind == b"%" else 1)):
            end = None if end is None else _end(buffer, end)
    return end


@asynccontextmanager
async def fault_proxy(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    """A proxy before the server on ``port``; with ``tls`` it is spoken to in that."""
    proxy = FaultProxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
        await server.wait_closed()

"""HTTP/1.1 with keep-alive: one request after the other on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from tests.benchmarks.target import Target
from tests.benchmarks.wire.failures import LoadFailed, give_up

OnAnswer = Callable[[bytes], None]

_END_OF_HEAD = b"\r\n\r\n"


def _nobody_waits(body: bytes) -> None:
    raise LoadFailed("an answer came that nobody waited for")


class HttpConnection(asyncio.Protocol):
    """Posts bodies to ``/graphql``; each answer's body goes to ``on_answer``. Any status but 200 fails the load."""

    def __init__(self, host: str, token: str, on_answer: OnAnswer) -> None:
        self.on_answer = on_answer
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = (
            f"POST /graphql HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
            "content-type: application/json\r\naccept: application/json\r\ncontent-length: "
        ).encode()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def post(self, body: bytes) -> None:
        """To be called only when the answer before is there."""
        self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))

    async def ask(self, body: bytes) -> bytes:
        """What is answered. Raises LoadFailed."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.on_answer = answer.set_result
        self.post(body)
        waiting: list[asyncio.Future[Any]] = [answer, self.failed]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self.failed.done():
            self.failed.result()
        return answer.result()

    def data_received(self, data: bytes) -> None:
        self._buffer = data if not self._buffer else self._buffer + data
        end = self._buffer.find(_END_OF_HEAD)
        if end < 0:
            return
        size = _content_length(self._buffer[:end])
        begin = end + len(_END_OF_HEAD)
        if len(self._buffer) < begin + size:
            return
        head, body, self._buffer = self._buffer[:end], self._buffer[begin : begin + size], b""
        if head.startswith(b"HTTP/1.1 200"):
            self.on_answer(body)
        else:
            self.fail(f"{head.splitlines()[0].decode()}: {body[:300].decode()}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the server hung up")

    def close(self) -> None:
        give_up(self.failed)
        self._transport.close()

    def fail(self, reason: str) -> None:
        """Have whoever waits told."""
        if not self.failed.done():
            self.failed.set_exception(LoadFailed(reason))


async def open_http(target: Target, token: str, on_answer: OnAnswer = _nobody_waits) -> HttpConnection:
    """A connection that is ready."""
    connection = HttpConnection(target.host, token, on_answer)
    await asyncio.get_running_loop().create_connection(lambda: connection, target.address, target.port)
    return connection


def _content_length(head: bytes) -> int:
    begin = head.lower().index(b"content-length:") + len(b"content-length:")
    end = head.find(b"\r\n", begin)
    return int(head[begin:] if end < 0 else head[begin:end])

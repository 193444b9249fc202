"""Each message of a socket gets its turn, and one turn only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from syncline.web.flush_tick import FlushTick
from syncline.web.sender import Sender

LIMIT = 1_000
PATIENCE_SECONDS = 10


class Pipe:
    """An outlet: what was written stays buffered until the peer takes it, unless it takes all at once."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.buffered = 0
        self.peer_takes_all = False
        self._high = 0
        self._room = asyncio.Event()
        self._wrote = asyncio.Event()

    def limit_buffer(self, size: int) -> None:
        self._high = size

    def write_now(self, *messages: bytes) -> bool:
        if self.buffered > self._high:
            return False
        for message in messages:
            self._write(message)
        return True

    async def write(self, message: bytes) -> None:
        await self.writable()
        self._write(message)

    async def writable(self) -> None:
        while self.buffered > self._high:
            self._room.clear()
            await self._room.wait()

    def abort(self) -> None:
        raise AssertionError("nobody asked for that")

    def take_all(self) -> None:
        """The peer takes what is buffered."""
        self.buffered = 0
        self._room.set()

    async def until_written(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.written) < count:
                self._wrote.clear()
                await self._wrote.wait()

    def _write(self, message: bytes) -> None:
        self.written.append(message)
        self.buffered += 0 if self.peer_takes_all else len(message)
        self._wrote.set()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
async def sender(pipe: Pipe) -> AsyncIterator[Sender]:
    sender = Sender(pipe, FlushTick(), limit=LIMIT, now=0)
    yield sender
    await sender.close()


async def test_who_waits_for_room_is_not_overtaken_by_what_is_small_enough(sender: Sender, pipe: Pipe) -> None:
    assert sender.push(b"x" * 500)
    large = asyncio.create_task(sender.send(b"y" * 900))
    await asyncio.sleep(0)
    assert not sender.push(b"z" * 10)
    pipe.take_all()
    await asyncio.wait_for(large, PATIENCE_SECONDS)
    pipe.take_all()
    await pipe.until_written(2)
    assert pipe.written == [b"x" * 500, b"y" * 900]


async def test_what_left_with_one_tick_does_not_leave_with_the_next(sender: Sender, pipe: Pipe) -> None:
    pipe.peer_takes_all = True
    messages = [b"%d" % number for number in range(9)]
    for tick in range(3):
        for message in messages[3 * tick : 3 * tick + 3]:
            assert sender.push(message)
        await pipe.until_written(3 * tick + 3)
    assert pipe.written == messages
    assert sender.pending == 0

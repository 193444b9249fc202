from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.service.sinks import SinkClosed
from syncline.web.flush_tick import FlushTick
from syncline.web.sender import Sender

LIMIT = 1_000


class Peer:
    """An outlet whose peer takes what it is told to take."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.writes = 0
        self.buffered = 0
        self.high = 0
        self.aborted = False
        self.gone = False
        self._changed = asyncio.Condition()
        self._wrote = asyncio.Event()

    def write_now(self, *messages: bytes) -> bool:
        if self.buffered > self.high:
            return False
        self.writes += 1
        for message in messages:
            self._write(message)
        return True

    async def write(self, message: bytes) -> None:
        await self.writable()
        if self.gone:
            raise ConnectionResetError
        self._write(message)
        await self.writable()

    async def writable(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.gone or self.buffered <= self.high)

    def limit_buffer(self, size: int) -> None:
        self.high = size

    def abort(self) -> None:
        self.aborted = True

    async def take(self, size: int | None = None) -> None:
        """The peer takes so many bytes, or all."""
        self.buffered -= self.buffered if size is None else min(size, self.buffered)
        await self.notify()

    async def notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        for _ in range(10):
            await asyncio.sleep(0)

    async def wrote(self, count: int) -> None:
        """Wait until so many messages were written."""
        async with asyncio.timeout(10):
            while len(self.written) < count:
                self._wrote.clear()
                await self._wrote.wait()

    def _write(self, message: bytes) -> None:
        self.written.append(message)
        self._wrote.set()
        self.buffered += len(message)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
async def sender(peer: Peer) -> AsyncIterator[Sender]:
    sender = Sender(peer, FlushTick(), limit=LIMIT, now=0)
    yield sender
    await sender.close()


async def test_a_message_to_a_peer_that_reads_leaves_at_once(sender: Sender, peer: Peer) -> None:
    assert sender.push(b"a")
    sender.put(b"b")
    await sender.send(b"c")
    assert peer.written == [b"a", b"b", b"c"]


async def test_pushes_within_a_tick_leave_together_and_in_order(sender: Sender, peer: Peer) -> None:
    assert sender.push(b"first")
    for number in range(10):
        assert sender.push(b"%d" % number)
    assert peer.written == [b"first"]
    await peer.wrote(11)
    assert peer.written == [b"first", *(b"%d" % number for number in range(10))]
    assert peer.writes == 2


async def test_an_answer_takes_what_waits_for_the_tick_along_in_front_of_it(sender: Sender, peer: Peer) -> None:
    for message in (b"a", b"b", b"c"):
        assert sender.push(message)
    sender.put(b"answer")
    assert peer.written == [b"a", b"b", b"c", b"answer"]


async def test_a_push_after_a_quiet_tick_leaves_at_once(sender: Sender, peer: Peer) -> None:
    assert sender.push(b"a")
    await asyncio.sleep(FlushTick().seconds * 1.5)
    assert sender.push(b"b")
    assert peer.written == [b"a", b"b"]


async def test_what_waits_for_the_tick_counts_as_pending(sender: Sender, peer: Peer) -> None:
    assert sender.push(b"x" * 100)
    await peer.take()
    assert sender.push(b"y" * 600)
    assert sender.pending == 600
    assert not sender.push(b"z" * 600)


async def test_a_push_over_the_limit_is_refused_and_nothing_of_it_is_sent(sender: Sender, peer: Peer) -> None:
    assert sender.push(b"x" * 600)
    assert not sender.push(b"y" * 600)
    await peer.take()
    assert peer.written == [b"x" * 600]


async def test_a_message_larger_than_the_limit_passes_alone(sender: Sender, peer: Peer) -> None:
    assert sender.push(b"x" * 5_000)
    assert not sender.push(b"y")
    await peer.take()
    assert sender.push(b"y")


async def test_send_waits_for_room(sender: Sender, peer: Peer) -> None:
    sender.push(b"x" * 900)
    sending = asyncio.create_task(sender.send(b"y" * 500))
    await peer.take(100)
    assert not sending.done()
    await peer.take()
    await sending
    assert peer.written == [b"x" * 900, b"y" * 500]


async def test_who_waits_is_served_in_turn_and_before_a_push(sender: Sender, peer: Peer) -> None:
    sender.push(b"x" * 1_000)
    sendings = [asyncio.create_task(sender.send(name * 900)) for name in (b"a", b"b")]
    await asyncio.sleep(0)
    assert not sender.push(b"p")
    for _ in range(3):
        await peer.take()
    await asyncio.gather(*sendings)
    assert [message[:1] for message in peer.written] == [b"x", b"a", b"b"]


async def test_answers_are_taken_whatever_is_pending(sender: Sender, peer: Peer) -> None:
    for _ in range(5):
        sender.put(b"x" * 600)
    assert sender.overfull
    waiting = asyncio.create_task(sender.room())
    await peer.take(600)
    assert not waiting.done()
    while not waiting.done():
        await peer.take()
    assert len(peer.written) == 5


async def test_messages_keep_their_order_whoever_sends_them(sender: Sender, peer: Peer) -> None:
    sender.put(b"1" * 900)
    sender.put(b"2" * 900)
    sending = asyncio.create_task(sender.send(b"3" * 900))
    await asyncio.sleep(0)
    sender.put(b"4" * 900)
    for _ in range(5):
        await peer.take()
    await sending
    assert sorted(message[:1] for message in peer.written) == [b"1", b"2", b"3", b"4"]
    assert [message[:1] for message in peer.written][:2] == [b"1", b"2"]


async def test_closing_drops_what_waits_and_says_so(sender: Sender, peer: Peer) -> None:
    sender.push(b"x" * 1_000)
    sending = asyncio.create_task(sender.send(b"y" * 900))
    await asyncio.sleep(0)
    await sender.close()
    with pytest.raises(SinkClosed):
        await sending
    with pytest.raises(SinkClosed):
        await sender.send(b"z")
    assert not sender.push(b"z")
    assert peer.written == [b"x" * 1_000]


async def test_a_peer_that_is_gone_closes_the_sender(sender: Sender, peer: Peer) -> None:
    sender.put(b"x" * 1_000)
    sender.put(b"y")
    sending = asyncio.create_task(sender.send(b"z" * 900))
    await asyncio.sleep(0)
    peer.gone = True
    await peer.notify()
    with pytest.raises(SinkClosed):
        await sending


async def test_a_cancelled_send_gives_its_turn_to_the_next(sender: Sender, peer: Peer) -> None:
    sender.push(b"x" * 1_000)
    first, second = (asyncio.create_task(sender.send(name * 900)) for name in (b"a", b"b"))
    await asyncio.sleep(0)
    first.cancel()
    await peer.take()
    await peer.take()
    await second
    assert [message[:1] for message in peer.written] == [b"x", b"b"]


async def test_flushed_waits_until_nothing_is_queued(sender: Sender, peer: Peer) -> None:
    for _ in range(3):
        sender.put(b"x" * 900)
    flushing = asyncio.create_task(sender.flushed())
    await peer.take()
    assert not flushing.done()
    await peer.take()
    await peer.take()
    await flushing
    assert len(peer.written) == 3


async def test_a_peer_that_takes_nothing_is_stalled_and_one_that_takes_a_little_is_not(
    sender: Sender, peer: Peer
) -> None:
    assert sender.stalled_for(10) == 0
    sender.push(b"x" * 900)
    assert sender.stalled_for(25) == 15
    await peer.take(1)
    assert sender.stalled_for(26) == 0
    await peer.take()
    assert sender.stalled_for(60) == 0


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["push", "send", "put", "take"]), st.integers(1, 1_500)), max_size=30))
def test_what_was_taken_arrives_once_in_order_and_within_bounds(steps: list[tuple[str, int]]) -> None:
    async def scenario() -> None:
        peer = Peer()
        sender = Sender(peer, FlushTick(), limit=LIMIT, now=0)
        sendings: list[asyncio.Task[None]] = []
        taken = 0
        put = 0
        for number, (step, size) in enumerate(steps):
            message = number.to_bytes(2, "big") * size
            match step:
                case "push":
                    taken += sender.push(message)
                case "send":
                    sendings.append(asyncio.create_task(sender.send(message)))
                    await asyncio.sleep(0)
                case "put":
                    sender.put(message)
                    put += len(message)
                    taken += 1
                case _:
                    await peer.take(size)
            assert sender.pending <= LIMIT + put or sender.pending <= LIMIT // 4 + 3_000 + put
        while sender.pending or not all(sending.done() for sending in sendings):
            await peer.take()
        assert len(peer.written) == taken + len(sendings)
        assert len(set(peer.written)) == len(peer.written)
        await sender.close()

    asyncio.run(scenario())

"""The sender: everything that one connection is to be told goes through it, in order and bounded."""

from __future__ import annotations

import asyncio

from syncline.service.sinks import SinkClosed
from syncline.web.flush_tick import FlushTick
from syncline.web.outlets import Outlet

_OUTLET_BYTES = 64 * 1024


class Sender:
    """One socket's messages on their way out.

    Invariants: messages leave in the order in which they were taken; a message is taken by ``push`` and ``send`` only
    while ``pending`` and it fit into ``limit``, or at most a quarter of the limit is pending, so that one large message
    passes too; what is queued waits for the flusher or for the tick; a task runs only while the peer is behind; who
    waits is served in turn, by the flusher.
    """

    __slots__ = (
        "_closed",
        "_flusher",
        "_gone",
        "_handed_over",
        "_limit",
        "_moved_at",
        "_outlet",
        "_queue",
        "_queued",
        "_tick",
        "_waiting",
        "_written_in",
    )

    def __init__(self, outlet: Outlet, tick: FlushTick, *, limit: int, now: float) -> None:
        self._outlet = outlet
        self._tick = tick
        self._written_in = -1
        """The tick's number; at any time before, it does not matter when."""
        self._limit = limit
        # So that the outlet being writable means that there is room.
        outlet.limit_buffer(min(limit // 4, _OUTLET_BYTES))
        # Lists: an empty deque takes ten times as much.
        self._queue: list[bytes] = []
        self._queued = 0
        self._waiting: list[tuple[bytes | None, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False
        self._handed_over = 0
        self._gone = 0
        self._moved_at = now

    @property
    def pending(self) -> int:
        """Bytes that were taken and that the peer has not got yet, as far as this process knows."""
        return self._queued + self._outlet.buffered

    @property
    def overfull(self) -> bool:
        """Whether ``put`` brought more than there was room for: the device asks faster than it takes the answers."""
        return self.pending > self._limit

    def push(self, message: bytes) -> bool:
        """Take the message if there is room for it and nobody waits; never waits.

        To a socket that was not written to within this tick it leaves at once, else together with what else comes.
        """
        tick = self._tick
        if (
            self._written_in != tick.number
            and not self._queued
            and self._flusher is None
            and not self._closed
            and self._outlet.write_now(message)
        ):
            # Nothing and nobody waited, and the outlet was writable: then there was room.
            self._handed_over += len(message)
            self._written_in = tick.number
            if not tick.running:
                tick.run()
            return True
        if not self._accepts(len(message)):
            return False
        self._enqueue(message)
        if self._flusher is None:
            self._tick.add(self)
        return True

    def flush(self) -> None:
        """Write what is queued, unless the peer is behind: then that is the flusher's work."""
        if self._flusher is not None or not self._queue:
            return
        if self._outlet.write_now(*self._queue):
            self._wrote(self._queued)
            self._queue.clear()
            self._queued = 0
        else:
            self._ensure_flusher()

    async def send(self, message: bytes) -> None:
        """Take the message when it is its turn and there is room. Raises SinkClosed when the connection is gone.

        Who cancels this cannot know whether the message was taken.
        """
        if self._accepts(len(message)):
            self._take(message)
        else:
            await self._wait(message)

    def put(self, message: bytes) -> None:
        """Take the message whatever is pending. For answers that are owed; follow it with ``room``."""
        if not self._closed:
            self._take(message)

    async def room(self) -> None:
        """Wait, in turn, until there is room. Raises SinkClosed when the connection is gone."""
        if not self._accepts(1):
            await self._wait(None)

    async def flushed(self) -> None:
        """Wait until nothing is queued here (what the outlet has buffered may still be on its way)."""
        self.flush()
        while self._flusher is not None and not self._closed:
            await asyncio.wait({self._flusher})

    def stalled_for(self, now: float) -> float:
        """Seconds for which the peer has taken nothing although something is pending. To be asked every few seconds."""
        gone = self._handed_over - self._outlet.buffered
        if gone != self._gone or self.pending == 0:
            self._gone = gone
            self._moved_at = now
        return now - self._moved_at

    async def close(self) -> None:
        """Drop what is queued, and refuse what comes. Who waits gets SinkClosed."""
        self._close()
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)

    def _close(self) -> None:
        self._closed = True
        self._queue.clear()
        self._queued = 0
        while self._waiting:
            _, waiter = self._waiting.pop(0)
            if not waiter.done():
                waiter.set_exception(SinkClosed())

    def _accepts(self, size: int) -> bool:
        return not self._closed and not self._waiting and self._fits(size)

    def _fits(self, size: int) -> bool:
        pending = self.pending
        return pending + size <= self._limit or pending <= self._limit // 4

    def _take(self, message: bytes) -> None:
        if self._flusher is None and not self._queue and self._outlet.write_now(message):
            self._wrote(len(message))
            return
        self._enqueue(message)
        self.flush()

    def _wrote(self, size: int) -> None:
        self._handed_over += size
        self._written_in = self._tick.number
        self._tick.run()

    def _enqueue(self, message: bytes) -> None:
        self._queue.append(message)
        self._queued += len(message)

    async def _wait(self, message: bytes | None) -> None:
        if self._closed:
            raise SinkClosed
        waiter = asyncio.get_running_loop().create_future()
        entry = (message, waiter)
        self._waiting.append(entry)
        self._ensure_flusher()
        try:
            await waiter
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise

    def _admit(self) -> None:
        while self._waiting:
            message, waiter = self._waiting[0]
            if not self._fits(1 if message is None else len(message)):
                return
            self._waiting.pop(0)
            if waiter.done():
                continue
            if message is not None:
                self._enqueue(message)
            waiter.set_result(None)

    def _ensure_flusher(self) -> None:
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush(), name="flush")

    async def _flush(self) -> None:
        try:
            while not self._closed and (self._queue or self._waiting):
                if self._queue:
                    message = self._queue.pop(0)
                    self._queued -= len(message)
                    self._handed_over += len(message)
                    await self._outlet.write(message)
                else:
                    await self._outlet.writable()
                self._admit()
        except OSError:
            # The peer is gone; the connection learns it by its own receive.
            self._close()
        finally:
            self._flusher = None

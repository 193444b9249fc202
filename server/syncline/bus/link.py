"""A node's link to one server of the bus: one connection that listens, publishes and makes sure of itself.

It beats: every 1.5 s it publishes to itself, and asks for a PONG. A server that hangs, or cannot be reached, does not
answer within 2 s. One that answers although the beat did not come back, twice in a row, no longer counts us among the
subscribers. Both end the link. Beats also tell the other nodes how many messages they should have by now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from syncline.bus.hints import BEAT, enveloped, is_beat, node_in
from syncline.bus.resp import Access, Address, Unreachable, Wire, dial, packed
from syncline.logs import get_logger
from syncline.ports import Topic

_log = get_logger(__name__)

TAGS: Final = 128
"""Channels of the bus. Every node listens to all, so to subscribe anew is always the same work."""
MAX_QUEUED_BYTES: Final = 1024 * 1024
"""What may wait for a server that does not take it. More is dropped: the sweep makes up for it."""
MAX_QUEUED_WITH_LETTERS: Final = MAX_QUEUED_BYTES // 4
"""Letters are dropped above this already, so that they never take the place of hints."""

_GRACE_SECONDS: Final = 0.1
_LOST_BEATS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How a link watches itself. A hung server is noticed after ``beat_seconds`` + ``deadline_seconds`` at most."""

    beat_seconds: float = 1.5
    deadline_seconds: float = 2.0


def tag_of(topic: Topic) -> int:
    """The channel that the topic's hints travel on, the same on every node."""
    return crc32(topic.encode()) % TAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the bus is spelled on a server. ``sharded``: the channels live where a cluster has their slots."""

    prefix: str
    sharded: bool

    def channel(self, tag: int) -> bytes:
        return f"{self.prefix}:{{{tag:02}}}".encode()

    @property
    def publish(self) -> bytes:
        return b"SPUBLISH" if self.sharded else b"PUBLISH"

    @property
    def subscribe(self) -> bytes:
        return b"SSUBSCRIBE" if self.sharded else b"SUBSCRIBE"

    @property
    def message(self) -> bytes:
        return b"smessage" if self.sharded else b"message"


class Link:
    """Carries the hints and letters of ``tags`` to and from one server, until it is ``lost``.

    ``on_message`` is called with what other nodes sent, in the order of the server.
    """

    def __init__(
        self, wire: Wire, tags: frozenset[int], dialect: Dialect, origin: bytes, on_message: Callable[[bytes], None]
    ) -> None:
        self.tags = tags
        self.dropped = 0
        self.lag_seconds: float | None = None
        """How long the last beat took to come back."""
        self._wire = wire
        self._dialect = dialect
        self._origin = origin
        self._node = node_in(enveloped(origin, 0, BEAT))
        self._on_message = on_message
        self._heads = {tag: _publishing(dialect, tag) for tag in tags}
        self._beat_tag = min(tags)
        self._sequence = 0
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._expected = {dialect.channel(tag) for tag in tags}
        self._subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beat_back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beat_sent = 0.0
        self._beating: asyncio.Task[None] | None = None
        wire.on_push = self._take_push

    @classmethod
    async def open(
        cls,
        address: Address,
        tags: frozenset[int],
        *,
        access: Access,
        dialect: Dialect,
        origin: bytes,
        on_message: Callable[[bytes], None],
        primary: bool,
        timing: Timing,
    ) -> Link:
        """A link that has heard its own first beat. ``primary``: the server must be one, and stay one.

        Raises Unreachable. Cancelling is safe.
        """
        wire, told = await dial(address, access, b"syncline")
        try:
            if primary and told.get(b"role") not in (b"master", b"primary"):
                raise Unreachable(f"{address} is a replica")
            link = cls(wire, tags, dialect, origin, on_message)
            async with asyncio.timeout(timing.deadline_seconds):
                await link._subscribe()
            link._beating = asyncio.create_task(link._beat_on(timing, primary), name=f"bus link {address}")
        except TimeoutError as error:
            wire.fail("no answer")
            raise Unreachable(f"{address} does not confirm subscriptions") from error
        except BaseException:
            wire.fail("never opened")
            raise
        return link

    @property
    def lost(self) -> asyncio.Future[str]:
        """Done, with the reason, once the link carries nothing any more."""
        return self._wire.lost

    @property
    def address(self) -> Address:
        return self._wire.address

    def tell(self, tag: int, letter: bytes) -> None:
        """Send what ``HintCodec.sealed_letter`` made, or let it be. Nothing is to be done about a letter that is lost,
        so one that is dropped here has no number.
        """
        self._look_at_backlog()
        if self._queued_bytes <= MAX_QUEUED_WITH_LETTERS and not self._wire.lost.done():
            self.publish(tag, letter)

    def publish(self, tag: int, letter: bytes) -> None:
        """Send what ``HintCodec.sealed`` made. All of one turn of the event loop leaves in one write."""
        # Also what is dropped has its number, so that the others know that they lack something.
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._look_at_backlog()
        if self._queued_bytes > MAX_QUEUED_BYTES or self._wire.lost.done():
            self.dropped += 1
            return
        message = enveloped(self._origin, sequence, letter)
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._flush)
        self._queue.append(b"%b$%d\r\n%b\r\n" % (self._heads[tag], len(message), message))
        self._queued_bytes += len(message)

    def _look_at_backlog(self) -> None:
        if self._queued_bytes > MAX_QUEUED_WITH_LETTERS and not self._queue:
            # As of the last time that something was written; the server may have taken it since.
            self._queued_bytes = self._wire.backlog_bytes

    async def close(self) -> None:
        """Send what waits, within reason, and go."""
        try:
            if self._beating is not None:
                self._beating.cancel()
                await asyncio.gather(self._beating, return_exceptions=True)
            self._flush()
            await self._wire.close()
        finally:
            self._wire.fail("closed")

    def _flush(self) -> None:
        if self._queue:
            self._wire.write(b"".join(self._queue), replies=len(self._queue))
            self._queue.clear()
        self._queued_bytes = self._wire.backlog_bytes

    # --- making sure -------------------------------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        # One command for each channel: a cluster takes only channels of one slot together.
        subscribe = self._dialect.subscribe
        channels = sorted(self._expected)
        self._wire.write(b"".join(packed(subscribe, channel) for channel in channels), replies=0)
        await self._unless_lost(self._subscribed)
        self._send_beat()
        await self._unless_lost(self._beat_back)

    async def _unless_lost(self, happened: asyncio.Future[None]) -> None:
        awaited: list[asyncio.Future[Any]] = [happened, self._wire.lost]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if self._wire.lost.done():
            raise Unreachable(f"{self.address}: {self._wire.lost.result()}")

    async def _beat_on(self, timing: Timing, primary: bool) -> None:
        missing = 0
        while not self._wire.lost.done():
            await asyncio.sleep(timing.beat_seconds)
            self._send_beat()
            try:
                answer = await self._answer(b"ROLE" if primary else b"PING", timing.deadline_seconds)
                if primary and not _is_primary(answer):
                    self._wire.fail("the server became a replica")
            except Unreachable as error:
                self._wire.fail(str(error))
            except Exception:
                # Not to be watched is worse than to be connected anew.
                _log.exception("bus_link_failed")
                self._wire.fail("a fault of ours")
            # The server took the beat before the PING, so it has sent it before the PONG.
            missing = 0 if self._beat_back.done() else missing + 1
            if missing == _LOST_BEATS:
                self._wire.fail("what is published does not come back")

    def _send_beat(self) -> None:
        self._flush()
        loop = asyncio.get_running_loop()
        self._beat_back, self._beat_sent = loop.create_future(), loop.time()
        message = enveloped(self._origin, self._sequence, BEAT)
        self._sequence += 1
        self._wire.write(b"%b$%d\r\n%b\r\n" % (self._heads[self._beat_tag], len(message), message), replies=1)

    async def _answer(self, command: bytes, deadline_seconds: float) -> Any:
        asking = asyncio.ensure_future(self._wire.ask(command))
        try:
            # Where it was this process that did not get its turn, the answer waits in the socket: look once more.
            for seconds in (deadline_seconds, _GRACE_SECONDS):
                done, _ = await asyncio.wait([asking], timeout=seconds)
                if done:
                    return asking.result()
            raise Unreachable(f"no answer within {deadline_seconds:g} s")
        finally:
            asking.cancel()

    def _take_push(self, push: list[Any]) -> None:
        kind = push[0]
        if kind == self._dialect.message:
            message: bytes = push[2]
            if node_in(message) != self._node:
                self._on_message(message)
            elif is_beat(message, self._origin):
                self._take_beat()
        elif kind == self._dialect.subscribe.lower():
            self._expected.discard(push[1])
            if not self._expected and not self._subscribed.done():
                self._subscribed.set_result(None)
        elif kind in (b"sunsubscribe", b"unsubscribe"):
            self._wire.fail("a channel moved to another server")

    def _take_beat(self) -> None:
        if not self._beat_back.done():
            self._beat_back.set_result(None)
            self.lag_seconds = asyncio.get_running_loop().time() - self._beat_sent


def _publishing(dialect: Dialect, tag: int) -> bytes:
    """The start of the command that publishes to the tag's channel, up to the length of the message."""
    return b"*3\r\n" + packed(dialect.publish, dialect.channel(tag)).partition(b"\r\n")[2]


def _is_primary(role: Any) -> bool:
    return isinstance(role, list) and bool(role) and role[0] in (b"master", b"primary")

"""The bus between nodes, over Redis or Valkey pub/sub.

Hints between the services of this node do not go through Redis. Those for other nodes do: published on the channel of
their topic's tag and heard by every node, which opens those that somebody here waits for. Redis is a doorbell: with it
down, slow or lossy, syncs and queries go on, and what it did not tell the sweep finds out. ``on_change`` says when.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final

from syncline.bus.hints import LOOK, HintCodec, NoHint, opened, origin_of
from syncline.bus.link import TAGS, Link, Timing, tag_of
from syncline.bus.local import LocalBus, LocalWatch
from syncline.bus.peers import Peers
from syncline.bus.redis_url import Target, target_of
from syncline.bus.resp import Address, Unreachable
from syncline.core.feed import Hint
from syncline.logs import get_logger
from syncline.ports import MAX_LETTER_BYTES, Ear, Listener, Topic

_log = get_logger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0
_STEADY_SECONDS: Final = 5.0
"""What held this long was no accident: if it breaks, it is tried again at once."""
_START_PATIENCE_SECONDS: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BusHealth:
    """How the bus does, for metrics. The counts begin with the process."""

    up: bool
    reason: str | None
    """Why it is not up, as of the last try; fit to be shown."""
    servers: int
    lag_seconds: float | None
    """From publishing to hearing it, on the slowest server; None while there is none."""
    gaps: int
    """How often messages were missing."""
    dropped: int
    """Hints that were not sent, because the bus was down or too slow."""
    junk: int
    """Messages that were none of ours."""
    unread: int
    """Hints that could only ring, and letters that were left out: of another version's format, damaged, or sealed with
    another secret."""
    outages: int


class RedisBus:
    """Hints within this node by way of the event loop, to and from others by way of Redis or Valkey.

    One task connects, and connects again, with growing pauses; each server has one connection.
    """

    def __init__(self, target: Target, *, secret: bytes = b"", timing: Timing | None = None) -> None:
        self._target = target
        self._timing = timing or Timing()
        self._codec = HintCodec(secret)
        self._local = LocalBus()
        self._node = token_bytes(8)
        self._links: dict[Address, Link] = {}
        self._link_of_tag: list[Link | None] = [None] * TAGS
        self._links_made = 0
        self._peers = Peers()
        self._listeners: list[Callable[[], None]] = []
        self._up = False
        self._since: float | None = None
        """When ``up`` last changed; None: it was never told."""
        self._reason: str | None = "not started"
        self._outages = self._junk = self._unread = self._dropped = 0
        self._stirred = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls, url: str, *, secret: bytes = b"", timing: Timing | None = None, setting: str = "redis_url"
    ) -> RedisBus:
        """A bus that is yet to be started.

        ``secret`` is the same on all nodes and unknown to Redis; with it, commits that somebody else put on the bus are
        not believed. Raises StartRefused, naming ``setting``, if the URL says nothing that can be used.
        """
        return cls(target_of(url, setting=setting), secret=secret, timing=timing)

    async def start(self) -> None:
        """Begin to connect. Returns once connected or, with Redis down, after one try, 2.5 s at most; never fails."""
        tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.create_task(self._keep(tried), name="bus")
        await asyncio.wait([tried], timeout=_START_PATIENCE_SECONDS)

    # --- the port ----------------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self._up

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def publish(self, topic: Topic, hint: Hint) -> None:
        self._local.publish(topic, hint)
        tag = tag_of(topic)
        link = self._link_of_tag[tag]
        if link is None:
            self._dropped += 1
            return
        try:
            link.publish(tag, self._codec.sealed(topic, hint))
        except Exception:
            # The commit stands: whatever is wrong with its hint must not reach who made it.
            _log.exception("hint_not_published", topic=topic)

    async def watch(self, topic: Topic, listener: Listener) -> LocalWatch[Hint]:
        return await self._local.watch(topic, listener)

    def tell(self, topic: Topic, letter: bytes) -> None:
        self._local.tell(topic, letter)
        tag = tag_of(topic)
        link = self._link_of_tag[tag]
        if link is None:
            return
        try:
            link.tell(tag, self._codec.sealed_letter(topic, letter))
        except Exception:
            # It may be lost: no more than that.
            _log.exception("letter_not_told", topic=topic)

    async def listen(self, topic: Topic, ear: Ear) -> LocalWatch[bytes]:
        return await self._local.listen(topic, ear)

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        self._up = False
        self._listeners.clear()
        self._link_of_tag = [None] * TAGS
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links))
        await self._local.close()

    @property
    def health(self) -> BusHealth:
        links = self._links.values()
        lags = [link.lag_seconds for link in links if link.lag_seconds is not None]
        return BusHealth(
            up=self._up,
            reason=self._reason,
            servers=len(links),
            lag_seconds=max(lags, default=None),
            gaps=self._peers.gaps,
            dropped=self._dropped + sum(link.dropped for link in links),
            junk=self._junk,
            unread=self._unread,
            outages=self._outages,
        )

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self, message: bytes) -> None:
        try:
            envelope = opened(message)
        except NoHint:
            self._junk += 1
            return
        if self._peers.heard(envelope.origin, envelope.sequence):
            self._tell()
        if self._local.watched(envelope.topic):
            hint = self._codec.hint(envelope)
            if hint is LOOK:
                self._unread += 1
            self._local.publish(envelope.topic, hint)
        if self._local.listened_to(envelope.topic):
            letter = self._codec.letter(envelope)
            if letter is None:
                self._unread += 1
            elif len(letter) <= MAX_LETTER_BYTES:
                self._local.tell(envelope.topic, letter)

    def _tell(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                _log.exception("listener_failed")

    # --- staying connected -------------------------------------------------------------------------------------------

    async def _keep(self, tried: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            self._stirred.clear()
            try:
                reason = await self._connect()
            except Exception as error:
                # A fault of ours must not end the bus for good.
                _log.exception("bus_failed")
                reason = type(error).__name__
            self._change(up=reason is None, reason=reason)
            if not tried.done():
                tried.set_result(None)
            if reason is None:
                connected_at = loop.time()
                await self._listen()
                if loop.time() - connected_at >= _STEADY_SECONDS:
                    failures = 0
            pause = min(_FIRST_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS)
            failures = min(failures + 1, 16)
            # Not all nodes at the same moment.
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311

    async def _listen(self) -> None:
        """Until something changes, notice who falls silent."""
        while not self._stirred.is_set():
            try:
                async with asyncio.timeout(self._timing.beat_seconds):
                    await self._stirred.wait()
            except TimeoutError:
                if self._peers.beat_passed():
                    self._tell()

    async def _connect(self) -> str | None:
        """Find out where the channels are, and link to those servers; why that did not work, if it did not.

        Links that are as they should be are left alone.
        """
        await self._let_go([link for link in self._links.values() if link.lost.done()])
        try:
            layout = await self._target.places.find()
        except Unreachable as error:
            return str(error)
        await self._let_go([link for link in self._links.values() if layout.get(link.address) != link.tags])
        opening = [self._open(address, tags) for address, tags in layout.items() if address not in self._links]
        reasons = [reason for reason in await asyncio.gather(*opening) if reason is not None]
        missing = TAGS - sum(len(tags) for tags in layout.values())
        if missing:
            reasons.append(f"no server has {missing} of the {TAGS} channels")
        lost = [link.lost.result() for link in self._links.values() if link.lost.done()]
        return "; ".join(reasons + lost) or None

    async def _open(self, address: Address, tags: frozenset[int]) -> str | None:
        self._links_made += 1
        try:
            link = await Link.open(
                address,
                tags,
                access=self._target.access,
                dialect=self._target.dialect,
                origin=origin_of(self._node, self._links_made),
                on_message=self._hear,
                primary=self._target.places.elected,
                timing=self._timing,
            )
        except Unreachable as error:
            return str(error)
        self._links[address] = link
        for tag in tags:
            self._link_of_tag[tag] = link
        link.lost.add_done_callback(lambda lost: self._on_lost(link, lost.result()))
        return None

    def _on_lost(self, link: Link, reason: str) -> None:
        if self._links.get(link.address) is link:
            self._stirred.set()
            self._change(up=False, reason=f"{link.address}: {reason}")

    async def _let_go(self, links: list[Link]) -> None:
        for link in links:
            del self._links[link.address]
            self._link_of_tag = [None if each is link else each for each in self._link_of_tag]
            self._dropped += link.dropped
        await asyncio.gather(*(link.close() for link in links))

    def _change(self, *, up: bool, reason: str | None = None) -> None:
        self._reason = reason
        if up == self._up and self._since is not None:
            return
        now = asyncio.get_running_loop().time()
        seconds = None if self._since is None else round(now - self._since, 1)
        self._up, self._since = up, now
        if up:
            self._peers.forget()
            _log.info("bus_up", servers=[str(address) for address in self._links], down_seconds=seconds)
        else:
            self._outages += 1
            _log.warning("bus_down", reason=reason, up_seconds=seconds)
        self._tell()

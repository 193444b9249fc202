"""Channels: each follows one dataset for all feeds on this node that watch it.

A channel takes each commit once, from the bus or from the log, and gives it to its fan-out (``service/fan_out.py``).
Whoever cannot take it at once leaves and reads the log for itself (``service/feeds.py``). What to do about a hint is
decided in ``core/feed.py``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from syncline.core import feed
from syncline.core.checkpoint import Checkpoint, Since
from syncline.core.feed import Hint, Mark, OnHint
from syncline.core.ids import DatasetId, IdentityId, tenant_of
from syncline.core.model import Commit, DatasetHead, DatasetRef, Position, Role, Viewer
from syncline.core.pages import MAX_FEED_PAGE_BYTES, LogRead, PageRequest, author_of
from syncline.errors import SynclineError
from syncline.logs import get_logger
from syncline.metrics import Metrics
from syncline.ports import Access, Bus, Store, Watch
from syncline.service.fan_out import FanOut, Follower
from syncline.topics import dataset_topic

_log = get_logger(__name__)

_RETRY_SECONDS = (0.1, 0.5, 2.0, 5.0)
_FEED_PAGE = PageRequest(max_bytes=MAX_FEED_PAGE_BYTES)


class Channel:
    """One dataset's live followers on this node.

    Invariant: at most one task reads the log, and while it does, hints only ask it to look once more.
    """

    def __init__(self, head: DatasetHead, store: Store, metrics: Metrics) -> None:
        self.head = head
        """As it was when the channel was made, or when somebody's standing changed last."""
        self.dataset = head.id
        self.references = 0
        self.gone = False
        """The dataset was deleted: followers are to read the log, which tells them."""
        self._tenant = tenant_of(head.owner)
        self._access = Access(scope=0, roles={})
        """Who may follow. Of a dataset that was never shared, nobody need look that up."""
        self._store = store
        self._metrics = metrics
        self._fan_out: FanOut | None = None
        self._reading: asyncio.Task[None] | None = None
        self._look_again = False
        self._no_pause: asyncio.Event | None = None
        """While a read that failed waits to be tried again."""
        self._watch: Watch | None = None
        self._closed = False

    @property
    def follows(self) -> bool:
        """Whether the channel is open, and its dataset there, as far as this node knows."""
        return self._fan_out is not None and not self.gone and not self._closed

    @property
    def fan_out(self) -> FanOut:
        if self._fan_out is None:
            raise RuntimeError("the channel is not open")
        return self._fan_out

    @property
    def scope(self) -> int:
        """As of which it is known who may follow."""
        return self._access.scope

    def role_of(self, identity: IdentityId) -> Role | None:
        """The identity's, as far as this node knows; None: it may not follow."""
        return self._access.roles.get(identity)

    async def open(self, bus: Bus) -> None:
        """Listen to the bus first, then look where the dataset stands. In this order nothing can fall between."""
        self._watch = await bus.watch(dataset_topic(self._tenant, self.dataset), self.on_hint)
        read = await self._read(None)
        await self._look_who_sees(read)
        self._fan_out = FanOut(Mark(read.epoch, read.start), on_pass=self._metrics.delivered)
        if self._look_again:
            self.read_log()

    async def close(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._fan_out is not None:
            self._fan_out.stop()

    async def catch_up(self) -> None:
        """Wait until the fan-out has moved on, or the log was read: for who is ahead of it."""
        if self.fan_out.commits_wait:
            await self.fan_out.moved()
        else:
            await asyncio.shield(self.read_log())

    def on_hint(self, hint: Hint) -> None:
        if self._fan_out is None or self._reading is not None:
            self._look_again = True
            return
        match feed.on_hint(self._fan_out.taken, hint):
            case OnHint.IGNORE:
                return
            case OnHint.DELIVER if hint.commit is not None and hint.commit.scope == self._access.scope:
                self._fan_out.add(hint.commit)
            case _:
                if feed.shows_a_gap(self._fan_out.taken, hint):
                    self._metrics.bus_gaps["hint"].inc()
                self.read_log()

    def read_log(self) -> asyncio.Task[None]:
        """Have the log read up to where it ends now, or later. Await the task to know that it was."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on(), name=f"channel {self.dataset}")
        else:
            self._look_again = True
        return self._reading

    def look_now(self) -> None:
        """The log is there and has more: have it read without waiting any longer, if the last try failed."""
        self.read_log()
        if self._no_pause is not None:
            self._no_pause.set()

    async def _look_who_sees(self, read: LogRead) -> bool:
        """Make sure that who may follow is known as of what was read, or later. True: it may be others than before.

        Before this, nothing of what was read may be delivered.
        """
        head = read.head
        if head is None or head.scope == self._access.scope:
            if head is not None and not head.scope:
                self._access = Access(scope=0, roles={head.owner: Role.OWNER})
            return False
        access = await self._store.access(self._tenant, self.dataset)
        if access is not None:
            self._access = access
        # With another owner it may have got another name.
        self.head = head
        return True

    def _may_not_follow(self, follower: Follower) -> bool:
        return follower.identity not in self._access.roles

    async def _read_on(self) -> None:
        failures = 0
        try:
            while not self._closed:
                self._look_again = False
                try:
                    read = await self._read(self.fan_out.taken)
                    if await self._look_who_sees(read):
                        self.fan_out.expel(self._may_not_follow)
                except SynclineError as error:
                    _log.warning("channel_read_failed", dataset=self.dataset, code=error.code)
                    await self._pause(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                    failures += 1
                    continue
                failures = 0
                if self._take(read) or self._look_again:
                    continue
                return
        finally:
            self._reading = None

    async def _pause(self, seconds: float) -> None:
        self._no_pause = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._no_pause.wait()
        self._no_pause = None

    async def _read(self, mark: Mark | None) -> LogRead:
        since = None if mark is None else Checkpoint(mark.epoch, self.dataset, mark.position)
        return await self._store.node_log(self._tenant, self.dataset, since, _FEED_PAGE)

    def _take(self, read: LogRead) -> bool:
        """Have delivered what was read. True: there is more."""
        page, fan_out = read.page, self.fan_out
        if read.live_head is None or page is None:
            self.gone = True
            fan_out.dismiss(fan_out.mark)
            return False
        if read.reason is not None:
            # The log is another one than before. Each follower finds that out for itself, and tells its device.
            fan_out.dismiss(Mark(read.epoch, Position(read.live_head.version)))
            return False
        if page.position != fan_out.taken.position:
            fan_out.add(
                Commit(
                    dataset=self.dataset,
                    epoch=read.epoch,
                    previous=fan_out.taken.position,
                    position=page.position,
                    author=author_of(page.records),
                    records=page.records,
                    scope=read.live_head.scope,
                )
            )
        return page.has_more


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class Channels:
    """The channels of this node. Each exists as long as somebody follows it."""

    def __init__(self, store: Store, bus: Bus, metrics: Metrics) -> None:
        self.metrics = metrics
        self.feeds = 0
        """How many deliver, or are about to."""
        self._store = store
        self._bus = bus
        self._channels: dict[DatasetId, Channel] = {}
        self._opening: dict[DatasetId, asyncio.Task[None]] = {}

    async def acquire(self, head: DatasetHead) -> Channel:
        """The dataset's channel, open: it misses nothing from now on. Give it back with ``release``."""
        channel = self._channels.get(head.id)
        if channel is None:
            channel = self._channels[head.id] = Channel(head, self._store, self.metrics)
            self._opening[head.id] = asyncio.create_task(channel.open(self._bus), name=f"open channel {head.id}")
        channel.references += 1
        opening = self._opening.get(head.id)
        try:
            if opening is not None:
                # Others may wait for the same opening: one of them being cancelled must not end it for all.
                await asyncio.shield(opening)
        except BaseException:
            if opening is not None and _failed(opening) and self._channels.get(head.id) is channel:
                # Whoever comes next begins anew.
                del self._channels[head.id]
            await self.release(channel)
            raise
        finally:
            if opening is not None and opening.done():
                self._opening.pop(head.id, None)
        return channel

    def followed(self, viewer: Viewer, ref: DatasetRef, since: Since | None) -> DatasetHead | None:
        """The dataset, if its channel stands where the viewer's device does: then nobody need ask the store.

        What this node has not heard of yet, it has to hear of for those who follow the channel already.
        """
        if not isinstance(since, Checkpoint):
            return None
        channel = self._channels.get(since.dataset)
        role = None if channel is None or not channel.follows else channel.role_of(viewer.identity)
        if channel is None or role is None:
            return None
        if ref.id != channel.dataset and (ref.name != channel.head.name or role is not Role.OWNER):
            return None
        mark = channel.fan_out.mark
        return channel.head if (mark.epoch, mark.position) == (since.epoch, since.position) else None

    async def release(self, channel: Channel) -> None:
        channel.references -= 1
        if channel.references:
            return
        if self._channels.get(channel.dataset) is channel:
            del self._channels[channel.dataset]
        opening = self._opening.pop(channel.dataset, None)
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        await channel.close()

    async def sweep(self) -> None:
        """Look where the followed datasets stand, in one query, and read the log wherever a hint was lost."""
        channels = {dataset: channel for dataset, channel in self._channels.items() if dataset not in self._opening}
        if not channels:
            return
        epoch = await self._store.epoch()
        heads = await self._store.heads(list(channels))
        for dataset, channel in channels.items():
            head = heads.get(dataset)
            behind = head is None or head.deleted or channel.fan_out.taken.epoch != epoch
            if head is not None and Position(head.version) > channel.fan_out.taken.position:
                behind = True
                self.metrics.bus_gaps["sweep"].inc()
            behind = behind or (head is not None and head.scope != channel.scope)
            if behind and self._channels.get(dataset) is channel:
                channel.look_now()

    async def close(self) -> None:
        channels, self._channels = list(self._channels.values()), {}
        for opening in self._opening.values():
            opening.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in channels))

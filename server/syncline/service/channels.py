"""Channels: each follows one dataset for all feeds on this node that watch it.

A commit is taken once per channel, filtered and encoded once per group of followers that get the same bytes, and handed
to each. Whoever cannot take it at once leaves the group and reads the log for itself (``service/feeds.py``). What to do
about a hint is decided in ``core/feed.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Any, Protocol

from syncline.core import feed
from syncline.core.checkpoint import Checkpoint
from syncline.core.feed import Hint, Mark, OnHint
from syncline.core.ids import DatasetId
from syncline.core.model import Commit, DatasetHead, DatasetRef, Position, Viewer
from syncline.core.pages import MAX_FEED_PAGE_BYTES, LogRead, PageRequest, RecordFilter, author_of
from syncline.errors import SynclineError
from syncline.logs import get_logger
from syncline.ports import Bus, Store, Watch
from syncline.topics import dataset_topic

_log = get_logger(__name__)

_RECENT_COMMITS = 64
_RETRY_SECONDS = (0.1, 0.5, 2.0, 5.0)
_FEED_PAGE = PageRequest(max_bytes=MAX_FEED_PAGE_BYTES)


class Follower(Protocol):
    """A live reader of one dataset. Followers of equal ``group`` have equal filters and encode alike."""

    @property
    def group(self) -> Hashable: ...

    @property
    def record_filter(self) -> RecordFilter: ...

    def encode(self, commit: Commit) -> Any:
        """The payload for every follower of the group."""
        ...

    def push(self, payload: Any) -> bool:
        """Take the payload, without waiting; False: no room, and the follower has not taken it."""
        ...

    def left_at(self, position: Position) -> None:
        """The channel lets go of the follower, which was served up to ``position`` and has to read on by itself."""
        ...


class Channel:
    """One dataset's live followers on this node.

    Invariants: every follower in a group has been served exactly up to ``mark``; ``recent`` is a chain of commits that
    ends at ``mark``; at most one task reads the log, and while it does, hints only ask it to look once more.
    """

    def __init__(self, head: DatasetHead, store: Store) -> None:
        self.dataset = head.id
        self.references = 0
        self.gone = False
        """The dataset was deleted: followers are to read the log, which tells them."""
        self.recent: deque[Commit] = deque(maxlen=_RECENT_COMMITS)
        self._owner = Viewer(identity=head.owner, device=None)
        self._store = store
        self._mark: Mark | None = None
        self._groups: dict[Hashable, dict[Follower, None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._look_again = False
        self._watch: Watch | None = None
        self._closed = False

    @property
    def mark(self) -> Mark:
        if self._mark is None:
            raise RuntimeError("the channel is not open")
        return self._mark

    async def open(self, bus: Bus) -> None:
        """Listen to the bus first, then look where the dataset stands. In this order nothing can fall between."""
        self._watch = await bus.watch(dataset_topic(self.dataset), self.on_hint)
        read = await self._read(None)
        self._mark = Mark(read.epoch, read.start)
        if self._look_again:
            self.read_log()

    async def close(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def join(self, follower: Follower) -> None:
        """From here on the follower gets every commit. It must stand exactly where ``mark`` is."""
        self._groups.setdefault(follower.group, {})[follower] = None

    def leave(self, follower: Follower) -> None:
        """Nothing more is pushed to the follower. Leaving twice is harmless."""
        group = self._groups.get(follower.group)
        if group is not None:
            group.pop(follower, None)
            if not group:
                del self._groups[follower.group]

    def on_hint(self, hint: Hint) -> None:
        if self._mark is None or self._reading is not None:
            self._look_again = True
            return
        match feed.on_hint(self._mark, hint):
            case OnHint.IGNORE:
                return
            case OnHint.DELIVER if hint.commit is not None:
                self._deliver(hint.commit)
            case _:
                self.read_log()

    def read_log(self) -> asyncio.Task[None]:
        """Have the log read up to where it ends now, or later. Await the task to know that it was."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on(), name=f"channel {self.dataset}")
        else:
            self._look_again = True
        return self._reading

    async def _read_on(self) -> None:
        failures = 0
        try:
            while not self._closed:
                self._look_again = False
                try:
                    read = await self._read(self.mark)
                except SynclineError as error:
                    _log.warning("channel_read_failed", dataset=self.dataset, code=error.code)
                    await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                    failures += 1
                    continue
                failures = 0
                if self._take(read) or self._look_again:
                    continue
                return
        finally:
            self._reading = None

    async def _read(self, mark: Mark | None) -> LogRead:
        since = None if mark is None else Checkpoint(mark.epoch, self.dataset, mark.position)
        return await self._store.read_log(self._owner, DatasetRef(id=self.dataset), since, _FEED_PAGE)

    def _take(self, read: LogRead) -> bool:
        """Deliver what was read. True: there is more."""
        page = read.page
        if read.live_head is None or page is None:
            self.gone = True
            self._dismiss_all()
            return False
        if read.reason is not None:
            # The log is another one than before. Each follower finds that out for itself, and tells its device.
            self._dismiss_all()
            self.recent.clear()
            self._mark = Mark(read.epoch, Position(read.live_head.version))
            return False
        if page.position != self.mark.position:
            self._deliver(
                Commit(
                    dataset=self.dataset,
                    epoch=read.epoch,
                    previous=self.mark.position,
                    position=page.position,
                    author=author_of(page.records),
                    records=page.records,
                )
            )
        return page.has_more

    def _deliver(self, commit: Commit) -> None:
        self._mark = Mark(commit.epoch, commit.position)
        self.recent.append(commit)
        for group in list(self._groups.values()):
            followers = list(group)
            payload = self._encoded(commit, followers[0])
            for follower in followers:
                if payload is None or not follower.push(payload):
                    self.leave(follower)
                    follower.left_at(commit.previous)

    def _encoded(self, commit: Commit, follower: Follower) -> Any:
        try:
            return follower.encode(feed.filtered(commit, follower.record_filter))
        except Exception:
            # A fault in one group's operation must not reach the others: its followers meet it again, each by itself.
            _log.exception("encoding_failed", dataset=self.dataset)
            return None

    def _dismiss_all(self) -> None:
        position = self.mark.position
        for group in list(self._groups.values()):
            for follower in list(group):
                self.leave(follower)
                follower.left_at(position)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class Channels:
    """The channels of this node. Each exists as long as somebody follows it."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._channels: dict[DatasetId, Channel] = {}
        self._opening: dict[DatasetId, asyncio.Task[None]] = {}

    async def acquire(self, head: DatasetHead) -> Channel:
        """The dataset's channel, open: it misses nothing from now on. Give it back with ``release``."""
        channel = self._channels.get(head.id)
        if channel is None:
            channel = self._channels[head.id] = Channel(head, self._store)
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
            behind = head is None or head.deleted or channel.mark.epoch != epoch
            if head is not None and Position(head.version) > channel.mark.position:
                behind = True
            if behind and self._channels.get(dataset) is channel:
                channel.read_log()

    async def close(self) -> None:
        channels, self._channels = list(self._channels.values()), {}
        for opening in self._opening.values():
            opening.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in channels))

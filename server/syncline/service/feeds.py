"""Feeds: what one subscription is told, from its checkpoint on, without gap or double.

A feed watches the bus before it reads the log, says ``Ready``, delivers what was missed page by page, and then joins
the channels of its datasets. While all its datasets are live a feed is at rest: no task, no queue. A task runs only
while something has to be read: at the start, when the sink had no room, when a dataset comes or goes.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from typing import Any

from syncline.core import feed
from syncline.core.checkpoint import Checkpoint, Since
from syncline.core.commit import Resync
from syncline.core.events import AccessEnded, DatasetDeleted, FeedEvent
from syncline.core.feed import Follow
from syncline.core.ids import DatasetId, Epoch, IdentityId
from syncline.core.model import BEGINNING, Commit, DatasetHead, DatasetRef, Position, Role, Viewer
from syncline.core.pages import MAX_FEED_PAGE_BYTES, LogRead, Page, PageRequest, RecordFilter, author_of
from syncline.errors import InternalError, SynclineError
from syncline.logs import get_logger, new_id
from syncline.ports import Store
from syncline.service.channels import Channel, Channels
from syncline.service.memberships import Membership, Memberships
from syncline.service.sinks import Mailbox, Sink, SinkClosed

_log = get_logger(__name__)

Encode = Callable[[FeedEvent], Any]


class Cursor:
    """One dataset's place in a feed. Live: its channel pushes. Otherwise the feed's task advances it."""

    __slots__ = ("_feed", "channel", "epoch", "head", "live", "position", "sink")

    sink: Sink
    """The feed's, from ``join`` on. Not by way of the feed: it is needed for each follower of each commit."""

    def __init__(self, owner: Feed, channel: Channel, head: DatasetHead, epoch: Epoch, position: Position) -> None:
        self.channel = channel
        self.head = head
        self.epoch = epoch
        self.position = position
        self.live = False
        self._feed = owner

    @property
    def group(self) -> Hashable:
        return self._feed.group

    @property
    def record_filter(self) -> RecordFilter:
        return self._feed.record_filter

    @property
    def identity(self) -> IdentityId:
        return self._feed.viewer.identity

    def encode(self, commit: Commit) -> Any:
        return self._feed.encode(commit)

    def join(self, sink: Sink) -> None:
        """Have the channel push, from where it stands on."""
        self.sink = sink
        self.live = True
        self.channel.fan_out.join(self)

    def left_at(self, position: Position) -> None:
        self.live = False
        self.position = position
        self._feed.wake()

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.epoch, self.head.id, self.position)


class Feed(ABC):
    """What one subscription is told. Start it once with a sink, or iterate over it; then close it.

    Invariants: at most one task runs; a cursor is live or the task has to advance it; every cursor holds a reference to
    its channel; ``Ready`` is the first event.
    """

    __slots__ = (
        "_channels",
        "_closed",
        "_cursors",
        "_encode",
        "_membership",
        "_membership_changed",
        "_memberships",
        "_opened",
        "_sink",
        "_store",
        "_task",
        "group",
        "record_filter",
        "viewer",
    )

    def __init__(
        self, viewer: Viewer, store: Store, memberships: Memberships, channels: Channels, *, record_filter: RecordFilter
    ) -> None:
        self.viewer = viewer
        self.record_filter = record_filter
        self.group: Hashable = None
        self._store = store
        self._memberships = memberships
        self._channels = channels
        self._cursors: dict[DatasetId, Cursor] = {}
        self._membership: Membership | None = None
        self._membership_changed = False
        self._opened = False
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._sink: Sink | None = None
        self._encode: Encode | None = None

    # --- for the transport -------------------------------------------------------------------------------------------

    def start(self, sink: Sink, encode: Encode, cohort: Hashable) -> None:
        """Begin to deliver. Feeds of the same cohort must encode every event alike: it is done once for all of them."""
        self._sink, self._encode = sink, encode
        self._channels.feeds += 1
        self.group = (cohort, self.record_filter)
        self.wake()

    async def close(self) -> None:
        """Deliver nothing more. Safe to call twice, and from any task but the feed's own."""
        if self._closed:
            return
        self._closed = True
        if self._sink is not None:
            self._channels.feeds -= 1
        if self._membership is not None:
            self._membership.close()
        for cursor in self._cursors.values():
            cursor.channel.fan_out.leave(cursor)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        cursors, self._cursors = list(self._cursors.values()), {}
        # They hold the feed: what is kept of it would wait for the cyclic collector.
        self._membership = self._sink = self._encode = None
        for cursor in cursors:
            await self._channels.release(cursor.channel)

    async def __aiter__(self) -> AsyncIterator[FeedEvent]:
        mailbox = Mailbox()
        self.start(mailbox, lambda event: event, cohort=mailbox)
        try:
            async for event in mailbox:
                yield event
        finally:
            await self.close()

    # --- for cursors -------------------------------------------------------------------------------------------------

    def encode(self, event: FeedEvent) -> Any:
        if self._encode is None:
            raise RuntimeError("the feed was not started")
        return self._encode(event)

    def wake(self) -> None:
        """There is something to read."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._run(), name="feed")

    # --- the task ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            if not self._opened:
                await self._open()
                self._opened = True
            while True:
                if self._membership_changed:
                    self._membership_changed = False
                    await self._reconcile()
                    continue
                cursor = next((cursor for cursor in self._cursors.values() if not cursor.live), None)
                if cursor is None:
                    return
                await self._advance(cursor)
        except SinkClosed:
            pass
        except SynclineError as error:
            self._end(error)
        except Exception:
            fault = InternalError(new_id())
            _log.exception("feed_failed", request_id=fault.facts["requestId"])
            self._end(fault)
        finally:
            self._task = None

    async def _send(self, event: FeedEvent) -> None:
        if self._sink is None:
            raise SinkClosed
        await self._sink.send(self.encode(event))

    def _end(self, error: SynclineError | None) -> None:
        for cursor in self._cursors.values():
            cursor.channel.fan_out.leave(cursor)
        if self._sink is not None and not self._closed:
            self._sink.end(error)

    def _on_membership(self, visible: Mapping[DatasetId, Role] | None) -> None:
        if visible is None or not self._follows_all_of(visible):
            self._membership_changed = True
            self.wake()

    async def _watch_membership(self) -> None:
        self._membership = await self._memberships.watch(self.viewer.identity, self._on_membership)

    @abstractmethod
    async def _open(self) -> None:
        """Watch the bus, set up the cursors, and say ``Ready``."""

    @abstractmethod
    def _follows_all_of(self, visible: Mapping[DatasetId, Role]) -> bool:
        """Whether the cursors surely are what they are to be, if the identity sees these datasets."""

    @abstractmethod
    async def _reconcile(self) -> None:
        """Bring the cursors in line with the datasets that the feed is to follow now."""

    @abstractmethod
    async def _gone(self, cursor: Cursor) -> None:
        """The cursor's dataset is not to be seen any more, and the device has been told."""

    async def _follow(self, head: DatasetHead, epoch: Epoch, position: Position) -> Cursor:
        channel = await self._channels.acquire(head)
        cursor = self._cursors[head.id] = Cursor(self, channel, head, epoch, position)
        return cursor

    async def _drop(self, cursor: Cursor) -> None:
        cursor.channel.fan_out.leave(cursor)
        del self._cursors[cursor.head.id]
        await self._channels.release(cursor.channel)
        deleted = await self._is_deleted(cursor.head)
        await self._send(
            DatasetDeleted(dataset=cursor.head.id, name=cursor.head.name)
            if deleted
            else AccessEnded(dataset=cursor.head.id)
        )
        await self._gone(cursor)

    async def _is_deleted(self, head: DatasetHead) -> bool:
        """Of a dataset that the viewer saw: whether it is gone for all, or only for the viewer."""
        mark = (await self._store.heads([head.id])).get(head.id)
        return mark is None or mark.deleted

    async def _advance(self, cursor: Cursor) -> None:
        """One step towards live; which, ``core/feed.py`` decides."""
        # Next time it is another cursor's turn.
        self._cursors[cursor.head.id] = self._cursors.pop(cursor.head.id)
        fan_out = cursor.channel.fan_out
        if cursor.channel.role_of(cursor.identity) is None:
            # It was expelled, or the channel has not heard of it yet. The store knows.
            await asyncio.shield(cursor.channel.read_log())
            await self._read_page(cursor)
            return
        if cursor.epoch != fan_out.mark.epoch or cursor.channel.gone:
            await asyncio.shield(cursor.channel.read_log())
            await self._read_page(cursor)
            return
        match feed.follow(cursor.position, fan_out.mark, fan_out.recent):
            case Follow.JOIN:
                if self._sink is None:
                    raise SinkClosed
                cursor.join(self._sink)
            case Follow.REPLAY:
                for commit in feed.lacking(cursor.position, fan_out.recent):
                    await self._send(feed.filtered(commit, self.record_filter))
                    cursor.position = commit.position
            case Follow.WAIT_FOR_CHANNEL:
                await cursor.channel.catch_up()
            case Follow.READ_LOG:
                await self._read_page(cursor)

    async def _look(self, ref: DatasetRef, since: Since | None) -> LogRead:
        page = PageRequest(max_bytes=MAX_FEED_PAGE_BYTES, filter=self.record_filter)
        return await self._store.read_log(self.viewer, ref, since, page)

    async def _read_page(self, cursor: Cursor) -> None:
        read = await self._look(DatasetRef(id=cursor.head.id), cursor.checkpoint())
        if read.live_head is None or read.page is None:
            await self._drop(cursor)
            return
        if read.reason is not None:
            await self._send(Resync(reason=read.reason, dataset=cursor.head.id))
            cursor.epoch, cursor.position = read.epoch, BEGINNING
        await self._send_page(cursor, read.page)

    async def _send_page(self, cursor: Cursor, page: Page) -> None:
        """The page begins where the cursor stands."""
        if page.position == cursor.position:
            return
        await self._send(
            Commit(
                dataset=cursor.head.id,
                epoch=cursor.epoch,
                previous=cursor.position,
                position=page.position,
                author=author_of(page.records),
                records=page.records,
            )
        )
        cursor.position = page.position

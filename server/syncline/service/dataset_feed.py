"""The feed of one dataset: ``datasetChanges``."""

from __future__ import annotations

from syncline.core.checkpoint import START, Checkpoint, ResyncReason, Since, position_of
from syncline.core.commit import Resync, resync_needed
from syncline.core.events import DatasetDeleted, Ready
from syncline.core.ids import DatasetId
from syncline.core.model import BEGINNING, DatasetHead, DatasetRef, Position, Viewer
from syncline.core.pages import RecordFilter
from syncline.ports import Store
from syncline.service.channels import Channels
from syncline.service.feeds import Cursor, Feed
from syncline.service.memberships import Memberships
from syncline.service.sinks import SinkClosed


class DatasetFeed(Feed):
    """Follows one dataset. By name, it also follows what is created under that name later."""

    __slots__ = ("_ref", "_since")

    def __init__(
        self,
        viewer: Viewer,
        store: Store,
        memberships: Memberships,
        channels: Channels,
        *,
        ref: DatasetRef,
        since: Since | None,
        record_filter: RecordFilter,
    ) -> None:
        super().__init__(viewer, store, memberships, channels, record_filter=record_filter)
        self._ref = ref
        self._since = since

    async def _open(self) -> None:
        if self._ref.name is not None:
            await self._watch_membership()
        epoch = await self._store.epoch()
        head = await self._head()
        since = self._since
        if head is not None and since is None:
            cursor = await self._follow(head, epoch, Position(head.version))
            await self._send(Ready(checkpoint=cursor.checkpoint(), resumed=False))
            return
        resync = resync_needed(since, head, epoch)
        checkpoint: Since = START
        if head is not None:
            position = BEGINNING if resync is not None else position_of(since)
            checkpoint = (await self._follow(head, epoch, position)).checkpoint()
        await self._send(Ready(checkpoint=checkpoint, resumed=since is not None and resync is None))
        if resync is not None and isinstance(since, Checkpoint):
            await self._tell_of_other_log(since, resync)

    async def _tell_of_other_log(self, since: Checkpoint, resync: Resync) -> None:
        if resync.reason is ResyncReason.DATASET_RECREATED:
            known = await self._store.deleted_datasets(self.viewer.identity, [since.dataset])
            if known and known[0].name == self._ref.name:
                await self._send(DatasetDeleted(dataset=known[0].id, name=known[0].name))
                return
        await self._send(resync)

    async def _head(self) -> DatasetHead | None:
        head = await self._store.dataset(self.viewer, self._ref)
        if head is not None and head.deleted_at is not None:
            await self._send(Ready(checkpoint=START, resumed=False))
            await self._send(DatasetDeleted(dataset=head.id, name=head.name))
            self._end(None)
            raise SinkClosed
        return head

    def _follows_all_of(self, owned: frozenset[DatasetId]) -> bool:
        # A name is one dataset's as long as that lives.
        return bool(self._cursors) and owned >= self._cursors.keys()

    async def _reconcile(self) -> None:
        head = await self._store.dataset(self.viewer, self._ref)
        for cursor in list(self._cursors.values()):
            if head is None or cursor.head.id != head.id:
                await self._drop(cursor)
        if head is not None and head.deleted_at is None and head.id not in self._cursors:
            await self._follow(head, await self._store.epoch(), BEGINNING)

    async def _gone(self, cursor: Cursor) -> None:
        if self._ref.id is not None:
            self._end(None)
            raise SinkClosed
        self._membership_changed = True

"""The feed of one dataset: ``datasetChanges``."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.core.checkpoint import START, Checkpoint, ResyncReason, Since
from syncline.core.commit import Resync, resync_needed
from syncline.core.events import DatasetDeleted, Ready
from syncline.core.ids import DatasetId
from syncline.core.model import BEGINNING, DatasetHead, DatasetRef, Role, Viewer
from syncline.core.pages import LogRead, RecordFilter
from syncline.errors import DatasetNotFound
from syncline.ports import Store
from syncline.service.channels import Channels
from syncline.service.feeds import Cursor, Feed
from syncline.service.memberships import Memberships
from syncline.service.sinks import SinkClosed


class DatasetFeed(Feed):
    """Follows one dataset. By name, it also follows what is created under that name later."""

    __slots__ = ("_found", "_ref", "_since")

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
        self._found: LogRead | None = None

    async def find(self) -> None:
        """Look for the dataset before the start. Raises DatasetNotFound for an id that never was one."""
        self._found = await self._look(self._ref, self._since)
        if self._found.head is None and self._ref.id is not None:
            raise DatasetNotFound(self._ref.id)

    async def _open(self) -> None:
        if self._ref.name is not None:
            await self._watch_membership()
        if isinstance(self._since, Checkpoint) and self._found is None:
            head = self._channels.followed(self.viewer, self._ref, self._since)
            if head is not None:
                await self._follow(head, self._since.epoch, self._since.position)
                self._channels.metrics.resumed("live")
                await self._send(Ready(checkpoint=self._since, resumed=True))
                return
        # With its first page: a device that comes back costs one look at the store.
        read = self._found or await self._look(self._ref, self._since)
        self._found = None
        if read.head is not None and read.live_head is None:
            self._channels.metrics.resumed("deleted")
            await self._send(Ready(checkpoint=START, resumed=False))
            await self._send(DatasetDeleted(dataset=read.head.id, name=read.head.name))
            self._end(None)
            raise SinkClosed
        cursor = None if read.head is None else await self._follow(read.head, read.epoch, read.start)
        resync = resync_needed(self._since, read.head, read.epoch)
        self._count(read, resync)
        await self._send(
            Ready(
                checkpoint=START if cursor is None else cursor.checkpoint(),
                resumed=self._since is not None and read.reason is None,
            )
        )
        if resync is not None and isinstance(self._since, Checkpoint):
            await self._tell_of_other_log(self._since, resync)
        if cursor is not None and read.page is not None:
            await self._send_page(cursor, read.page)

    def _count(self, read: LogRead, resync: Resync | None) -> None:
        metrics = self._channels.metrics
        if resync is not None:
            metrics.resumed("resync", resync.reason)
        elif not isinstance(self._since, Checkpoint):
            metrics.resumed("fresh")
        else:
            missed = read.page is not None and read.page.position != read.start
            metrics.resumed("caught_up" if missed else "live")

    async def _tell_of_other_log(self, since: Checkpoint, resync: Resync) -> None:
        if resync.reason is ResyncReason.DATASET_RECREATED:
            known = await self._store.deleted_datasets(self.viewer, [since.dataset])
            if known and known[0].name == self._ref.name:
                await self._send(DatasetDeleted(dataset=known[0].id, name=known[0].name))
                return
        await self._send(resync)

    def _follows_all_of(self, visible: Mapping[DatasetId, Role]) -> bool:
        # A name is one dataset's as long as that lives and has the same owner.
        return bool(self._cursors) and all(visible.get(dataset) is Role.OWNER for dataset in self._cursors)

    async def _reconcile(self) -> None:
        standing = await self._store.dataset(self.viewer, self._ref)
        head = None if standing is None else standing.head
        for cursor in list(self._cursors.values()):
            if (head is None or cursor.head.id != head.id) and not await self._stays_on(cursor, head):
                await self._drop(cursor)
        if head is not None and head.deleted_at is None and head.id not in self._cursors:
            await self._follow(head, await self._store.epoch(), BEGINNING)

    async def _stays_on(self, cursor: Cursor, successor: DatasetHead | None) -> bool:
        """Whether to go on with a dataset that the name does not stand for any more.

        Who handed it over still sees it, and may go on until there is another one of that name.
        """
        if successor is not None:
            return False
        standing = await self._store.dataset(self.viewer, DatasetRef(id=cursor.head.id))
        return standing is not None and standing.head.deleted_at is None

    async def _gone(self, cursor: Cursor) -> None:
        if self._ref.id is not None:
            self._end(None)
            raise SinkClosed
        self._membership_changed = True

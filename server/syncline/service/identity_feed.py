"""The feed of all datasets that an identity can see: ``identityChanges``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncline.core.checkpoint import START, ResyncReason, Since, position_of
from syncline.core.commit import Resync, resync_needed
from syncline.core.events import AccessEnded, AccessGranted, DatasetCreated, DatasetDeleted, Ready, RoleChanged
from syncline.core.ids import DatasetId, Epoch, tenant_of
from syncline.core.model import BEGINNING, DatasetHead, DatasetScope, Position, Role, Standing, Viewer
from syncline.core.pages import RecordFilter
from syncline.ports import Store
from syncline.service.channels import Channels
from syncline.service.feeds import Cursor, Feed
from syncline.service.memberships import Memberships

_MAX_DATASETS = 10_000


class IdentityFeed(Feed):
    """Follows every dataset that the viewer's identity can see, as they come and go."""

    __slots__ = ("_roles", "_since")

    def __init__(
        self,
        viewer: Viewer,
        store: Store,
        memberships: Memberships,
        channels: Channels,
        *,
        since: Mapping[DatasetId, Since] | None,
        record_filter: RecordFilter,
    ) -> None:
        super().__init__(viewer, store, memberships, channels, record_filter=record_filter)
        self._since = since
        self._roles: Mapping[DatasetId, Role] = {}
        """As the device was told."""

    async def _standings(self) -> Sequence[Standing]:
        standings = await self._store.datasets(self.viewer, DatasetScope.ALL, first=_MAX_DATASETS)
        self._roles = {standing.head.id: standing.role for standing in standings}
        return standings

    async def _open(self) -> None:
        await self._watch_membership()
        epoch = await self._store.epoch()
        standings = await self._standings()
        heads = [standing.head for standing in standings]
        since = self._since
        if since is None:
            self._channels.metrics.resumed("fresh")
            for head in heads:
                await self._follow(head, epoch, Position(head.version))
            await self._send(Ready(checkpoint=START, resumed=False))
            return
        there = {head.id for head in heads}
        missing = [dataset for dataset in since if dataset not in there]
        self._count(since, heads, epoch)
        await self._send(Ready(checkpoint=START, resumed=True))
        await self._tell_of_missing(missing)
        for standing in standings:
            await self._begin(standing, epoch, since.get(standing.head.id))

    def _count(self, since: Mapping[DatasetId, Since], heads: Sequence[DatasetHead], epoch: Epoch) -> None:
        metrics = self._channels.metrics
        resyncs = (resync_needed(since.get(head.id), head, epoch) for head in heads)
        resync = next((resync for resync in resyncs if resync is not None), None)
        if resync is not None:
            metrics.resumed("resync", resync.reason)
        elif {dataset: position_of(known) for dataset, known in since.items()} == {
            head.id: Position(head.version) for head in heads
        }:
            metrics.resumed("live")
        else:
            metrics.resumed("caught_up")

    async def _tell_of_missing(self, missing: Sequence[DatasetId]) -> None:
        deleted = {head.id: head for head in await self._store.deleted_datasets(self.viewer, missing)}
        for dataset in missing:
            if dataset in deleted:
                await self._send(DatasetDeleted(dataset=dataset, name=deleted[dataset].name))
            elif await self._store.access(tenant_of(self.viewer.identity), dataset) is not None:
                await self._send(AccessEnded(dataset=dataset))
            else:
                await self._send(Resync(reason=ResyncReason.DATASET_RECREATED, dataset=dataset))

    async def _begin(self, standing: Standing, epoch: Epoch, since: Since | None) -> None:
        head = standing.head
        resync = resync_needed(since, head, epoch)
        await self._follow(head, epoch, BEGINNING if resync is not None else position_of(since))
        if since is None:
            owned = standing.role is Role.OWNER
            await self._send(DatasetCreated(head=head) if owned else AccessGranted(head=head, role=standing.role))
        if resync is not None:
            await self._send(resync)

    async def _gone(self, cursor: Cursor) -> None:
        """The others go on."""

    def _follows_all_of(self, visible: Mapping[DatasetId, Role]) -> bool:
        return visible == self._roles and visible.keys() == self._cursors.keys()

    async def _reconcile(self) -> None:
        before = self._roles
        standings = {standing.head.id: standing for standing in await self._standings()}
        for cursor in list(self._cursors.values()):
            if cursor.head.id not in standings:
                await self._drop(cursor)
        epoch = await self._store.epoch()
        for dataset, standing in standings.items():
            if dataset not in self._cursors:
                await self._begin(standing, epoch, None)
            elif before.get(dataset) is not standing.role:
                await self._send(RoleChanged(head=standing.head, role=standing.role))

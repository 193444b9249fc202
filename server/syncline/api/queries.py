"""Query fields."""

from __future__ import annotations

import strawberry
from strawberry import UNSET

from syncline.api.context import Info
from syncline.api.cursors import cursor_of, page_size, place_of
from syncline.api.events import resync_of
from syncline.api.inputs import DatasetRef
from syncline.api.scalars import Checkpoint, since_of
from syncline.api.types import (
    ChangePage,
    Dataset,
    DatasetConnection,
    DatasetEdge,
    Limits,
    PageInfo,
    PullResult,
    Record,
    Viewer,
    checkpoint_of,
)
from syncline.core.checkpoint import START, Since
from syncline.core.commit import resync_needed
from syncline.core.ids import DatasetId, DatasetName, dataset_id, dataset_name, shown
from syncline.core.model import DatasetScope
from syncline.core.pages import LogRead
from syncline.errors import InvalidCursor, InvalidInput

strawberry.enum(DatasetScope, description="Which datasets: the viewer's own, those shared with it, or all.")


@strawberry.type
class Query:
    @strawberry.field(description="Who is asking.")
    def viewer(self, info: Info) -> Viewer:
        viewer, limits = info.context.viewer, info.context.services.datasets.limits
        return Viewer(
            identity_id=strawberry.ID(shown(viewer.identity)),
            device_id=None if viewer.device is None else strawberry.ID(viewer.device),
            guest=info.context.credential is not None and info.context.credential.guest,
            limits=Limits(
                datasets=limits.datasets,
                dataset_bytes=limits.dataset_bytes,
                records=limits.records,
                key_bytes=limits.key_bytes,
                changes_per_sync=limits.changes_per_sync,
                members=limits.members,
                invitations=limits.invitations,
            ),
        )

    @strawberry.field(description="One dataset; null if there is none of this name.")
    async def dataset(self, info: Info, dataset: DatasetRef) -> Dataset | None:
        found = await info.context.services.datasets.find(info.context.viewer, dataset.value())
        if found is None:
            return None
        return Dataset.of(found.head, found.role, await info.context.services.datasets.epoch())

    @strawberry.field(description="Datasets by name.")
    async def datasets(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = UNSET,
        scope: DatasetScope | None = DatasetScope.ALL,
    ) -> DatasetConnection:
        part = await info.context.services.datasets.list(
            info.context.viewer,
            scope or DatasetScope.ALL,
            first=page_size(first, default=20),
            after=_place(after) if after else None,
        )
        epoch = await info.context.services.datasets.epoch()
        nodes = [Dataset.of(each.head, each.role, epoch) for each in part.items]
        edges = [DatasetEdge(cursor=cursor_of(f"{node.name} {node.id}"), node=node) for node in nodes]
        return DatasetConnection(
            edges=edges,
            nodes=nodes,
            page_info=PageInfo(has_next_page=part.has_more, end_cursor=edges[-1].cursor if edges else None),
        )

    @strawberry.field(description="Pull: what changed since a checkpoint. A dataset that does not exist is empty.")
    async def changes(self, info: Info, dataset: DatasetRef, since: Checkpoint, first: int | None = 500) -> PullResult:
        place = since_of(since) or START
        read = await info.context.services.syncs.pull(
            info.context.viewer, dataset.value(), place, first=page_size(first, default=500)
        )
        return _pulled(read, place)


def _place(cursor: str) -> tuple[DatasetName, DatasetId]:
    name, _, id_ = place_of(cursor).partition(" ")
    try:
        return dataset_name(name), dataset_id(id_)
    except InvalidInput:
        raise InvalidCursor("not one of datasets") from None


def _pulled(read: LogRead, since: Since) -> PullResult:
    head, page = read.live_head, read.page
    resync = resync_needed(since, head, read.epoch)
    if resync is not None:
        return resync_of(resync)
    if head is None or page is None:
        return ChangePage(records=[], checkpoint=Checkpoint(START), has_more=False)
    return ChangePage(
        records=[Record.of(record) for record in page.records],
        checkpoint=checkpoint_of(read.epoch, head, page.position),
        has_more=page.has_more,
    )

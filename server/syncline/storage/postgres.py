"""The store on PostgreSQL, for any number of nodes; see ``ports.Store``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

from syncline.core.checkpoint import START, Since, position_of, resync_reason
from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.model import BEGINNING, ConflictPolicy, DatasetHead, DatasetRef, Position, Record, Viewer
from syncline.core.pages import LogRead, Page, PageRequest, page_of
from syncline.metrics import Metrics
from syncline.ports import HeadMark, Oldest, Pruned, Retention, Synced, Usage
from syncline.storage import postgres_datasets, postgres_pruning
from syncline.storage.postgres_connections import Connections
from syncline.storage.postgres_identities import PostgresApiKeys, PostgresIdentities
from syncline.storage.postgres_syncs import Syncs
from syncline.storage.postgres_texts import prefix_range, storable
from syncline.storage.rows import head_of, record_of, time_of

_UNBOUNDED = sys.maxsize


class PostgresStore:
    """Keeps datasets in a database that any number of nodes share. Each read is one statement, and one trip."""

    @classmethod
    async def open(cls, url: str, *, connections: int, metrics: Metrics | None = None) -> Self:
        """The store in the database at ``url``, with at most so many connections.

        Without ``metrics`` nobody is told how it fares.
        Raises StartRefused if it cannot be used, StoreTooNew if a newer Syncline wrote it.
        """
        return cls(await Connections.open(url, size=connections, metrics=metrics))

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._syncs = Syncs(connections)
        self.identities = PostgresIdentities(connections)
        self.api_keys = PostgresApiKeys(connections)

    async def close(self) -> None:
        await self._syncs.close()
        await self._connections.close()

    async def epoch(self) -> Epoch:
        # Every connection looks for it when it is made, and so does every look at a log.
        return self._connections.epoch

    # --- writes -------------------------------------------------------------------------------------------------------

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        return await self._syncs.sync(request, page)

    async def create_dataset(
        self,
        viewer: Viewer,
        name: DatasetName,
        policy: ConflictPolicy,
        *,
        new_id: DatasetId,
        limits: Limits,
        now: datetime,
    ) -> DatasetHead:
        sql = self._connections.sql
        return await self._connections.transaction(
            lambda connection: postgres_datasets.create_dataset(
                connection, sql, viewer, name, policy, new_id=new_id, limits=limits, now=now
            )
        )

    async def update_dataset(
        self, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime
    ) -> DatasetHead:
        sql = self._connections.sql
        return await self._connections.transaction(
            lambda connection: postgres_datasets.update_dataset(connection, sql, viewer, ref, policy, now=now)
        )

    async def delete_dataset(self, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
        sql = self._connections.sql
        return await self._connections.transaction(
            lambda connection: postgres_datasets.delete_dataset(connection, sql, viewer, ref, now=now)
        )

    async def prune(self, retention: Retention, *, now: datetime, batch: int) -> Pruned:
        sql = self._connections.sql
        return await self._connections.transaction(
            lambda connection: postgres_pruning.prune(connection, sql, retention, now=now, batch=batch)
        )

    # --- reads --------------------------------------------------------------------------------------------------------

    async def dataset(self, viewer: Viewer, ref: DatasetRef) -> DatasetHead | None:
        rows = await self._connections.read("head", viewer.identity, _id(ref), ref.name)
        return head_of(rows[0]) if rows else None

    async def datasets(
        self, owner: IdentityId, *, first: int, after: DatasetName | None = None
    ) -> Sequence[DatasetHead]:
        if after is not None and not storable(after):
            return []
        return [head_of(row) for row in await self._connections.read("live_heads", owner, after or "", max(first, 0))]

    async def deleted_datasets(self, owner: IdentityId, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        return [head_of(row) for row in await self._connections.read("deleted_heads", owner, _ids(ids))]

    async def record(self, dataset: DatasetId, key: RecordKey) -> Record | None:
        if not storable(key):
            return None
        rows = await self._connections.read("record", bytes.fromhex(dataset), key)
        return record_of(rows[0]) if rows else None

    async def records(
        self, dataset: DatasetId, *, first: int, after: RecordKey | None = None, prefix: str = ""
    ) -> Sequence[Record]:
        if after is not None and not storable(after):
            return []
        from_, until = prefix_range(prefix)
        rows = await self._connections.read(
            "live_records", bytes.fromhex(dataset), after or "", from_, until, max(first, 0)
        )
        return [record_of(row) for row in rows]

    async def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        read = await self._read_log(viewer, ref, since, page)
        if read.reason is None:
            return read
        # The log does not lead on from there: what is wanted now is its beginning.
        again = await self._read_log(viewer, ref, START, page)
        reason = resync_reason(since, again.head, again.epoch)
        return LogRead(epoch=again.epoch, head=again.head, reason=reason, start=again.start, page=again.page)

    async def _read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        start = position_of(since)
        from_, until = prefix_range(page.filter.prefix)
        skip = page.filter.skip_author
        (row,) = await self._connections.read(
            "read_log",
            viewer.identity,
            _id(ref),
            ref.name,
            start.version + 1,
            start.offset,
            since is not None,
            from_,
            until,
            None if skip is None else skip.identity,
            None if skip is None else skip.device,
            page.first + 1,
            _UNBOUNDED if page.max_bytes is None else page.max_bytes,
        )
        epoch = self._connections.found_epoch(row["epoch"])
        head = None if row["id"] is None else head_of(row[1:14])
        reason = resync_reason(since, head, epoch)
        found: Page | None = None
        if reason is not None:
            start = BEGINNING
        elif head is not None and head.deleted_at is None:
            if since is None:
                start = Position(head.version)
            found = (
                Page(records=(), position=start, has_more=False)
                if start == Position(head.version)
                else page_of(map(record_of, row["records"] or ()), page, start=start, head_version=head.version)
            )
        return LogRead(epoch=epoch, head=head, reason=reason, start=start, page=found)

    async def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        return {
            DatasetId(row["id"].hex()): HeadMark(version=Version(row["version"]), deleted=row["deleted"])
            for row in await self._connections.read("head_marks", _ids(datasets))
        }

    async def owned(self, owners: Sequence[IdentityId]) -> Mapping[IdentityId, frozenset[DatasetId]]:
        owned: dict[IdentityId, set[DatasetId]] = {owner: set() for owner in owners}
        for row in await self._connections.read("owned", list(owners)):
            owned[IdentityId(row["owner"])].add(DatasetId(row["id"].hex()))
        return {owner: frozenset(ids) for owner, ids in owned.items()}

    async def oldest(self) -> Oldest:
        (row,) = await self._connections.read("oldest")
        return Oldest(
            tombstone=None if row["tombstone"] is None else time_of(row["tombstone"]),
            receipt=None if row["receipt"] is None else time_of(row["receipt"]),
        )

    async def usage(self, owner: IdentityId) -> Usage:
        (row,) = await self._connections.read("usage", owner)
        return Usage(datasets=row["datasets"], size_bytes=row["size_bytes"])


def _id(ref: DatasetRef) -> bytes | None:
    return None if ref.id is None else bytes.fromhex(ref.id)


def _ids(ids: Sequence[DatasetId]) -> list[bytes]:
    return [bytes.fromhex(each) for each in ids]

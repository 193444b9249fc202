"""The store on PostgreSQL, for any number of nodes; see ``ports.Store``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

import asyncpg

from syncline.core.checkpoint import START, Since, position_of, resync_reason
from syncline.core.commit import Resync, SyncRequest
from syncline.core.guests import may_be_guest
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Tenant, Version, tenant_of
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest
from syncline.core.model import (
    BEGINNING,
    ConflictPolicy,
    DatasetHead,
    DatasetRef,
    DatasetScope,
    Position,
    Record,
    Role,
    Standing,
    Viewer,
)
from syncline.core.pages import LogRead, Page, PageRequest, page_of
from syncline.core.sharing import Invitation, Member, SharingRequest
from syncline.errors import GuestLinked
from syncline.metrics import Metrics
from syncline.ports import (
    Access,
    ErasureMark,
    Erasures,
    GuestLink,
    HeadMark,
    Oldest,
    Pruned,
    Retention,
    Shared,
    Synced,
    Usage,
)
from syncline.storage import postgres_datasets, postgres_linking, postgres_pruning, postgres_sharing
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

    async def share(self, request: SharingRequest) -> Shared:
        sql = self._connections.sql
        decision = await self._connections.transaction(
            lambda connection: postgres_sharing.share(connection, sql, request)
        )
        return Shared(epoch=self._connections.epoch, decision=decision)

    async def create_guest(self, guest: IdentityId, *, now: datetime) -> None:
        sql = self._connections.sql
        await self._connections.transaction(
            lambda connection: postgres_linking.create_guest(connection, sql, guest, now=now)
        )

    async def link_guest(self, request: LinkRequest) -> GuestLink:
        sql, epoch = self._connections.sql, self._connections.epoch
        return await self._connections.transaction(
            lambda connection: postgres_linking.link(connection, sql, epoch, request)
        )

    async def prune(self, retention: Retention, *, now: datetime, batch: int) -> Pruned:
        sql = self._connections.sql
        return await self._connections.transaction(
            lambda connection: postgres_pruning.prune(connection, sql, retention, now=now, batch=batch)
        )

    # --- reads --------------------------------------------------------------------------------------------------------

    async def dataset(self, viewer: Viewer, ref: DatasetRef) -> Standing | None:
        rows = await self._connections.read("standing", viewer.identity, _id(ref), ref.name)
        if not rows:
            await self._check_not_linked(viewer)
        return standing_of(rows[0]) if rows else None

    async def datasets(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None = None
    ) -> Sequence[Standing]:
        name, id_ = after or ("", "")
        if not storable(name):
            return []
        rows = await self._connections.read(
            "live_heads",
            viewer.identity,
            scope is not DatasetScope.SHARED,
            scope is not DatasetScope.OWNED,
            name,
            bytes.fromhex(id_),
            max(first, 0),
        )
        return [standing_of(row) for row in rows]

    async def deleted_datasets(self, viewer: Viewer, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        return [head_of(row) for row in await self._connections.read("deleted_heads", viewer.identity, _ids(ids))]

    async def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        if not storable(key):
            return None
        rows = await self._connections.read("record", viewer.identity, bytes.fromhex(dataset), key)
        return record_of(rows[0]) if rows else None

    async def records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None = None, prefix: str = ""
    ) -> Sequence[Record]:
        if after is not None and not storable(after):
            return []
        from_, until = prefix_range(prefix)
        rows = await self._connections.read(
            "live_records", viewer.identity, bytes.fromhex(dataset), after or "", from_, until, max(first, 0)
        )
        return [record_of(row) for row in rows]

    async def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        read = await self._read_log(viewer.identity, None, ref, since, page)
        if read.head is None:
            await self._check_not_linked(viewer)
        return read

    async def node_log(self, tenant: Tenant, dataset: DatasetId, since: Since | None, page: PageRequest) -> LogRead:
        return await self._read_log("", tenant, DatasetRef(id=dataset), since, page)

    async def members(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None = None
    ) -> Sequence[Member]:
        return await self._connections.read_by(
            lambda connection, sql: postgres_sharing.members(connection, sql, viewer, dataset, first=first, after=after)
        )

    async def invitations(self, viewer: Viewer, dataset: DatasetId, *, now: datetime) -> Sequence[Invitation]:
        return await self._connections.read_by(
            lambda connection, sql: postgres_sharing.invitations(connection, sql, viewer, dataset, now=now)
        )

    async def access(self, tenant: Tenant, dataset: DatasetId) -> Access | None:
        return await self._connections.read_by(
            lambda connection, sql: postgres_sharing.access(connection, sql, tenant, dataset)
        )

    async def _read_log(
        self, identity: str, tenant: Tenant | None, ref: DatasetRef, since: Since | None, page: PageRequest
    ) -> LogRead:
        read = await self._look(identity, tenant, ref, since, page)
        if read.reason is None:
            return read
        # The log does not lead on from there: what is wanted now is its beginning.
        again = await self._look(identity, tenant, ref, START, page)
        return replace(again, reason=resync_reason(since, again.head, again.epoch))

    async def _look(
        self, identity: str, tenant: Tenant | None, ref: DatasetRef, since: Since | None, page: PageRequest
    ) -> LogRead:
        """For ``identity``, or, with a ``tenant``, for the node itself."""
        start = position_of(since)
        from_, until = prefix_range(page.filter.prefix)
        skip = page.filter.skip_author
        (row,) = await self._connections.read(
            "read_log",
            identity,
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
            tenant is not None,
        )
        epoch = self._connections.found_epoch(row["epoch"])
        head = None if row["id"] is None else head_of(row[1:15])
        if head is not None and tenant is not None and tenant_of(head.owner) != tenant:
            head = None
        role = None if head is None or row["role"] is None or tenant is not None else Role(row["role"])
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
        return LogRead(epoch=epoch, head=head, role=role, reason=reason, start=start, page=found)

    async def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        return {
            DatasetId(row["id"].hex()): HeadMark(
                version=Version(row["version"]), scope=row["scope"], deleted=row["deleted"]
            )
            for row in await self._connections.read("head_marks", _ids(datasets))
        }

    async def visible(self, identities: Sequence[IdentityId]) -> Mapping[IdentityId, Mapping[DatasetId, Role]]:
        visible: dict[IdentityId, dict[DatasetId, Role]] = {identity: {} for identity in identities}
        for row in await self._connections.read("visible", list(identities)):
            visible[IdentityId(row["identity"])][DatasetId(row["id"].hex())] = Role(row["role"])
        return visible

    async def linked_guests(self, guests: Sequence[IdentityId]) -> frozenset[IdentityId]:
        rows = await self._connections.read("linked_guests", list(guests))
        return frozenset(IdentityId(row["identity"]) for row in rows)

    async def _check_not_linked(self, viewer: Viewer) -> None:
        """Of a guest that found nothing: raises GuestLinked if that is because it has signed in."""
        if may_be_guest(viewer.identity) and await self.linked_guests([viewer.identity]):
            raise GuestLinked

    async def erasures(self, known: ErasureMark | None) -> Erasures | None:
        (row,) = await self._connections.read("erasure_mark")
        mark = ErasureMark(count=row["count"], numbers=row["numbers"])
        if mark == known:
            return None
        # What is read later may hold more than the mark says: then the next look finds another mark.
        return Erasures(
            mark=mark, hashes=frozenset(found["hash"] for found in await self._connections.read("erasures"))
        )

    async def oldest(self) -> Oldest:
        (row,) = await self._connections.read("oldest")
        return Oldest(
            tombstone=None if row["tombstone"] is None else time_of(row["tombstone"]),
            receipt=None if row["receipt"] is None else time_of(row["receipt"]),
        )

    async def usage(self, owner: IdentityId) -> Usage:
        (row,) = await self._connections.read("usage", owner)
        return Usage(datasets=row["datasets"], size_bytes=row["size_bytes"])


def standing_of(row: asyncpg.Record) -> Standing:
    return Standing(head=head_of(row[:-1]), role=Role(row["role"]))


def _id(ref: DatasetRef) -> bytes | None:
    return None if ref.id is None else bytes.fromhex(ref.id)


def _ids(ids: Sequence[DatasetId]) -> list[bytes]:
    return [bytes.fromhex(each) for each in ids]

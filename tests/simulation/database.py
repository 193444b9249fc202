"""The one truth that both nodes share: the product's own SQL on a database in memory.

This module alone knows how the SQLite store is built inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TypeVar

import apsw

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Tenant
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, DatasetScope, Record, Role, Standing, Viewer
from syncline.core.pages import LogRead, PageRequest
from syncline.core.sharing import Invitation, Member, SharingRequest
from syncline.ports import Access, GuestLink, HeadMark, Pruned, Retention, Shared, Synced, Usage
from syncline.storage import sqlite_datasets, sqlite_linking, sqlite_log, sqlite_pruning, sqlite_sharing, sqlite_sync
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.sqlite_lookups import Lookups
from syncline.storage.sqlite_migrations import migrate
from syncline.storage.sqlite_writes import Writes

EPOCH = Epoch("5eed5eed5eed5eed")

T = TypeVar("T")


@cache
def _opened() -> Writes:
    """One connection for all runs of this process: to open one takes longer than a whole run."""
    connection = apsw.Connection(":memory:")
    connection.pragma("foreign_keys", True)
    migrate(connection, 0, load_migrations("sqlite"))
    connection.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (EPOCH,))
    return Writes(connection, load_queries("sqlite"))


class Database:
    """Each method is one transaction, done before anything else can happen. There is one at a time in a process."""

    def __init__(self) -> None:
        self._writes = _opened()
        self._writes.connection.execute("DELETE FROM records; DELETE FROM receipts; DELETE FROM datasets")

    def _write(self, work: Callable[[Writes], T]) -> T:
        connection = self._writes.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            value = work(self._writes)
            connection.execute("COMMIT")
            return value
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _read(self, look: Callable[[Lookups], T]) -> T:
        connection = self._writes.connection
        connection.execute("BEGIN")
        try:
            return look(self._writes)
        finally:
            connection.execute("ROLLBACK")

    # --- writes -------------------------------------------------------------------------------------------------------

    def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        return self._write(lambda writes: sqlite_sync.sync(writes, EPOCH, request, page))

    def create_dataset(
        self,
        viewer: Viewer,
        name: DatasetName,
        policy: ConflictPolicy,
        *,
        new_id: DatasetId,
        limits: Limits,
        now: datetime,
    ) -> DatasetHead:
        return self._write(
            lambda writes: sqlite_datasets.create_dataset(
                writes, viewer, name, policy, new_id=new_id, limits=limits, now=now
            )
        )

    def update_dataset(self, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime) -> DatasetHead:
        return self._write(lambda writes: sqlite_datasets.update_dataset(writes, viewer, ref, policy, now=now))

    def delete_dataset(self, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
        return self._write(lambda writes: sqlite_datasets.delete_dataset(writes, viewer, ref, now=now))

    def share(self, request: SharingRequest) -> Shared:
        return Shared(epoch=EPOCH, decision=self._write(lambda writes: sqlite_sharing.share(writes, request)))

    def create_guest(self, guest: IdentityId, *, now: datetime) -> None:
        self._write(lambda writes: writes.put_guest(guest, now))

    def link_guest(self, request: LinkRequest) -> GuestLink:
        return self._write(lambda writes: sqlite_linking.link(writes, EPOCH, request))

    def prune(self, retention: Retention, *, now: datetime, batch: int) -> Pruned:
        return self._write(lambda writes: sqlite_pruning.prune(writes, retention, now=now, batch=batch))

    # --- reads --------------------------------------------------------------------------------------------------------

    def dataset(self, viewer: Viewer, ref: DatasetRef) -> Standing | None:
        stored = self._read(lambda lookups: lookups.standing(viewer, ref))
        return None if stored is None else Standing(head=stored.head, role=stored.role)

    def datasets(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None
    ) -> Sequence[Standing]:
        return self._read(lambda lookups: lookups.live_standings(viewer, scope, first=first, after=after))

    def deleted_datasets(self, viewer: Viewer, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        return self._read(lambda lookups: lookups.deleted_heads(viewer, ids))

    def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        return self._read(lambda lookups: lookups.record(viewer, dataset, key))

    def records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None, prefix: str
    ) -> Sequence[Record]:
        return self._read(
            lambda lookups: lookups.live_records(viewer, dataset, first=first, after=after, prefix=prefix)
        )

    def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        return self._read(lambda lookups: sqlite_log.read_log(lookups, EPOCH, viewer, ref, since, page))

    def members(self, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None) -> Sequence[Member]:
        return self._read(lambda lookups: sqlite_sharing.members(lookups, viewer, dataset, first=first, after=after))

    def invitations(self, viewer: Viewer, dataset: DatasetId, *, now: datetime) -> Sequence[Invitation]:
        return self._read(lambda lookups: sqlite_sharing.invitations(lookups, viewer, dataset, now=now))

    def node_log(self, tenant: Tenant, dataset: DatasetId, since: Since | None, page: PageRequest) -> LogRead:
        return self._read(lambda lookups: sqlite_log.node_log(lookups, EPOCH, tenant, dataset, since, page))

    def access(self, tenant: Tenant, dataset: DatasetId) -> Access | None:
        return self._read(lambda lookups: sqlite_sharing.access(lookups, tenant, dataset))

    def linked_guests(self, guests: Sequence[IdentityId]) -> frozenset[IdentityId]:
        return self._read(lambda lookups: lookups.linked_guests(guests))

    def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        return self._read(lambda lookups: lookups.head_marks(datasets))

    def visible(self, identities: Sequence[IdentityId]) -> Mapping[IdentityId, Mapping[DatasetId, Role]]:
        return self._read(lambda lookups: lookups.visible(identities))

    def usage(self, owner: IdentityId) -> Usage:
        return self._read(lambda lookups: lookups.usage(owner))

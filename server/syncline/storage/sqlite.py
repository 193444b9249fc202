"""The store on one SQLite file: the default, and the reference for all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

import apsw

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Tenant
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, DatasetScope, Record, Role, Standing, Viewer
from syncline.core.pages import LogRead, PageRequest
from syncline.core.sharing import Invitation, Member, SharingRequest
from syncline.metrics import Metrics, unmeasured
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
from syncline.storage import sqlite_datasets, sqlite_linking, sqlite_log, sqlite_pruning, sqlite_sharing, sqlite_sync
from syncline.storage.sqlite_database import Database, open_database, renew_epoch
from syncline.storage.sqlite_identities import SqliteApiKeys, SqliteIdentities
from syncline.storage.sqlite_readers import Readers
from syncline.storage.sqlite_writer import Writer

__all__ = ["SqliteStore", "renew_epoch"]

T = TypeVar("T")


class SqliteStore:
    """Keeps datasets in one file; see ``ports.Store``.

    No method blocks the event loop. Cancelling a caller never cancels a write that was accepted.
    """

    @classmethod
    async def open(
        cls, path: str | Path, vfs: str | None = None, *, shared: bool = False, metrics: Metrics | None = None
    ) -> Self:
        """The store in the file ``path``, made if there is none; its folder must exist.

        ``shared``: other processes that share it may have it open, too. Else this one alone.

        ``vfs`` names the part of SQLite that touches the disk; tests watch it at work.
        Without ``metrics`` nobody is told how it fares.
        Raises StartRefused if the file is in use or not ours, StoreTooNew if a newer Syncline wrote it.
        """
        return cls(await asyncio.to_thread(open_database, Path(path), vfs, shared=shared), metrics)

    def __init__(self, database: Database, metrics: Metrics | None = None) -> None:
        """To be made on the event loop that will use it. From now on ``database`` is the store's, to close as well."""
        self._database = database
        self._epoch = database.epoch
        waited = unmeasured if metrics is None else metrics.store_pool_wait_seconds.observe
        self._writer = Writer(database.writes, waited=waited)
        self._readers = Readers(database.readers, waited=waited)
        transactions = _Transactions(self._writer, self._readers)
        self.identities = SqliteIdentities(transactions)
        self.api_keys = SqliteApiKeys(transactions)
        if metrics is not None:
            metrics.read_off(metrics.store_pool_size, lambda: self._readers.connections)
            metrics.read_off(metrics.store_pool_in_use, lambda: self._readers.in_use)

    async def close(self) -> None:
        self._readers.stop_accepting()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.close()
        self._database.close()

    async def epoch(self) -> Epoch:
        # It cannot change while this process holds the file's lock.
        return self._epoch

    # --- writes -------------------------------------------------------------------------------------------------------

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        return await self._writer.run(lambda writes: sqlite_sync.sync(writes, self._epoch, request, page))

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
        return await self._writer.run(
            lambda writes: sqlite_datasets.create_dataset(
                writes, viewer, name, policy, new_id=new_id, limits=limits, now=now
            )
        )

    async def update_dataset(
        self, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime
    ) -> DatasetHead:
        return await self._writer.run(
            lambda writes: sqlite_datasets.update_dataset(writes, viewer, ref, policy, now=now)
        )

    async def delete_dataset(self, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
        return await self._writer.run(lambda writes: sqlite_datasets.delete_dataset(writes, viewer, ref, now=now))

    async def share(self, request: SharingRequest) -> Shared:
        decision = await self._writer.run(lambda writes: sqlite_sharing.share(writes, request))
        return Shared(epoch=self._epoch, decision=decision)

    async def create_guest(self, guest: IdentityId, *, now: datetime) -> None:
        await self._writer.run(lambda writes: writes.put_guest(guest, now))

    async def link_guest(self, request: LinkRequest) -> GuestLink:
        return await self._writer.run(lambda writes: sqlite_linking.link(writes, self._epoch, request))

    async def prune(self, retention: Retention, *, now: datetime, batch: int) -> Pruned:
        return await self._writer.run(lambda writes: sqlite_pruning.prune(writes, retention, now=now, batch=batch))

    # --- reads --------------------------------------------------------------------------------------------------------

    async def dataset(self, viewer: Viewer, ref: DatasetRef) -> Standing | None:
        stored = await self._readers.run(lambda lookups: lookups.standing(viewer, ref))
        return None if stored is None else Standing(head=stored.head, role=stored.role)

    async def datasets(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None = None
    ) -> Sequence[Standing]:
        return await self._readers.run(lambda lookups: lookups.live_standings(viewer, scope, first=first, after=after))

    async def deleted_datasets(self, viewer: Viewer, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        return await self._readers.run(lambda lookups: lookups.deleted_heads(viewer, ids))

    async def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        return await self._readers.run(lambda lookups: lookups.record(viewer, dataset, key))

    async def records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None = None, prefix: str = ""
    ) -> Sequence[Record]:
        return await self._readers.run(
            lambda lookups: lookups.live_records(viewer, dataset, first=first, after=after, prefix=prefix)
        )

    async def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        return await self._readers.run(
            lambda lookups: sqlite_log.read_log(lookups, self._epoch, viewer, ref, since, page)
        )

    async def members(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None = None
    ) -> Sequence[Member]:
        return await self._readers.run(
            lambda lookups: sqlite_sharing.members(lookups, viewer, dataset, first=first, after=after)
        )

    async def invitations(self, viewer: Viewer, dataset: DatasetId, *, now: datetime) -> Sequence[Invitation]:
        return await self._readers.run(lambda lookups: sqlite_sharing.invitations(lookups, viewer, dataset, now=now))

    async def node_log(self, tenant: Tenant, dataset: DatasetId, since: Since | None, page: PageRequest) -> LogRead:
        return await self._readers.run(
            lambda lookups: sqlite_log.node_log(lookups, self._epoch, tenant, dataset, since, page)
        )

    async def access(self, tenant: Tenant, dataset: DatasetId) -> Access | None:
        return await self._readers.run(lambda lookups: sqlite_sharing.access(lookups, tenant, dataset))

    async def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        return await self._readers.run(lambda lookups: lookups.head_marks(datasets))

    async def visible(self, identities: Sequence[IdentityId]) -> Mapping[IdentityId, Mapping[DatasetId, Role]]:
        return await self._readers.run(lambda lookups: lookups.visible(identities))

    async def linked_guests(self, guests: Sequence[IdentityId]) -> frozenset[IdentityId]:
        return await self._readers.run(lambda lookups: lookups.linked_guests(guests))

    async def erasures(self, known: ErasureMark | None) -> Erasures | None:
        return await self._readers.run(lambda lookups: lookups.erasures(known))

    async def oldest(self) -> Oldest:
        return await self._readers.run(lambda lookups: lookups.oldest())

    async def usage(self, owner: IdentityId) -> Usage:
        return await self._readers.run(lambda lookups: lookups.usage(owner))


class _Transactions:
    """Logins and API keys go through the same threads as all else."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def read(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        return self._readers.run(lambda lookups: work(lookups.connection))

    def write(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        return self._writer.run(lambda writes: work(writes.connection))

"""Stores to run the contract on, and short ways to use one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from syncline.core.changes import Change
from syncline.core.checkpoint import START, Checkpoint, Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, Record, Viewer
from syncline.core.pages import LogRead, Page, PageRequest
from syncline.ports import CompleteStore, Store, Synced
from syncline.storage.postgres import PostgresStore
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import ALICE, NOW, a_dataset_id, a_request, named
from tests.support.postgres import PostgresServer

StoreFactory = Callable[[], Awaitable[CompleteStore]]
"""Opens the store on one database of the test's own; again after a close, as a server does that starts anew."""


def sqlite(folder: Path, *, shared: bool = False) -> StoreFactory:
    return lambda: SqliteStore.open(folder / "syncline.db", shared=shared)


def postgres(server: PostgresServer) -> StoreFactory:
    url = server.url(server.empty_database())
    return lambda: PostgresStore.open(url, connections=5)


async def synced(store: Store, request: SyncRequest, page: PageRequest | None = None) -> Synced:
    """The outcome of a sync that needs no resync."""
    outcome = await store.sync(request, page or PageRequest())
    assert isinstance(outcome, Synced), outcome
    return outcome


async def resynced(store: Store, request: SyncRequest) -> Resync:
    """The outcome of a sync that is told to resync."""
    outcome = await store.sync(request, PageRequest())
    assert isinstance(outcome, Resync), outcome
    return outcome


async def write(
    store: Store, *changes: Change, viewer: Viewer = ALICE, ref: DatasetRef | None = None, now: datetime = NOW
) -> Synced:
    """One commit of these changes."""
    return await synced(store, a_request(*changes, viewer=viewer, ref=ref, now=now))


async def create(store: Store, ref: DatasetRef | None = None, viewer: Viewer = ALICE) -> DatasetHead:
    """An empty dataset of the name in ``ref``."""
    name = (ref or named()).name
    assert name is not None
    return await store.create_dataset(
        viewer, name, ConflictPolicy.REJECT, new_id=a_dataset_id(), limits=Limits(), now=NOW
    )


async def head_of(store: Store, ref: DatasetRef | None = None, *, viewer: Viewer = ALICE) -> DatasetHead | None:
    """The dataset, as the viewer finds it."""
    standing = await store.dataset(viewer, ref or named())
    return None if standing is None else standing.head


async def read(
    store: Store,
    since: Since | None = START,
    *,
    ref: DatasetRef | None = None,
    viewer: Viewer = ALICE,
    page: PageRequest | None = None,
) -> LogRead:
    return await store.read_log(viewer, ref or named(), since, page or PageRequest())


async def read_page(
    store: Store, since: Since | None = START, *, ref: DatasetRef | None = None, page: PageRequest | None = None
) -> Page:
    """A page of a log that can be read on from ``since``."""
    log = await read(store, since, ref=ref, page=page)
    assert log.reason is None, log.reason
    assert log.page is not None
    return log.page


async def read_all(
    store: Store, since: Since = START, *, page: PageRequest, ref: DatasetRef | None = None
) -> list[Page]:
    """Page after page, each from the checkpoint of the one before, to the end."""
    pages: list[Page] = []
    while not pages or pages[-1].has_more:
        log = await read(store, since, ref=ref, page=page)
        assert log.page is not None
        assert log.head is not None
        pages.append(log.page)
        since = Checkpoint(log.epoch, log.head.id, log.page.position)
    return pages


async def checkpoint(store: Store, dataset: DatasetId, viewer: Viewer = ALICE) -> Checkpoint:
    """What a device holds that has seen all of the dataset."""
    log = await store.read_log(viewer, DatasetRef(id=dataset), None, PageRequest())
    assert log.page is not None
    return Checkpoint(log.epoch, dataset, log.page.position)


def keys(page_or_records: Page | tuple[Record, ...] | list[Record] | None) -> list[str]:
    assert page_or_records is not None
    records = page_or_records.records if isinstance(page_or_records, Page) else page_or_records
    return [record.key for record in records]

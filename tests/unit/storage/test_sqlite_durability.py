"""Acknowledged means durable, seen from below SQLite: when it syncs, and what becomes of a commit that cannot be."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import apsw
import pytest

from syncline.core.ids import RecordKey
from syncline.core.model import DatasetScope, Role, Standing
from syncline.core.pages import PageRequest
from syncline.errors import StoreUnavailable
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import ALICE, NOW, a_request, named, put, remove
from tests.support.stores import create, keys, read_page, synced, write
from tests.support.watched_disk import WatchedDisk


async def test_a_sync_returns_only_after_an_fsync_that_began_after_it_was_asked_for(
    store: SqliteStore, disk: WatchedDisk
) -> None:
    for n in range(20):
        asked = time.perf_counter_ns()
        await write(store, put("a", n))
        answered = time.perf_counter_ns()

        assert any(asked <= sync.began and sync.ended <= answered for sync in disk.wal_syncs)


async def test_each_of_many_concurrent_syncs_is_answered_after_an_fsync_of_its_own_time(
    store: SqliteStore, disk: WatchedDisk
) -> None:
    async def timed(n: int) -> tuple[int, int]:
        asked = time.perf_counter_ns()
        await write(store, put(f"k{n}"))
        return asked, time.perf_counter_ns()

    for asked, answered in await asyncio.gather(*(timed(n) for n in range(100))):
        assert any(asked <= sync.began and sync.ended <= answered for sync in disk.wal_syncs)


async def test_other_writes_are_durable_as_well(store: SqliteStore, disk: WatchedDisk) -> None:
    async def timed(what: object) -> None:
        assert asyncio.iscoroutine(what)
        asked = time.perf_counter_ns()
        await what
        answered = time.perf_counter_ns()
        assert any(asked <= sync.began and sync.ended <= answered for sync in disk.wal_syncs)

    await timed(create(store))
    await timed(write(store, put("a")))
    await timed(write(store, remove("a")))
    await timed(store.delete_dataset(ALICE, named(), now=NOW))


async def test_while_the_fsync_lasts_nobody_hears_of_the_commit(store: SqliteStore, disk: WatchedDisk) -> None:
    head = (await write(store, put("a", 1))).head

    with disk.holding_wal_syncs():
        task = asyncio.create_task(write(store, put("a", 2)))
        assert await asyncio.to_thread(disk.wal_sync_waits.wait, 10)
        seen = await store.record(ALICE, head.id, RecordKey("a"))
        answered = task.done()
    await asyncio.wait_for(task, timeout=10)

    assert not answered
    assert seen is not None
    assert seen.value == "1"


async def test_all_that_waits_is_committed_with_one_fsync(store: SqliteStore, disk: WatchedDisk) -> None:
    await write(store, put("warm"))

    with disk.holding_wal_syncs():
        first = asyncio.create_task(write(store, put("first")))
        assert await asyncio.to_thread(disk.wal_sync_waits.wait, 10)
        others = [asyncio.create_task(write(store, put(f"k{n}"))) for n in range(200)]
        await asyncio.sleep(0)
        before = len(disk.wal_syncs)
    outcomes = await asyncio.wait_for(asyncio.gather(first, *others), timeout=10)

    assert len(disk.wal_syncs) - before == 2
    assert [outcome.head.version for outcome in outcomes] == list(range(2, 203))


async def test_what_writes_nothing_needs_no_fsync(store: SqliteStore, disk: WatchedDisk) -> None:
    request = a_request(put("a"))
    await synced(store, request)
    before = len(disk.syncs)

    await synced(store, request)
    await synced(store, a_request())

    assert len(disk.syncs) == before


# --- a disk that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [apsw.IOError("the disk is gone"), apsw.FullError("the disk is full")])
@pytest.mark.parametrize("step", ["sync", "write"])
async def test_a_commit_that_fails_is_undone_and_the_store_goes_on(
    store: SqliteStore, disk: WatchedDisk, path: Path, error: apsw.Error, step: str
) -> None:
    before = await write(store, put("a", 1))
    request = a_request(put("a", 2), put("b"))

    failing = disk.failing_wal_syncs(error) if step == "sync" else disk.failing_wal_writes(error)
    with failing, pytest.raises(StoreUnavailable) as raised:
        await store.sync(request, PageRequest())

    assert raised.value.retryable
    assert isinstance(raised.value.__cause__, apsw.Error)
    assert await store.dataset(ALICE, named()) == Standing(head=before.head, role=Role.OWNER)
    assert keys(await read_page(store)) == ["a"]
    retried = await synced(store, request)
    assert not retried.replayed
    assert retried.head.version == 2
    await store.close()
    _check_integrity(path)


async def test_everyone_in_the_group_is_told(store: SqliteStore, disk: WatchedDisk) -> None:
    await write(store, put("warm"))
    with disk.holding_wal_syncs():
        first = asyncio.create_task(write(store, put("first")))
        assert await asyncio.to_thread(disk.wal_sync_waits.wait, 10)
        others = [asyncio.create_task(write(store, put(f"k{n}"))) for n in range(10)]
        await asyncio.sleep(0)
        with disk.failing_wal_syncs(apsw.IOError("the disk is gone")):
            disk.let_wal_syncs_pass()
            outcomes = await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), timeout=10)

    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == len(outcomes)
    assert keys(await read_page(store)) == ["warm"]
    assert (await write(store, put("later"))).head.version == 2


async def test_a_group_that_the_database_gives_up_on_is_not_done_in_part(
    store: SqliteStore, disk: WatchedDisk, path: Path
) -> None:
    # Larger than SQLite's cache, so that pages go to the log before the commit, in the midst of some job.
    large = "x" * 400_000
    head = (await write(store, put("warm"))).head
    with disk.holding_wal_syncs():
        first = asyncio.create_task(write(store, put("first")))
        assert await asyncio.to_thread(disk.wal_sync_waits.wait, 10)
        others = [asyncio.create_task(write(store, put("large", large), ref=named(f"d{n}"))) for n in range(12)]
        await asyncio.sleep(0)
        with disk.failing_wal_writes(apsw.FullError("the disk is full")):
            disk.let_wal_syncs_pass()
            outcomes = await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), timeout=10)

    assert not isinstance(outcomes[0], BaseException)
    assert all(
        isinstance(outcome, StoreUnavailable) and isinstance(outcome.__cause__, apsw.FullError)
        for outcome in outcomes[1:]
    )
    assert [each.head.id for each in await store.datasets(ALICE, DatasetScope.ALL, first=20)] == [head.id]
    assert (await write(store, put("later"))).head.version == 3
    await store.close()
    _check_integrity(path)


async def test_a_failed_checkpoint_fails_no_sync(store: SqliteStore, disk: WatchedDisk, path: Path) -> None:
    with disk.failing_database_syncs(apsw.IOError("the disk is gone")):
        for n in range(60):
            await write(store, put("a", "ab"[n % 2] * 100_000))
    await write(store, put("b"))

    assert disk.failures > 0
    assert keys(await read_page(store)) == ["a", "b"]
    await store.close()
    _check_integrity(path)


async def test_the_write_ahead_log_does_not_grow_for_ever(store: SqliteStore, path: Path) -> None:
    for n in range(200):
        await write(store, put("a", "ab"[n % 2] * 100_000))

    assert path.with_name("syncline.db-wal").stat().st_size < 10_000_000


def _check_integrity(path: Path) -> None:
    connection = apsw.Connection(str(path))
    try:
        assert connection.pragma("integrity_check") == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()

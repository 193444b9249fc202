"""Many callers at once, callers that go away, and a store that is closed and opened again."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from syncline.core.changes import Increment
from syncline.core.checkpoint import START
from syncline.core.ids import RecordKey
from syncline.core.model import DatasetScope
from syncline.core.pages import PageRequest
from syncline.errors import LimitExceeded, StoreUnavailable
from syncline.ports import Store, Synced
from tests.support.builders import ALICE, NOW, a_request, a_viewer, by_id, named, put
from tests.support.stores import StoreFactory, create, head_of, keys, read, read_page, synced, write

SYNCS = 120


async def test_concurrent_syncs_of_one_dataset_get_a_version_each(store: Store) -> None:
    requests = [a_request(put(f"k{n}"), viewer=a_viewer(device=f"device-{n}")) for n in range(SYNCS)]

    outcomes = await asyncio.gather(*(synced(store, request) for request in requests))

    assert sorted(outcome.head.version for outcome in outcomes) == list(range(1, SYNCS + 1))
    assert sum(outcome.created for outcome in outcomes) == 1
    page = await read_page(store)
    assert [record.version for record in page.records] == list(range(1, SYNCS + 1))
    assert {outcome.head.id for outcome in outcomes} == {outcomes[0].head.id}


async def test_each_of_concurrent_syncs_is_decided_on_what_the_one_before_left(store: Store) -> None:
    changes = [Increment(key=RecordKey("counter"), by=1) for _ in range(SYNCS)]

    outcomes = await asyncio.gather(*(synced(store, a_request(change)) for change in changes))

    values = sorted(int(outcome.records[RecordKey("counter")].value or 0) for outcome in outcomes)
    assert values == list(range(1, SYNCS + 1))


async def test_of_concurrent_retries_one_takes_effect(store: Store) -> None:
    request = a_request(Increment(key=RecordKey("counter"), by=1))

    outcomes = await asyncio.gather(*(synced(store, request) for _ in range(20)))

    assert Counter(outcome.replayed for outcome in outcomes) == {True: 19, False: 1}
    assert [record.value for record in (await read_page(store)).records] == ["1"]


async def test_a_sync_that_fails_does_not_hurt_its_neighbours(store: Store) -> None:
    too_long = "k" * 2_000
    requests = [a_request(put(f"k{n}"), *([put(too_long)] if n % 3 == 0 else [])) for n in range(60)]

    outcomes = await asyncio.gather(*(store.sync(r, PageRequest()) for r in requests), return_exceptions=True)

    assert all(isinstance(outcome, LimitExceeded if n % 3 == 0 else Synced) for n, outcome in enumerate(outcomes))
    page = await read_page(store)
    assert sorted(keys(page)) == sorted(f"k{n}" for n in range(60) if n % 3)
    assert [record.version for record in page.records] == list(range(1, 41))


async def test_concurrent_creations_of_one_name_make_one_dataset(store: Store) -> None:
    outcomes = await asyncio.gather(*(create(store) for _ in range(10)), return_exceptions=True)

    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert len(await store.datasets(ALICE, DatasetScope.ALL, first=10)) == 1


async def test_a_read_that_begins_after_a_sync_reflects_it(store: Store) -> None:
    for n in range(40):
        outcome = await write(store, put("a", n))
        ref = by_id(outcome.head.id)
        record, head, page, marks = await asyncio.gather(
            store.record(ALICE, outcome.head.id, RecordKey("a")),
            head_of(store, ref),
            read_page(store, ref=ref),
            store.heads([outcome.head.id]),
        )
        assert record is not None
        assert record.value == str(n)
        assert head == outcome.head
        assert [r.value for r in page.records] == [str(n)]
        assert marks[outcome.head.id].version == n + 1


async def test_a_read_sees_one_moment_while_others_write(store: Store) -> None:
    await write(store, *(put(f"k{n}", 0) for n in range(20)))
    done = asyncio.Event()

    async def rewrite() -> None:
        for round_ in range(1, 20):
            await write(store, *(put(f"k{n}", round_) for n in range(20)))
        done.set()

    writing = asyncio.create_task(rewrite())
    while not done.is_set():
        log = await read(store)
        assert log.page is not None
        assert log.head is not None
        assert len(log.page.records) == 20
        assert {record.version for record in log.page.records} == {log.head.version}
    await writing


async def test_a_sync_whose_caller_went_away_is_done_or_not_done(store: Store) -> None:
    requests = [a_request(put(f"a{n}"), put(f"b{n}")) for n in range(50)]
    tasks = [asyncio.create_task(synced(store, request)) for request in requests]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await write(store, put("last"))

    kept = set(keys(await read_page(store)))

    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert all(isinstance(outcome, Synced) for outcome in outcomes[1::2])
    assert all((f"a{n}" in kept) == (f"b{n}" in kept) for n in range(50))
    assert all(f"a{n}" in kept for n in range(1, 50, 2))


async def test_a_read_whose_caller_went_away_hurts_nobody(store: Store) -> None:
    await write(store, put("a"))
    tasks = [asyncio.create_task(read_page(store)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(not isinstance(outcome, BaseException) for outcome in outcomes[1::2])


# --- closed and opened again ------------------------------------------------------------------------------------------


async def test_a_store_opened_again_has_everything(store_factory: StoreFactory) -> None:
    store = await store_factory()
    request = a_request(put("a", {"x": "é"}), put("b"))
    await synced(store, request)
    epoch, head, page = await store.epoch(), await head_of(store, named()), await read_page(store)
    gone = await create(store, named("gone"))
    deleted = await store.delete_dataset(ALICE, named("gone"), now=NOW)
    await store.close()

    store = await store_factory()

    assert await store.epoch() == epoch
    assert await head_of(store, named()) == head
    assert await read_page(store) == page
    assert await store.deleted_datasets(ALICE, [gone.id]) == [deleted]
    assert (await synced(store, request)).replayed
    await store.close()


async def test_different_databases_have_different_epochs(store: Store) -> None:
    epoch = await store.epoch()

    assert len(epoch) == 16
    assert int(epoch, 16) > 0
    assert epoch == await store.epoch()


async def test_closing_finishes_what_was_accepted(store_factory: StoreFactory) -> None:
    store = await store_factory()
    tasks = [asyncio.create_task(synced(store, a_request(put(f"k{n}")))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()

    outcomes = await asyncio.wait_for(asyncio.gather(*tasks), timeout=10)

    store = await store_factory()
    assert len((await read_page(store)).records) == len(outcomes) == 50
    await store.close()


async def test_a_closed_store_says_so(store_factory: StoreFactory) -> None:
    store = await store_factory()
    await store.close()

    with pytest.raises(StoreUnavailable):
        await store.sync(a_request(put("a")), PageRequest())
    with pytest.raises(StoreUnavailable):
        await store.read_log(ALICE, named(), START, PageRequest())
    await store.close()


async def test_pages_of_concurrent_syncs_hold_each_record_once_as_it_was_at_that_version(store: Store) -> None:
    await write(store, *(put(f"k{n:02}", 0) for n in range(12)))
    requests = [
        a_request(put(f"k{n % 12:02}", n + 1), viewer=a_viewer(device=f"device-{n}"), since=START) for n in range(30)
    ]

    outcomes = await asyncio.gather(*(synced(store, request) for request in requests))

    expected = {f"k{n:02}": ("0", 1) for n in range(12)}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.head.version):
        assert outcome.commit is not None
        (record,) = outcome.commit.records
        expected[record.key] = (record.value or "", record.version)
        assert outcome.page is not None
        assert len(outcome.page.records) == 12
        assert {each.key: (each.value, each.version) for each in outcome.page.records} == expected
        assert [each.version for each in outcome.page.records] == sorted(each.version for each in outcome.page.records)
        assert outcome.page.position.version == outcome.head.version

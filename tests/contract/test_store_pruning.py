"""``Store.prune``: what is past its retention is forgotten, and never so that a removed record comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from syncline.core.checkpoint import START, ResyncReason
from syncline.core.ids import RecordKey
from syncline.core.pages import PageRequest
from syncline.ports import Oldest, Pruned, Retention, Store
from tests.support.builders import ALICE, NOW, a_checkpoint, a_request, by_id, named, put, remove
from tests.support.stores import checkpoint, create, head_of, keys, read, read_page, resynced, synced, write

DAY = timedelta(days=1)
RETENTION = Retention(tombstones=90 * DAY, tombstones_per_dataset=10_000, receipts=30 * DAY, deleted_datasets=90 * DAY)
NOTHING = Pruned(tombstones=0, receipts=0, datasets=0, more=False)


async def prune(store: Store, now: datetime, *, batch: int = 1_000, per_dataset: int = 10_000) -> Pruned:
    return await store.prune(replace(RETENTION, tombstones_per_dataset=per_dataset), now=now, batch=batch)


async def test_what_is_within_its_retention_stays(store: Store) -> None:
    await write(store, put("a"), put("b"))
    await write(store, remove("a"))
    await create(store, named("gone"))
    await store.delete_dataset(ALICE, named("gone"), now=NOW)

    assert await prune(store, NOW + 30 * DAY) == NOTHING


async def test_an_empty_store_has_nothing_to_prune(store: Store) -> None:
    assert await prune(store, NOW) == NOTHING


# --- tombstones -------------------------------------------------------------------------------------------------------


async def test_old_tombstones_go_and_live_records_stay(store: Store) -> None:
    await write(store, put("old"), put("young"), put("live"))
    await write(store, remove("old"), now=NOW)
    head = (await write(store, remove("young"), now=NOW + 10 * DAY)).head

    pruned = await prune(store, NOW + 95 * DAY)

    assert pruned.tombstones == 1
    assert await store.record(ALICE, head.id, RecordKey("old")) is None
    assert keys(await read_page(store)) == ["live", "young"]


async def test_who_has_not_seen_a_pruned_removal_is_told_to_resync(store: Store) -> None:
    first = await write(store, put("a"), put("b"))
    seen = await checkpoint(store, first.head.id)
    await write(store, remove("a"))
    knows = await checkpoint(store, first.head.id)
    await write(store, put("c"))
    await prune(store, NOW + 91 * DAY)

    too_old = await read(store, seen)
    refused = await resynced(store, a_request(put("x"), since=seen))
    goes_on = await read(store, knows)

    assert too_old.reason is ResyncReason.CHECKPOINT_TOO_OLD
    assert keys(too_old.page) == ["b", "c"]
    assert refused.reason is ResyncReason.CHECKPOINT_TOO_OLD
    assert goes_on.reason is None
    assert keys(goes_on.page) == ["c"]
    assert (await read(store, START)).reason is None


async def test_pruning_moves_the_mark_and_not_the_version(store: Store) -> None:
    await write(store, put("a"))
    before = (await write(store, remove("a"))).head

    await prune(store, NOW + 91 * DAY)
    after = await head_of(store, named())

    assert after == replace(before, pruned_through=before.version)


async def test_the_mark_of_what_was_pruned_never_goes_back(store: Store) -> None:
    await write(store, put("late"), put("early"))
    await write(store, remove("late"), now=NOW + 9 * DAY)
    await write(store, remove("early"), now=NOW)

    await prune(store, NOW + 95 * DAY)
    await prune(store, NOW + 100 * DAY)
    head = await head_of(store, named())

    assert head is not None
    assert head.pruned_through == 3
    assert keys(await read_page(store)) == []


async def test_tombstones_beyond_their_number_go_oldest_first(store: Store) -> None:
    await write(store, *(put(f"k{n}") for n in range(6)))
    for n in [3, 1, 5, 0]:
        await write(store, remove(f"k{n}"))

    pruned = await prune(store, NOW, per_dataset=2)

    assert pruned.tombstones == 2
    assert await prune(store, NOW, per_dataset=2) == NOTHING
    assert keys(await read_page(store)) == ["k2", "k4", "k5", "k0"]
    head = await head_of(store, named())
    assert head is not None
    assert head.pruned_through == 3


async def test_what_went_for_its_age_is_not_counted_again(store: Store) -> None:
    await write(store, put("old"), put("young"))
    await write(store, remove("old"))
    await write(store, remove("young"), now=NOW + 10 * DAY)

    assert (await prune(store, NOW + 91 * DAY, per_dataset=1)).tombstones == 1
    assert (await prune(store, NOW + 91 * DAY, per_dataset=1)).tombstones == 0
    assert keys(await read_page(store)) == ["young"]


async def test_tombstones_are_counted_per_dataset(store: Store) -> None:
    for name in ["one", "two"]:
        await write(store, put("a"), put("b"), ref=named(name))
        await write(store, remove("a"), remove("b"), ref=named(name))

    assert await prune(store, NOW, per_dataset=2) == NOTHING
    assert (await prune(store, NOW, per_dataset=1)).tombstones == 2


async def test_a_record_that_came_back_is_no_tombstone_any_more(store: Store) -> None:
    await write(store, put("a"), put("b"), put("c"))
    await write(store, remove("a"), remove("b"))
    await write(store, put("a", "again"))
    await write(store, put("d"), remove("d"), remove("c"))

    assert await prune(store, NOW, per_dataset=3) == NOTHING
    assert (await prune(store, NOW, per_dataset=2)).tombstones == 1
    assert keys(await read_page(store)) == ["a", "d", "c"]


async def test_a_tombstone_in_the_commit_that_creates_the_dataset_counts(store: Store) -> None:
    await write(store, put("a"), remove("a"))

    assert (await prune(store, NOW, per_dataset=0)).tombstones == 1
    assert await prune(store, NOW, per_dataset=0) == NOTHING


async def test_a_page_that_ends_inside_a_pruned_commit_is_too_old(store: Store) -> None:
    await write(store, put("a"), put("b"))
    head = (await write(store, remove("a"), remove("b"))).head
    await prune(store, NOW + 91 * DAY)

    log = await read(store, a_checkpoint(await store.epoch(), head.id, 1, 1))

    assert log.reason is ResyncReason.CHECKPOINT_TOO_OLD


@pytest.mark.parametrize("per_dataset", [10_000, 0])
async def test_a_batch_bounds_each_round(store: Store, per_dataset: int) -> None:
    now = NOW if per_dataset == 0 else NOW + 91 * DAY
    await write(store, *(put(f"k{n}") for n in range(5)))
    await write(store, *(remove(f"k{n}") for n in range(5)))
    rounds = [await prune(store, now, batch=2, per_dataset=per_dataset)]
    while rounds[-1].more:
        rounds.append(await prune(store, now, batch=2, per_dataset=per_dataset))

    assert [pruned.tombstones for pruned in rounds] == [2, 2, 1]
    assert keys(await read_page(store)) == []


# --- receipts and deleted datasets ------------------------------------------------------------------------------------


async def test_old_receipts_go(store: Store) -> None:
    old = a_request(put("a"), now=NOW)
    young = a_request(put("b"), now=NOW + 10 * DAY)
    await synced(store, old)
    await synced(store, young)

    assert (await prune(store, NOW + 31 * DAY)).receipts == 1

    assert not (await synced(store, old)).replayed
    assert (await synced(store, young)).replayed


async def test_receipts_are_pruned_in_batches(store: Store) -> None:
    for n in range(3):
        await write(store, put("a", n))

    rounds = [await prune(store, NOW + 31 * DAY, batch=2) for _ in range(2)]

    assert [(pruned.receipts, pruned.more) for pruned in rounds] == [(2, True), (1, False)]


async def test_a_deleted_dataset_is_forgotten_after_its_retention(store: Store) -> None:
    old = await create(store, named("old"))
    young = await create(store, named("young"))
    await store.delete_dataset(ALICE, named("old"), now=NOW)
    await store.delete_dataset(ALICE, named("young"), now=NOW + 10 * DAY)

    pruned = await prune(store, NOW + 91 * DAY)

    assert pruned.datasets == 1
    assert await store.dataset(ALICE, by_id(old.id)) is None
    assert [head.id for head in await store.deleted_datasets(ALICE, [old.id, young.id])] == [young.id]
    assert set(await store.heads([old.id, young.id])) == {young.id}


async def test_a_retry_that_outlives_its_dataset_writes_nothing(store: Store) -> None:
    request = a_request(put("a"))
    await synced(store, request)
    await store.delete_dataset(ALICE, named(), now=NOW)
    forgetful = replace(RETENTION, deleted_datasets=timedelta(0))
    assert (await store.prune(forgetful, now=NOW + DAY, batch=10)).datasets == 1

    outcome = await resynced(store, request)

    assert outcome.reason is ResyncReason.DATASET_RECREATED
    assert await store.dataset(ALICE, named()) is None


async def test_a_deleted_dataset_leaves_no_tombstones_to_prune(store: Store) -> None:
    await write(store, put("a"))
    await write(store, remove("a"))
    await store.delete_dataset(ALICE, named(), now=NOW)

    assert (await prune(store, NOW + 91 * DAY, per_dataset=0)).tombstones == 0
    assert (await store.sync(a_request(since=START), PageRequest())) is not None


# --- what is left -----------------------------------------------------------------------------------------------------


async def test_an_empty_store_keeps_nothing_for_a_time(store: Store) -> None:
    assert await store.oldest() == Oldest(tombstone=None, receipt=None)


async def test_the_oldest_that_is_kept_is_told_and_pruning_moves_it_on(store: Store) -> None:
    await write(store, put("a"), put("b"))
    await write(store, remove("a"), now=NOW + DAY)
    await write(store, remove("b"), now=NOW + 2 * DAY)
    before = await store.oldest()
    await prune(store, NOW + 91 * DAY + timedelta(seconds=1))
    after = await store.oldest()

    assert before == Oldest(tombstone=NOW + DAY, receipt=NOW)
    assert after == Oldest(tombstone=NOW + 2 * DAY, receipt=None)

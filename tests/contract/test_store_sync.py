"""``Store.sync``: load, decide, write and read a page, as one step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.core.changes import AT_CHECKPOINT, Absent, AtVersion, Increment, Merge
from syncline.core.checkpoint import START, ResyncReason
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import Epoch, RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.model import Author, ConflictPolicy, DatasetRef, FieldVersions, Position
from syncline.core.pages import PageRequest, RecordFilter
from syncline.core.receipts import ChangeOutcome
from syncline.errors import (
    ChangeNotApplicable,
    DatasetIsDeleted,
    DatasetNotFound,
    LimitExceeded,
    SynclineError,
)
from syncline.ports import Store
from tests.support.builders import (
    ALICE,
    ALICES_LAPTOP,
    BOB,
    NOW,
    a_checkpoint,
    a_dataset_id,
    a_request,
    a_viewer,
    by_id,
    named,
    put,
    remove,
    text,
)
from tests.support.stores import checkpoint, head_of, keys, read_page, resynced, synced, write


def statuses(outcomes: tuple[ChangeOutcome, ...]) -> list[ChangeStatus]:
    return [outcome.status for outcome in outcomes]


# --- what is written --------------------------------------------------------------------------------------------------


async def test_a_dataset_named_for_the_first_time_is_created(store: Store) -> None:
    id_ = a_dataset_id()

    outcome = await synced(store, a_request(put("a", 1), new_dataset_id=id_))

    assert outcome.created
    assert not outcome.replayed
    assert outcome.head.id == id_
    assert outcome.head.version == 1
    assert outcome.epoch == await store.epoch()
    assert await head_of(store, named()) == outcome.head


async def test_a_sync_without_changes_creates_the_dataset_too(store: Store) -> None:
    outcome = await synced(store, a_request(since=START))

    assert outcome.created
    assert outcome.commit is None
    assert outcome.page is not None
    assert outcome.page.position == Position(Version(0))
    assert await head_of(store, named()) == outcome.head


async def test_a_commit_is_in_the_answer_and_in_the_log(store: Store) -> None:
    outcome = await write(store, put("a", 1), put("b", {"x": [1, "é"]}))

    assert outcome.commit is not None
    assert outcome.commit.records == (await read_page(store)).records
    assert [record.value for record in outcome.commit.records] == ["1", '{"x":[1,"é"]}']


async def test_a_record_is_kept_with_all_that_belongs_to_it(store: Store) -> None:
    device_time = NOW - timedelta(days=400, microseconds=7)
    first = await synced(store, a_request(put("doc", {"a": 1, "b": 1}, device_time=device_time)))
    assert first.commit is not None
    assert await store.record(ALICE, first.head.id, RecordKey("doc")) == first.commit.records[0]

    merged = await synced(
        store,
        a_request(
            Merge(key=RecordKey("doc"), patch=text({"b": 2}), base=AtVersion(Version(1))),
            viewer=ALICES_LAPTOP,
            now=NOW + timedelta(seconds=1),
        ),
    )
    kept = await store.record(ALICE, first.head.id, RecordKey("doc"))

    assert merged.commit is not None
    assert kept == merged.commit.records[0]
    assert kept is not None
    assert kept.updated_by == ALICES_LAPTOP.author
    assert kept.updated_at == NOW + timedelta(seconds=1)
    assert kept.field_versions == FieldVersions(rest=Version(1), fields={"b": Version(2)})


async def test_times_come_back_to_the_microsecond(store: Store) -> None:
    outcome = await synced(store, a_request(put("a", device_time=NOW.replace(year=1901, microsecond=1)), now=NOW))

    kept = await store.record(ALICE, outcome.head.id, RecordKey("a"))

    assert kept is not None
    assert kept.updated_at == NOW
    assert kept.device_time == NOW.replace(year=1901, microsecond=1)


async def test_a_caller_without_a_device_writes_as_such(store: Store) -> None:
    nobodys = a_viewer(device=None)
    outcome = await write(store, put("a"), viewer=nobodys)

    kept = await store.record(ALICE, outcome.head.id, RecordKey("a"))

    assert kept is not None
    assert kept.updated_by == Author(identity=ALICE.identity, device=None)
    head = await head_of(store, viewer=nobodys)
    assert head is not None
    assert head.updated_by == nobodys.author


async def test_a_removed_record_stays_as_a_tombstone(store: Store) -> None:
    await write(store, put("a", "value"))
    outcome = await write(store, remove("a"))

    tombstone = await store.record(ALICE, outcome.head.id, RecordKey("a"))

    assert tombstone is not None
    assert tombstone.deleted
    assert tombstone.version == 2
    assert (outcome.head.record_count, outcome.head.size_bytes) == (0, 0)


async def test_json_null_is_a_live_value(store: Store) -> None:
    outcome = await write(store, put("a", None))

    kept = await store.record(ALICE, outcome.head.id, RecordKey("a"))

    assert kept is not None
    assert not kept.deleted
    assert kept.value == "null"


async def test_the_head_follows_each_commit(store: Store) -> None:
    await write(store, put("a", 1), put("b", 22))
    outcome = await write(store, put("a", 333), remove("b"), viewer=ALICES_LAPTOP, now=NOW + timedelta(hours=1))

    head = await head_of(store, named())

    assert head == outcome.head
    assert head is not None
    assert head.version == 2
    assert (head.record_count, head.size_bytes) == (1, 4)
    assert head.updated_by == ALICES_LAPTOP.author
    assert head.updated_at == NOW + timedelta(hours=1)
    assert head.created_at == NOW


async def test_a_change_equal_to_what_is_there_makes_no_version(store: Store) -> None:
    await write(store, put("a", 1))
    outcome = await write(store, put("a", 1))

    assert statuses(outcome.outcomes) == [ChangeStatus.UNCHANGED]
    assert outcome.commit is None
    assert outcome.head.version == 1


async def test_the_touched_records_are_answered_as_they_are_after_the_write(store: Store) -> None:
    await write(store, put("old", 1), put("bystander", 1))

    outcome = await write(store, put("new", 2), put("old", 1), remove("absent"))

    assert {key: record.version for key, record in outcome.records.items()} == {"new": 2, "old": 1}


async def test_keys_are_kept_apart_by_every_byte(store: Store) -> None:
    names = ["a", "A", "a ", "ä", "a\u0308", "%", "_", "\\", "'", '"', "\U0001f600", "\uffff"]
    await write(store, *(put(name, name) for name in names))

    outcome = await write(store, *(put(name, name) for name in names))

    assert statuses(outcome.outcomes) == [ChangeStatus.UNCHANGED] * len(names)
    assert sorted(outcome.records) == sorted(names)


# --- all or nothing ---------------------------------------------------------------------------------------------------


async def test_one_conflict_keeps_the_whole_sync_out(store: Store) -> None:
    await write(store, put("a", 1))

    outcome = await synced(store, a_request(put("b", 1), put("a", 2, base=Absent()), viewer=ALICES_LAPTOP))

    assert outcome.conflicted
    assert outcome.commit is None
    assert outcome.head.version == 1
    assert {key: record.value for key, record in outcome.records.items()} == {"a": "1"}
    assert await store.record(ALICE, outcome.head.id, RecordKey("b")) is None


async def test_a_conflict_cannot_hold_where_there_is_no_dataset_yet(store: Store) -> None:
    outcome = await synced(store, a_request(put("a", base=AtVersion(Version(3)))))

    assert outcome.conflicted
    assert outcome.created
    assert await head_of(store, named()) == outcome.head


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(records=1), "records"),
        (Limits(dataset_bytes=3), "datasetBytes"),
        (Limits(key_bytes=1), "keyBytes"),
        (Limits(changes_per_sync=1), "changesPerSync"),
    ],
)
async def test_what_is_over_a_limit_leaves_nothing(store: Store, limits: Limits, limit: str) -> None:
    request = a_request(put("a"), put("bb"), limits=limits, mutation_id="m")

    with pytest.raises(LimitExceeded) as raised:
        await store.sync(request, PageRequest())

    assert raised.value.facts["limit"] == limit
    assert await store.dataset(ALICE, named()) is None
    retried = await synced(store, replace(request, limits=Limits()))
    assert not retried.replayed
    assert retried.head.version == 1


async def test_one_dataset_too_many_is_not_created(store: Store) -> None:
    limits = Limits(datasets=2)
    await synced(store, a_request(ref=named("one"), limits=limits))
    await synced(store, a_request(ref=named("two"), limits=limits))
    await synced(store, a_request(ref=named("one"), viewer=BOB, limits=limits))

    with pytest.raises(LimitExceeded) as raised:
        await store.sync(a_request(put("a"), ref=named("three"), limits=limits), PageRequest())

    assert raised.value.facts == {"limit": "datasets", "maximum": 2, "actual": 3}
    assert (await store.usage(ALICE.identity)).datasets == 2
    assert (await synced(store, a_request(put("a"), ref=named("two"), limits=limits))).head.version == 1


async def test_a_deleted_dataset_makes_room_for_another(store: Store) -> None:
    limits = Limits(datasets=1)
    await synced(store, a_request(ref=named("one"), limits=limits))
    await store.delete_dataset(ALICE, named("one"), now=NOW)

    assert (await synced(store, a_request(ref=named("two"), limits=limits))).created


async def test_a_change_that_does_not_fit_leaves_nothing(store: Store) -> None:
    with pytest.raises(ChangeNotApplicable):
        await store.sync(a_request(put("a", "text"), Increment(key=RecordKey("a"), by=1)), PageRequest())

    assert await store.dataset(ALICE, named()) is None


async def test_in_per_change_mode_the_others_go_through(store: Store) -> None:
    await write(store, put("taken", 1))

    outcome = await synced(
        store,
        a_request(
            put("taken", 2, base=Absent()),
            put("long key"),
            put("b"),
            viewer=ALICES_LAPTOP,
            atomic=False,
            limits=Limits(key_bytes=5),
        ),
    )

    assert statuses(outcome.outcomes) == [ChangeStatus.CONFLICT, ChangeStatus.REJECTED, ChangeStatus.APPLIED]
    assert not outcome.conflicted
    assert keys((await read_page(store)).records) == ["taken", "b"]


async def test_a_key_that_can_be_none_is_rejected_and_hurts_no_other(store: Store) -> None:
    await write(store, put("a", 1))
    refused = [put("nul \x00"), put("")]

    outcome = await synced(store, a_request(*refused, put("a", 2), atomic=False))

    assert [o.code for o in outcome.outcomes] == ["INVALID_INPUT"] * 2 + [None]
    assert {key: record.value for key, record in outcome.records.items()} == {"a": "2"}


# --- the page that comes with it --------------------------------------------------------------------------------------


async def test_a_device_that_pulls_nothing_gets_no_page(store: Store) -> None:
    assert (await synced(store, a_request(put("a")))).page is None


async def test_the_page_holds_what_others_wrote_and_the_own_changes(store: Store) -> None:
    seen = await checkpoint(store, (await write(store, put("a"))).head.id)
    await write(store, put("b"), viewer=ALICES_LAPTOP)

    outcome = await synced(store, a_request(put("c"), since=seen))

    assert keys(outcome.page) == ["b", "c"]
    assert outcome.page is not None
    assert outcome.page.position == Position(Version(3))
    assert not outcome.page.has_more


async def test_the_page_obeys_its_request(store: Store) -> None:
    await write(store, *(put(f"{kind}{n}", n) for n in range(3) for kind in "ab"))

    outcome = await synced(store, a_request(since=START), PageRequest(first=2, filter=RecordFilter(prefix="b")))

    assert keys(outcome.page) == ["b0", "b1"]
    assert outcome.page is not None
    assert outcome.page.has_more
    assert outcome.page.position == Position(Version(0), 5)


async def test_the_base_at_the_checkpoint_is_what_the_device_has_seen(store: Store) -> None:
    seen = await checkpoint(store, (await write(store, put("a", 1))).head.id)
    await write(store, put("b", 1), viewer=ALICES_LAPTOP)

    known = await synced(store, a_request(put("a", 2, base=AT_CHECKPOINT), since=seen, viewer=a_viewer(device="watch")))
    unknown = await synced(
        store, a_request(put("b", 2, base=AT_CHECKPOINT), since=seen, viewer=a_viewer(device="watch"))
    )

    assert statuses(known.outcomes) == [ChangeStatus.APPLIED]
    assert statuses(unknown.outcomes) == [ChangeStatus.CONFLICT]


@pytest.mark.parametrize("policy", list(ConflictPolicy))
async def test_the_datasets_policy_decides(store: Store, policy: ConflictPolicy) -> None:
    await write(store, put("a", 1))
    await store.update_dataset(ALICE, named(), policy, now=NOW)

    outcome = await synced(store, a_request(put("a", 2, base=Absent()), viewer=ALICES_LAPTOP))

    won = policy is ConflictPolicy.LAST_WRITER_WINS
    assert outcome.conflicted is not won
    assert outcome.head.conflict_policy is policy


# --- resync -----------------------------------------------------------------------------------------------------------


async def test_a_checkpoint_of_another_epoch_is_told_to_resync_and_writes_nothing(store: Store) -> None:
    head = (await write(store, put("a"))).head
    since = a_checkpoint(Epoch("0" * 16), head.id, 1)

    outcome = await resynced(store, a_request(put("b"), since=since))

    assert outcome.reason is ResyncReason.EPOCH_CHANGED
    assert outcome.dataset == head.id
    assert keys(await read_page(store)) == ["a"]


async def test_a_checkpoint_from_the_future_is_told_to_resync(store: Store) -> None:
    head = (await write(store, put("a"))).head

    outcome = await resynced(store, a_request(put("b"), since=a_checkpoint(await store.epoch(), head.id, 2)))

    assert outcome.reason is ResyncReason.CHECKPOINT_FROM_FUTURE


async def test_a_checkpoint_of_a_dataset_that_is_gone_does_not_create_one(store: Store) -> None:
    seen = await checkpoint(store, (await write(store, put("a"))).head.id)
    await store.delete_dataset(ALICE, named(), now=NOW)

    outcome = await resynced(store, a_request(put("b"), since=seen))

    assert outcome.reason is ResyncReason.DATASET_RECREATED
    assert outcome.dataset == seen.dataset
    assert await store.dataset(ALICE, named()) is None


# --- which dataset ----------------------------------------------------------------------------------------------------


async def test_a_dataset_is_found_by_id_as_well(store: Store) -> None:
    first = await write(store, put("a"))

    outcome = await synced(store, a_request(put("b"), ref=by_id(first.head.id)))

    assert outcome.head.version == 2


async def test_an_id_nobody_has_creates_nothing(store: Store) -> None:
    with pytest.raises(DatasetNotFound):
        await store.sync(a_request(put("a"), ref=by_id(a_dataset_id())), PageRequest())


async def test_a_deleted_dataset_is_named_as_such(store: Store) -> None:
    first = await write(store, put("a"))
    await store.delete_dataset(ALICE, named(), now=NOW)

    with pytest.raises(DatasetIsDeleted):
        await store.sync(a_request(put("b"), ref=by_id(first.head.id)), PageRequest())


@pytest.mark.parametrize("deleted", [False, True])
async def test_anothers_dataset_is_as_if_not_there(store: Store, deleted: bool) -> None:
    first = await write(store, put("a"))
    if deleted:
        await store.delete_dataset(ALICE, named(), now=NOW)

    with pytest.raises(DatasetNotFound):
        await store.sync(a_request(put("b"), viewer=BOB, ref=by_id(first.head.id)), PageRequest())


async def test_names_of_different_identities_do_not_meet(store: Store) -> None:
    alices = await write(store, put("a", "hers"))
    bobs = await write(store, put("a", "his"), viewer=BOB)

    assert alices.head.id != bobs.head.id
    assert keys(await read_page(store)) == ["a"]
    record = await store.record(ALICE, alices.head.id, RecordKey("a"))
    assert record is not None
    assert record.value == '"hers"'


@pytest.mark.parametrize("ref", [named("nothing"), DatasetRef(id=a_dataset_id())])
async def test_an_error_says_what_was_asked_for(store: Store, ref: DatasetRef) -> None:
    with pytest.raises(SynclineError) as raised:
        await store.delete_dataset(ALICE, ref, now=NOW)

    assert raised.value.facts == {"dataset": str(ref)}

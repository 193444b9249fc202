"""Datasets of a store: made, changed, deleted, listed and counted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.core.ids import DatasetId, DatasetName, RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetScope
from syncline.errors import DatasetExists, DatasetIsDeleted, DatasetNotFound, LimitExceeded
from syncline.ports import HeadMark, Store, Usage
from tests.support.builders import ALICE, ALICES_LAPTOP, BOB, NOW, a_dataset_id, by_id, named, put, remove
from tests.support.stores import create, head_of, keys, read_page, write

LATER = NOW + timedelta(minutes=5)


# --- create -----------------------------------------------------------------------------------------------------------


async def test_a_created_dataset_is_empty_and_the_viewers(store: Store) -> None:
    id_ = a_dataset_id()

    head = await store.create_dataset(
        ALICE, DatasetName("notes"), ConflictPolicy.MERGE, new_id=id_, limits=Limits(), now=NOW
    )

    assert (head.id, head.owner, head.name, head.version) == (id_, "alice", "notes", 0)
    assert (head.record_count, head.size_bytes, head.pruned_through) == (0, 0, 0)
    assert (head.created_at, head.updated_at, head.deleted_at) == (NOW, NOW, None)
    assert head.conflict_policy is ConflictPolicy.MERGE
    assert head.updated_by == ALICE.author
    assert await head_of(store, named()) == head


async def test_a_name_stands_for_one_dataset_per_owner(store: Store) -> None:
    head = await create(store)

    with pytest.raises(DatasetExists) as raised:
        await create(store)

    assert raised.value.facts == {"name": "notes", "datasetId": head.id}
    assert (await create(store, viewer=BOB)).id != head.id


async def test_names_differ_by_case(store: Store) -> None:
    assert (await create(store, named("Notes"))).id != (await create(store, named("notes"))).id


async def test_no_more_datasets_are_created_than_the_limit_says(store: Store) -> None:
    await create(store)

    with pytest.raises(LimitExceeded) as raised:
        await store.create_dataset(
            ALICE,
            DatasetName("other"),
            ConflictPolicy.REJECT,
            new_id=a_dataset_id(),
            limits=Limits(datasets=1),
            now=NOW,
        )

    assert raised.value.facts == {"limit": "datasets", "maximum": 1, "actual": 2}
    assert await store.dataset(ALICE, named("other")) is None


# --- update -----------------------------------------------------------------------------------------------------------


async def test_the_policy_can_be_changed_and_no_version_is_counted(store: Store) -> None:
    before = (await write(store, put("a"), remove("b"))).head

    head = await store.update_dataset(ALICES_LAPTOP, named(), ConflictPolicy.LAST_WRITER_WINS, now=LATER)

    assert head.conflict_policy is ConflictPolicy.LAST_WRITER_WINS
    assert (head.version, head.record_count, head.size_bytes) == (before.version, 1, before.size_bytes)
    assert (head.updated_at, head.updated_by) == (LATER, ALICES_LAPTOP.author)
    assert await head_of(store, by_id(head.id)) == head


async def test_what_is_not_there_cannot_be_changed(store: Store) -> None:
    head = await create(store)
    await store.delete_dataset(ALICE, named(), now=NOW)

    with pytest.raises(DatasetNotFound):
        await store.update_dataset(ALICE, named(), ConflictPolicy.MERGE, now=NOW)
    with pytest.raises(DatasetIsDeleted):
        await store.update_dataset(ALICE, by_id(head.id), ConflictPolicy.MERGE, now=NOW)
    with pytest.raises(DatasetNotFound):
        await store.update_dataset(BOB, by_id(head.id), ConflictPolicy.MERGE, now=NOW)


# --- delete -----------------------------------------------------------------------------------------------------------


async def test_a_deleted_dataset_keeps_its_head_but_no_records(store: Store) -> None:
    before = (await write(store, put("a"), put("b"))).head

    deleted = await store.delete_dataset(ALICES_LAPTOP, named(), now=LATER)

    assert (deleted.id, deleted.version, deleted.deleted_at) == (before.id, 1, LATER)
    assert (deleted.record_count, deleted.size_bytes) == (0, 0)
    assert await head_of(store, by_id(before.id)) == deleted
    assert await store.record(ALICE, before.id, RecordKey("a")) is None
    assert await store.records(ALICE, before.id, first=10) == []


async def test_deleting_frees_the_name(store: Store) -> None:
    first = (await write(store, put("a"))).head
    await store.delete_dataset(ALICE, named(), now=NOW)

    assert await store.dataset(ALICE, named()) is None
    second = await create(store)

    assert second.id != first.id
    assert second.version == 0
    assert keys(await read_page(store)) == []
    assert await store.dataset(ALICE, by_id(first.id)) is not None


async def test_a_name_can_be_freed_again_and_again(store: Store) -> None:
    ids = []
    for n in range(3):
        ids.append((await write(store, put(f"k{n}"))).head.id)
        await store.delete_dataset(ALICE, named(), now=NOW)

    assert len(set(ids)) == 3
    assert {head.id for head in await store.deleted_datasets(ALICE, ids)} == set(ids)


async def test_a_dataset_is_deleted_once(store: Store) -> None:
    head = await create(store)
    await store.delete_dataset(ALICE, by_id(head.id), now=NOW)

    with pytest.raises(DatasetIsDeleted):
        await store.delete_dataset(ALICE, by_id(head.id), now=LATER)
    with pytest.raises(DatasetNotFound):
        await store.delete_dataset(ALICE, named(), now=LATER)


async def test_nobody_deletes_anothers_dataset(store: Store) -> None:
    head = await create(store)

    with pytest.raises(DatasetNotFound):
        await store.delete_dataset(BOB, by_id(head.id), now=NOW)
    with pytest.raises(DatasetNotFound):
        await store.delete_dataset(BOB, named(), now=NOW)

    assert await head_of(store, named()) == head


async def test_deleted_datasets_are_told_to_their_owner_only(store: Store) -> None:
    live = await create(store, named("live"))
    gone = await create(store, named("gone"))
    deleted = await store.delete_dataset(ALICE, named("gone"), now=NOW)
    ids = [live.id, gone.id, a_dataset_id()]

    assert await store.deleted_datasets(ALICE, ids) == [deleted]
    assert await store.deleted_datasets(BOB, ids) == []
    assert await store.deleted_datasets(ALICE, []) == []


# --- look up ----------------------------------------------------------------------------------------------------------


async def test_another_identity_finds_nothing(store: Store) -> None:
    head = await create(store)

    assert await store.dataset(BOB, by_id(head.id)) is None
    assert await store.dataset(BOB, named()) is None
    assert await store.datasets(BOB, DatasetScope.ALL, first=10) == []
    assert await store.usage(BOB.identity) == Usage(datasets=0, size_bytes=0)


async def test_live_datasets_are_listed_by_name(store: Store) -> None:
    for name in ["b", "B", "a", "c", "a.b", "a-b", "a:b", "gone"]:
        await create(store, named(name))
    await store.delete_dataset(ALICE, named("gone"), now=NOW)
    await create(store, named("bobs"), viewer=BOB)

    names = [each.head.name for each in await store.datasets(ALICE, DatasetScope.ALL, first=100)]

    assert names == ["B", "a", "a-b", "a.b", "a:b", "b", "c"]


async def test_datasets_are_listed_page_by_page(store: Store) -> None:
    for name in "dcba":
        await create(store, named(name))

    async def listed(after: tuple[str, str] | None = None) -> list[str]:
        cursor = None if after is None else (DatasetName(after[0]), DatasetId(after[1]))
        return [each.head.name for each in await store.datasets(ALICE, DatasetScope.ALL, first=2, after=cursor)]

    first, last = "0" * 32, "f" * 32
    assert await listed() == ["a", "b"]
    assert await listed(("b", last)) == ["c", "d"]
    assert await listed(("bb", first)) == ["c", "d"]
    assert await listed(("c", first)) == ["c", "d"]
    assert await listed(("d", last)) == []


async def test_live_records_are_listed_by_key(store: Store) -> None:
    names = ["b", "a", "\uffff", "\U0001f600", "ä", "Z", "gone"]
    head = (await write(store, *(put(name) for name in names))).head
    await write(store, remove("gone"))

    assert keys(list(await store.records(ALICE, head.id, first=100))) == ["Z", "a", "b", "ä", "\uffff", "\U0001f600"]


async def test_records_are_listed_page_by_page(store: Store) -> None:
    head = (await write(store, *(put(name) for name in ["a", "ab", "ac", "b", "c"]))).head

    assert keys(list(await store.records(ALICE, head.id, first=2))) == ["a", "ab"]
    assert keys(list(await store.records(ALICE, head.id, first=2, after=RecordKey("ab")))) == ["ac", "b"]
    assert keys(list(await store.records(ALICE, head.id, first=2, after=RecordKey("aba")))) == ["ac", "b"]
    assert keys(list(await store.records(ALICE, head.id, first=9, after=RecordKey("c")))) == []


async def test_a_listing_of_a_prefix_goes_on_behind_a_key(store: Store) -> None:
    head = (await write(store, *(put(name) for name in ["a", "ba", "bb", "bc", "c"]))).head

    assert keys(list(await store.records(ALICE, head.id, first=9, prefix="b", after=RecordKey("ba")))) == ["bb", "bc"]
    assert keys(list(await store.records(ALICE, head.id, first=9, prefix="b", after=RecordKey("a")))) == [
        "ba",
        "bb",
        "bc",
    ]
    assert keys(list(await store.records(ALICE, head.id, first=9, prefix="b", after=RecordKey("c")))) == []


async def test_records_of_an_unknown_dataset_are_none(store: Store) -> None:
    assert await store.records(ALICE, a_dataset_id(), first=10) == []
    assert await store.record(ALICE, a_dataset_id(), RecordKey("a")) is None


async def test_heads_say_where_datasets_stand(store: Store) -> None:
    written = (await write(store, put("a"))).head
    await write(store, put("a", 2))
    empty = await create(store, named("empty"))
    bobs = await create(store, viewer=BOB)
    await store.delete_dataset(BOB, named(), now=NOW)
    unknown = a_dataset_id()

    marks = await store.heads([written.id, empty.id, bobs.id, unknown])

    assert marks == {
        written.id: HeadMark(version=Version(2), scope=0, deleted=False),
        empty.id: HeadMark(version=Version(0), scope=0, deleted=False),
        bobs.id: HeadMark(version=Version(0), scope=0, deleted=True),
    }
    assert await store.heads([]) == {}


async def test_heads_of_thousands_of_datasets_are_one_trip(store: Store) -> None:
    head = await create(store)
    unknown = [DatasetId(f"{n:032x}") for n in range(5_000)]

    assert set(await store.heads([*unknown, head.id])) == {head.id}


async def test_usage_counts_live_datasets_and_their_bytes(store: Store) -> None:
    await write(store, put("é", "é"))
    await write(store, put("a", 1), ref=named("other"))
    await write(store, put("b", 1), ref=named("gone"))
    await store.delete_dataset(ALICE, named("gone"), now=NOW)

    assert await store.usage(ALICE.identity) == Usage(datasets=2, size_bytes=2 + 4 + 1 + 1)

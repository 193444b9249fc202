"""``Store.read_log``: pages of what changed, and when the log does not lead on."""

from __future__ import annotations

import pytest

from syncline.core.checkpoint import START, ResyncReason, Since
from syncline.core.ids import Epoch, Version
from syncline.core.model import BEGINNING, Position
from syncline.core.pages import PageRequest, RecordFilter
from syncline.ports import Store
from tests.support.builders import (
    ALICE,
    ALICES_LAPTOP,
    BOB,
    NOW,
    a_checkpoint,
    a_dataset_id,
    by_id,
    named,
    put,
    remove,
)
from tests.support.stores import checkpoint, create, keys, read, read_all, read_page, write


def everything_of(prefix: str) -> PageRequest:
    return PageRequest(filter=RecordFilter(prefix=prefix))


# --- what a page holds ------------------------------------------------------------------------------------------------


async def test_the_log_is_in_the_order_of_commits_and_of_changes_in_them(store: Store) -> None:
    await write(store, put("z"), put("a"))
    await write(store, put("m"))
    await write(store, put("b"), put("z", 2))

    page = await read_page(store)

    assert [(r.key, r.version, r.ordinal) for r in page.records] == [("a", 1, 1), ("m", 2, 0), ("b", 3, 0), ("z", 3, 1)]
    assert page.position == Position(Version(3))
    assert not page.has_more


async def test_a_record_is_delivered_once_however_often_it_was_written(store: Store) -> None:
    for n in range(5):
        await write(store, put("a", n))

    assert [(r.value, r.version) for r in (await read_page(store)).records] == [("4", 5)]


async def test_removals_are_in_the_log(store: Store) -> None:
    head = (await write(store, put("a"), put("b"))).head
    seen = await checkpoint(store, head.id)
    await write(store, remove("a"))

    assert [(r.key, r.deleted) for r in (await read_page(store, seen)).records] == [("a", True)]
    assert [(r.key, r.deleted) for r in (await read_page(store)).records] == [("b", False), ("a", True)]


async def test_who_has_seen_all_gets_an_empty_page(store: Store) -> None:
    seen = await checkpoint(store, (await write(store, put("a"))).head.id)

    log = await read(store, seen)

    assert log.reason is None
    assert log.start == Position(Version(1))
    assert log.page is not None
    assert (log.page.records, log.page.position, log.page.has_more) == ((), Position(Version(1)), False)


async def test_since_now_is_an_empty_page_at_the_head(store: Store) -> None:
    head = (await write(store, put("a"))).head

    log = await read(store, None)

    assert (log.reason, log.start, log.head) == (None, Position(Version(1)), head)
    assert log.page is not None
    assert (log.page.records, log.page.position, log.page.has_more) == ((), Position(Version(1)), False)


async def test_a_read_says_which_log_it_read(store: Store) -> None:
    head = (await write(store, put("a"))).head

    log = await read(store, START)

    assert log.epoch == await store.epoch()
    assert log.head == head
    assert log.start == BEGINNING


async def test_an_empty_dataset_has_an_empty_log(store: Store) -> None:
    await create(store)

    page = await read_page(store)

    assert (page.records, page.position, page.has_more) == ((), BEGINNING, False)


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_pages_are_full_but_the_last_one(store: Store) -> None:
    for n in range(7):
        await write(store, put(f"k{n}"))

    pages = await read_all(store, page=PageRequest(first=3))

    assert [keys(page) for page in pages] == [["k0", "k1", "k2"], ["k3", "k4", "k5"], ["k6"]]
    assert [page.has_more for page in pages] == [True, True, False]


async def test_a_page_that_just_fits_is_the_last_one(store: Store) -> None:
    await write(store, put("a"), put("b"))

    page = await read_page(store, page=PageRequest(first=2))

    assert not page.has_more
    assert page.position == Position(Version(1))


async def test_a_page_may_end_inside_a_large_commit(store: Store) -> None:
    head = (await write(store, put("before"))).head
    await write(store, *(put(f"k{n}") for n in range(10)))
    await write(store, put("behind"))

    pages = await read_all(store, page=PageRequest(first=4))

    assert [key for page in pages for key in keys(page)] == ["before", *(f"k{n}" for n in range(10)), "behind"]
    assert pages[0].position == Position(Version(1), 3)
    rest = await read_page(store, a_checkpoint(await store.epoch(), head.id, 1, 3), page=PageRequest(first=2))
    assert keys(rest) == ["k3", "k4"]


async def test_what_moved_on_in_the_log_meanwhile_is_read_behind_the_page(store: Store) -> None:
    head = (await write(store, *(put(f"k{n}") for n in range(4)))).head
    first = await read_page(store, page=PageRequest(first=2))
    await write(store, put("k0", "again"), put("k2", "again"))

    since = a_checkpoint(await store.epoch(), head.id, first.position.version, first.position.offset)
    rest = await read_page(store, since)

    assert [(r.key, r.version) for r in rest.records] == [("k3", 1), ("k0", 2), ("k2", 2)]


async def test_a_page_holds_no_more_bytes_than_asked_for(store: Store) -> None:
    await write(store, *(put(f"k{n}", "x" * 100) for n in range(5)))

    pages = await read_all(store, page=PageRequest(max_bytes=250))

    assert [len(page.records) for page in pages] == [2, 2, 1]


async def test_a_record_larger_than_a_page_is_a_page_of_its_own(store: Store) -> None:
    await write(store, put("small"), put("large", "x" * 10_000), put("tiny"))

    pages = await read_all(store, page=PageRequest(max_bytes=100))

    assert [keys(page) for page in pages] == [["small"], ["large"], ["tiny"]]


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["%", "_", "\\", "a%", "a_", "'", '"', "ä", "\U0001f600", "\U0010ffff", "\ud7ff", "[", "*"]
)
async def test_a_prefix_means_its_characters_and_nothing_else(store: Store, prefix: str) -> None:
    names = ["%", "%x", "_", "_x", "\\", "\\x", "a", "a%", "a%b", "a_", "a_b", "aXb", "a\\b", "'", '"', "ä", "äx", "A"]
    names += [
        "\U0001f600",
        "\U0001f600x",
        "\U0001f601",
        "\U0010ffff",
        "\U0010ffffx",
        "\ud7ffx",
        "\ue000",
        "[a]",
        "*",
        "z",
    ]
    outcome = await write(store, *(put(name) for name in names))

    expected = [name for name in names if name.startswith(prefix)]

    assert keys(await read_page(store, page=everything_of(prefix))) == expected
    listed = await store.records(ALICE, outcome.head.id, first=100, prefix=prefix)
    assert keys(list(listed)) == sorted(expected)


async def test_a_filtered_page_is_full_and_ends_at_the_head(store: Store) -> None:
    for n in range(6):
        await write(store, put(f"a{n}"), put(f"b{n}"))

    pages = await read_all(store, page=PageRequest(first=4, filter=RecordFilter(prefix="b")))

    assert [keys(page) for page in pages] == [["b0", "b1", "b2", "b3"], ["b4", "b5"]]
    assert pages[-1].position == Position(Version(6))


async def test_a_filter_that_lets_nothing_through_still_moves_on(store: Store) -> None:
    await write(store, put("a"))

    page = await read_page(store, page=everything_of("b"))

    assert (page.records, page.position, page.has_more) == ((), Position(Version(1)), False)


async def test_a_device_can_leave_out_what_it_wrote_itself(store: Store) -> None:
    await write(store, put("phone"))
    await write(store, put("laptop"), viewer=ALICES_LAPTOP)

    page = await read_page(store, page=PageRequest(filter=RecordFilter(skip_author=ALICE.author)))

    assert keys(page) == ["laptop"]
    assert page.position == Position(Version(2))


# --- when the log does not lead on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", [None, START])
async def test_a_dataset_that_is_not_there_yet_has_no_page(store: Store, since: Since | None) -> None:
    log = await read(store, since)

    assert (log.head, log.reason, log.page) == (None, None, None)


async def test_a_checkpoint_of_what_is_not_there_says_so(store: Store) -> None:
    epoch = await store.epoch()

    recreated = await read(store, a_checkpoint(epoch, a_dataset_id(), 3))
    other_epoch = await read(store, a_checkpoint(Epoch("f" * 16), a_dataset_id(), 3))

    assert (recreated.head, recreated.reason, recreated.page) == (None, ResyncReason.DATASET_RECREATED, None)
    assert (other_epoch.head, other_epoch.reason, other_epoch.page) == (None, ResyncReason.EPOCH_CHANGED, None)


@pytest.mark.parametrize(
    ("version", "offset", "reason"),
    [
        (2, 0, None),
        (1, 1, None),
        (3, 0, ResyncReason.CHECKPOINT_FROM_FUTURE),
        (2, 1, ResyncReason.CHECKPOINT_FROM_FUTURE),
    ],
)
async def test_a_checkpoint_ahead_of_the_log_is_from_the_future(
    store: Store, version: int, offset: int, reason: ResyncReason | None
) -> None:
    await write(store, put("a"))
    head = (await write(store, put("b"))).head

    log = await read(store, a_checkpoint(await store.epoch(), head.id, version, offset))

    assert log.reason is reason


async def test_with_a_reason_the_page_begins_at_the_beginning(store: Store) -> None:
    head = (await write(store, put("a"), put("b"))).head

    log = await read(store, a_checkpoint(Epoch("f" * 16), head.id, 1), page=PageRequest(first=1))

    assert log.reason is ResyncReason.EPOCH_CHANGED
    assert log.start == BEGINNING
    assert keys(log.page) == ["a"]


async def test_a_new_dataset_of_the_same_name_is_another_one(store: Store) -> None:
    first = (await write(store, put("a"))).head
    seen = await checkpoint(store, first.id)
    await store.delete_dataset(ALICE, named(), now=NOW)
    second = (await write(store, put("b"))).head

    log = await read(store, seen)

    assert log.reason is ResyncReason.DATASET_RECREATED
    assert log.head == second
    assert log.start == BEGINNING
    assert keys(log.page) == ["b"]


async def test_a_deleted_dataset_is_there_by_id_without_a_page(store: Store) -> None:
    head = (await write(store, put("a"))).head
    seen = await checkpoint(store, head.id)
    deleted = await store.delete_dataset(ALICE, named(), now=NOW)

    log = await read(store, seen, ref=by_id(head.id))

    assert log.head == deleted
    assert log.live_head is None
    assert log.page is None


async def test_anothers_log_is_as_if_not_there(store: Store) -> None:
    head = (await write(store, put("a"))).head

    log = await read(store, START, ref=by_id(head.id), viewer=BOB)

    assert (log.head, log.reason, log.page) == (None, None, None)

"""What feeds promise, on a real store, with a bus that can be made to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from syncline.core.checkpoint import START, Checkpoint, ResyncReason
from syncline.core.commit import Resync
from syncline.core.events import DatasetCreated, DatasetDeleted, Ready
from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, DatasetName, Epoch, RecordKey, Version
from syncline.core.model import BEGINNING, Commit, ConflictPolicy, DatasetRef, Position
from syncline.core.pages import MAX_FEED_PAGE_BYTES, MAX_PAGE_RECORDS
from syncline.errors import DatasetNotFound, SynclineError
from syncline.ports import Synced
from tests.support.world import NOTES, Watcher, World, increment, put, viewer


async def watch(world: World, since: Any = None, *, room: int | None = None, **wanted: Any) -> Watcher:
    options = {"skip_own": False, "prefix": "", **wanted}
    return Watcher(await world.subscriptions.dataset(viewer("laptop"), NOTES, since, **options), room=room)


def commits(events: list[Any]) -> list[Commit]:
    return [event for event in events if isinstance(event, Commit)]


def versions(events: list[Any]) -> list[int]:
    return [commit.version for commit in commits(events)]


def assert_gapless(events: list[Any], start: Position) -> None:
    """Each commit begins where the one before ended."""
    place = start
    for commit in commits(events):
        assert commit.previous == place
        place = commit.position


async def head_checkpoint(world: World) -> Checkpoint:
    head = await world.head()
    return Checkpoint(await world.store.epoch(), head.id, Position(head.version))


async def test_a_dataset_that_does_not_exist_is_ready_and_what_is_created_later_arrives(world: World) -> None:
    watcher = await watch(world)
    assert await watcher.count(1) == [Ready(checkpoint=START, resumed=False)]
    await world.sync(put("a", 1))
    events = await watcher.count(2)
    assert [record.key for record in events[1].records] == ["a"]
    assert events[1].previous == BEGINNING
    await watcher.feed.close()


async def test_a_dataset_whose_creation_was_rung_by_nobody_is_found_by_the_sweep(world: World) -> None:
    watcher = await watch(world)
    await watcher.count(1)
    everything = Watcher(await world.subscriptions.identity(viewer("laptop"), None, skip_own=False))
    await everything.count(1)
    world.bus.fate = lambda hint: []
    await world.sync(put("a", 1))
    await world.sweep()
    assert versions(await watcher.count(2)) == [1]
    assert [type(event) for event in await everything.count(3)] == [Ready, DatasetCreated, Commit]
    await watcher.feed.close()
    await everything.feed.close()


async def test_without_since_a_feed_begins_now(world: World) -> None:
    await world.sync(put("a", 1))
    watcher = await watch(world)
    [ready] = await watcher.count(1)
    assert ready == Ready(checkpoint=await head_checkpoint(world), resumed=False)
    await world.sync(put("b", 1))
    assert versions(await watcher.count(2)) == [2]
    await watcher.feed.close()


async def test_from_start_everything_arrives_in_order(world: World) -> None:
    for number in range(5):
        await world.sync(put(f"k{number}", number))
    watcher = await watch(world, START)
    await world.sync(put("k5", 5))
    events = await watcher.until(lambda events: versions(events)[-1:] == [6])
    assert isinstance(events[0], Ready)
    assert events[0].resumed
    assert_gapless(events, BEGINNING)
    assert {record.key for commit in commits(events) for record in commit.records} == {f"k{n}" for n in range(6)}
    await watcher.feed.close()


async def test_a_device_that_was_away_gets_exactly_what_it_missed(world: World) -> None:
    await world.sync(put("a", 1), put("b", 1))
    seen = await head_checkpoint(world)
    await world.sync(put("b", 2))
    await world.sync(put("c", 1))
    watcher = await watch(world, seen)
    events = await watcher.until(lambda events: versions(events)[-1:] == [3])
    assert events[0] == Ready(checkpoint=seen, resumed=True)
    assert [record.key for commit in commits(events) for record in commit.records] == ["b", "c"]
    assert_gapless(events, seen.position)
    await watcher.feed.close()


@pytest.mark.parametrize(("missed", "expected"), [(0, []), (10, ["read_log"])])
async def test_a_device_that_comes_back_costs_one_look_at_the_store_and_none_if_it_missed_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, missed: int, expected: list[str]
) -> None:
    await world.sync(put("a", 1))
    seen = await head_checkpoint(world)
    other = await watch(world, seen)
    await other.until(lambda events: len(events) == 1)
    await other.settled()
    for number in range(missed):
        await world.sync(put(f"k{number}", number))
    await other.until(lambda events: len(versions(events)) == missed)
    looks: list[str] = []
    for look in (
        "dataset",
        "datasets",
        "deleted_datasets",
        "heads",
        "visible",
        "node_log",
        "read_log",
        "record",
        "records",
        "usage",
    ):
        monkeypatch.setattr(world.store, look, noting(looks, look, getattr(world.store, look)))
    watcher = await watch(world, seen)
    await watcher.until(
        lambda events: sum(len(commit.records) for commit in commits(events)) == missed and bool(events)
    )
    await watcher.settled()
    assert looks == expected
    await watcher.feed.close()
    await other.feed.close()


async def test_a_checkpoint_of_another_identity_s_dataset_leads_nowhere_even_if_it_is_followed_here(
    world: World,
) -> None:
    await world.sync(put("a", 1))
    seen = await head_checkpoint(world)
    owner = await watch(world, seen)
    await owner.settled()
    stranger = Watcher(
        await world.subscriptions.dataset(viewer("phone", "bob"), NOTES, seen, skip_own=False, prefix="")
    )
    ready, resync = await stranger.count(2)
    assert ready == Ready(checkpoint=START, resumed=False)
    assert isinstance(resync, Resync)
    await world.sync(put("a", 2))
    await owner.count(2)
    assert len(stranger.events) == 2
    await owner.feed.close()
    await stranger.feed.close()


def noting(looks: list[str], name: str, look: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def noted(*args: Any, **options: Any) -> Any:
        looks.append(name)
        return await look(*args, **options)

    return noted


async def test_many_missed_records_come_in_pages_within_both_bounds(world: World) -> None:
    big = "x" * 2_000
    for part in range(3):
        await world.sync(*(put(f"k{part}-{number}", big if part == 2 else number) for number in range(300)))
    watcher = await watch(world, START)
    events = await watcher.until(lambda events: sum(len(c.records) for c in commits(events)) == 900)
    for commit in commits(events):
        assert len(commit.records) <= MAX_PAGE_RECORDS
        assert sum(record.size_bytes for record in commit.records) <= MAX_FEED_PAGE_BYTES
    assert_gapless(events, BEGINNING)
    await watcher.feed.close()


async def test_a_device_that_begins_with_nothing_is_never_told_of_a_previous_that_it_does_not_hold(
    world: World,
) -> None:
    big = "x" * (MAX_FEED_PAGE_BYTES // 2 + 1)
    await world.sync(put("a", big))
    other = await watch(world)
    await other.settled()
    world.bus.fate = lambda hint: []
    await world.sync(put("b", big))
    # Its first page ends where the channel still stands, but says that it began later.
    newcomer = await watch(world, START)
    await newcomer.until(lambda events: len(commits(events)) >= 1)
    await world.sweep()
    events = await newcomer.until(lambda events: commits(events)[-1].version == 2)
    told = commits(events)
    for one, next_ in pairwise(told):
        assert str(Checkpoint(next_.epoch, next_.dataset, next_.previous)) == str(
            Checkpoint(one.epoch, one.dataset, one.position)
        )
    assert len(told) == 2
    await other.feed.close()
    await newcomer.feed.close()


async def test_a_commit_made_between_reading_the_log_and_going_live_is_not_lost(world: World) -> None:
    await world.sync(put("a", 1))
    read_log = world.store.read_log
    raced = False

    async def read_then_race(*args: Any, **options: Any) -> Any:
        nonlocal raced
        read = await read_log(*args, **options)
        if not raced:
            raced = True
            await world.sync(put("raced", 1))
        return read

    world.store.read_log = read_then_race  # type: ignore[method-assign]
    watcher = await watch(world, START)
    events = await watcher.until(lambda events: versions(events)[-1:] == [2])
    assert_gapless(events, BEGINNING)
    assert raced
    await watcher.feed.close()


async def test_a_sink_without_room_is_served_from_the_log_without_gap_or_double(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world, room=2)
    await watcher.count(1)
    for number in range(10):
        await world.sync(increment("n"), put("a", number + 1))
    events = await watcher.until(lambda events: versions(events)[-1:] == [11])
    assert_gapless(events, Position(Version(1)))
    assert max(versions(events)) == 11
    assert len(set(versions(events))) == len(versions(events))
    await watcher.feed.close()


@pytest.mark.parametrize(
    ("symptom", "fate"),
    [
        ("lost", lambda hint: []),
        ("doubled", lambda hint: [hint, hint]),
        ("without its commit", lambda hint: [replace(hint, commit=None)]),
        ("of another epoch", lambda hint: [replace(hint, epoch=Epoch("f" * 16))]),
        ("far ahead", lambda hint: [replace(hint, version=Version(hint.version + 7), commit=None)]),
        ("of the past", lambda hint: [replace(hint, version=Version(1), previous=Version(0)), hint]),
        (
            "with a commit of another dataset",
            lambda hint: (
                [replace(hint, commit=replace(hint.commit, dataset=DatasetId("0" * 32)))] if hint.commit else []
            ),
        ),
    ],
)
async def test_bad_hints_do_no_harm(world: World, symptom: str, fate: Any) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world)
    await watcher.count(1)
    world.bus.fate = fate
    for number in range(6):
        await world.sync(put("a", number + 1))
    await world.sweep()
    events = await watcher.until(lambda events: versions(events)[-1:] == [7])
    assert_gapless(events, Position(Version(1)))
    await watcher.feed.close()


@pytest.mark.parametrize("backwards", [False, True])
async def test_delayed_and_reordered_hints_do_no_harm(world: World, backwards: bool) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world)
    await watcher.count(1)
    world.bus.holding = True
    for number in range(6):
        await world.sync(put("a", number + 1))
    world.bus.holding = False
    world.bus.release(backwards=backwards)
    events = await watcher.until(lambda events: versions(events)[-1:] == [7])
    assert_gapless(events, Position(Version(1)))
    await watcher.feed.close()


async def test_skip_own_leaves_out_the_device_s_own_records_but_moves_its_checkpoint(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world, skip_own=True)
    await watcher.count(1)
    await world.sync(put("mine", 1), by=viewer("laptop"))
    await world.sync(put("theirs", 1), by=viewer("phone"))
    events = await watcher.until(lambda events: versions(events)[-1:] == [3])
    assert [[record.key for record in commit.records] for commit in commits(events)] == [[], ["theirs"]]
    assert_gapless(events, Position(Version(1)))
    await watcher.feed.close()


async def test_a_prefix_is_taken_literally(world: World) -> None:
    watcher = await watch(world, START, prefix="a%")
    await watcher.count(1)
    await world.sync(put("a%1", 1), put("ab", 1))
    events = await watcher.count(2)
    assert [record.key for commit in commits(events) for record in commit.records] == ["a%1"]
    await watcher.feed.close()


async def test_followers_of_one_cohort_are_encoded_once_per_commit(world: World) -> None:
    await world.sync(put("a", 0))
    encoded: list[Any] = []

    def encode(event: Any) -> Any:
        encoded.append(event)
        return event

    feeds = [
        await world.subscriptions.dataset(viewer(f"device {n}"), NOTES, None, skip_own=False, prefix="")
        for n in range(20)
    ]
    watchers = [Watcher(feed, cohort="cohort", encode=encode) for feed in feeds]
    for watcher in watchers:
        await watcher.settled()
    encoded.clear()
    await world.sync(put("a", 1))
    for watcher in watchers:
        await watcher.until(lambda events: versions(events)[-1:] == [2])
    assert len(encoded) == 1
    for feed in feeds:
        await feed.close()


async def test_an_idle_feed_has_no_task(world: World) -> None:
    await world.sync(put("a", 0))
    before = asyncio.all_tasks()
    watchers = [await watch(world, START) for _ in range(10)]
    for watcher in watchers:
        await watcher.count(2)
        await watcher.settled()
    assert asyncio.all_tasks() == before
    await world.sync(put("a", 1))
    for watcher in watchers:
        await watcher.until(lambda events: versions(events)[-1:] == [2])
        await watcher.feed.close()


async def test_a_closed_feed_gets_nothing_and_leaves_nothing_behind(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world)
    await watcher.count(1)
    await watcher.feed.close()
    await watcher.feed.close()
    await world.sync(put("a", 1))
    assert len(watcher.events) == 1
    assert not world.channels._channels
    assert not world.bus._bus._watches


async def test_a_deleted_dataset_is_told_even_when_a_new_one_has_its_name(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world)
    [ready] = await watcher.count(1)
    await world.datasets.delete(viewer(), NOTES)
    await world.sync(put("b", 0))
    events = await watcher.until(lambda events: bool(commits(events)))
    assert events[1] == DatasetDeleted(dataset=ready.checkpoint.dataset, name=DatasetName("notes"))
    assert events[2].dataset != ready.checkpoint.dataset
    assert events[2].previous == BEGINNING
    await watcher.feed.close()


async def test_a_device_that_was_away_is_told_of_the_deletion_and_gets_the_new_dataset(world: World) -> None:
    await world.sync(put("a", 0))
    seen = await head_checkpoint(world)
    await world.datasets.delete(viewer(), NOTES)
    await world.sync(put("b", 0))
    watcher = await watch(world, seen)
    events = await watcher.count(3)
    assert [type(event) for event in events] == [Ready, DatasetDeleted, Commit]
    assert not events[0].resumed
    assert events[1].dataset == seen.dataset
    assert [record.key for record in events[2].records] == ["b"]
    await watcher.feed.close()


async def test_a_feed_of_an_id_ends_with_its_dataset(world: World) -> None:
    synced = await world.sync(put("a", 0))
    assert isinstance(synced, Synced)
    ref = DatasetRef(id=synced.head.id)
    watcher = Watcher(await world.subscriptions.dataset(viewer(), ref, None, skip_own=False, prefix=""))
    await watcher.count(1)
    await world.datasets.delete(viewer(), ref)
    await watcher.until(lambda events: watcher.ended)
    assert isinstance(watcher.events[-1], DatasetDeleted)
    assert watcher.error is None
    await watcher.feed.close()


async def test_a_dataset_of_somebody_else_is_not_found(world: World) -> None:
    synced = await world.sync(put("a", 0))
    assert isinstance(synced, Synced)
    with pytest.raises(DatasetNotFound):
        await world.subscriptions.dataset(
            viewer(identity="mallory"), DatasetRef(id=synced.head.id), None, skip_own=False, prefix=""
        )


async def test_a_checkpoint_of_another_epoch_is_told_to_resync_and_gets_everything(world: World) -> None:
    await world.sync(put("a", 0))
    seen = await head_checkpoint(world)
    watcher = await watch(world, replace(seen, epoch=Epoch("0" * 16)))
    events = await watcher.count(3)
    assert [type(event) for event in events] == [Ready, Resync, Commit]
    assert not events[0].resumed
    assert events[1].reason is ResyncReason.EPOCH_CHANGED
    assert events[2].previous == BEGINNING
    await watcher.feed.close()


async def test_a_checkpoint_from_the_future_is_told_to_resync(world: World) -> None:
    await world.sync(put("a", 0))
    seen = await head_checkpoint(world)
    watcher = await watch(world, replace(seen, position=Position(Version(99))))
    events = await watcher.count(3)
    assert events[1].reason is ResyncReason.CHECKPOINT_FROM_FUTURE
    await watcher.feed.close()


async def test_a_feed_that_cannot_read_ends_with_a_retryable_error(world: World) -> None:
    await world.sync(put("a", 0))
    await world.store.close()
    watcher = await watch(world, START)
    await watcher.until(lambda events: watcher.ended)
    assert isinstance(watcher.error, SynclineError)
    assert watcher.error.retryable


async def test_a_feed_can_be_iterated_over(world: World) -> None:
    await world.sync(put("a", 0))
    feed = await world.subscriptions.dataset(viewer(), NOTES, START, skip_own=False, prefix="")
    events: list[Any] = []
    async for event in feed:
        events.append(event)
        if len(events) == 2:
            break
    assert versions(events) == [1]


async def test_an_identity_is_told_of_new_changed_and_deleted_datasets(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = Watcher(await world.subscriptions.identity(viewer(), None, skip_own=False))
    assert await watcher.count(1) == [Ready(checkpoint=START, resumed=False)]
    await world.sync(put("a", 1))
    await watcher.count(2)
    other = DatasetRef(name=DatasetName("other"))
    await world.sync(put("x", 1), ref=other)
    await watcher.count(4)
    await world.datasets.delete(viewer(), other)
    events = await watcher.count(5)
    assert [type(event) for event in events] == [Ready, Commit, DatasetCreated, Commit, DatasetDeleted]
    await watcher.feed.close()


async def test_an_identity_is_told_of_deleted_datasets_in_the_order_in_which_it_named_them(world: World) -> None:
    refs = [DatasetRef(name=DatasetName(f"dataset-{number}")) for number in range(8)]
    heads = [await world.datasets.create(viewer(), ref.name, ConflictPolicy.REJECT) for ref in refs if ref.name]
    for ref in refs:
        await world.datasets.delete(viewer(), ref)
    watcher = Watcher(await world.subscriptions.identity(viewer(), {head.id: START for head in heads}, skip_own=False))
    events = await watcher.count(1 + len(heads))
    assert [event.dataset for event in events[1:]] == [head.id for head in heads]
    await watcher.feed.close()


async def test_an_identity_that_was_away_gets_what_it_missed_of_every_dataset(world: World) -> None:
    other = DatasetRef(name=DatasetName("other"))
    third = DatasetRef(name=DatasetName("third"))
    await world.sync(put("a", 0))
    await world.sync(put("x", 0), ref=other)
    seen = {}
    for ref in (NOTES, other):
        head = await world.head(ref)
        seen[head.id] = Checkpoint(await world.store.epoch(), head.id, Position(head.version))
    await world.sync(put("a", 1))
    await world.datasets.delete(viewer(), other)
    await world.sync(put("n", 0), ref=third)
    watcher = Watcher(await world.subscriptions.identity(viewer(), seen, skip_own=False))
    events = await watcher.count(5)
    assert [type(event) for event in events[:3]] == [Ready, DatasetDeleted, DatasetCreated]
    assert sorted(record.key for commit in commits(events) for record in commit.records) == ["a", "n"]
    await watcher.feed.close()


async def test_a_policy_change_is_no_commit(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world)
    await watcher.count(1)
    await world.datasets.update(viewer(), NOTES, ConflictPolicy.MERGE)
    await world.sync(put("a", 1))
    assert versions(await watcher.count(2)) == [2]
    await watcher.feed.close()


async def test_junk_on_the_bus_is_ignored(world: World) -> None:
    await world.sync(put("a", 0))
    watcher = await watch(world)
    [ready] = await watcher.count(1)
    channel = world.channels._channels[ready.checkpoint.dataset]
    channel.on_hint(Hint(dataset=DatasetId("0" * 32), epoch=Epoch("1" * 16), version=Version(10**9)))
    await world.sync(put("a", 1))
    events = await watcher.count(2)
    assert versions(events) == [2]
    assert events[1].records[0].key == RecordKey("a")
    await watcher.feed.close()


@pytest.mark.parametrize("everything", [False, True], ids=["a dataset", "all datasets"])
async def test_a_sweep_that_finds_what_feeds_follow_starts_nothing(world: World, everything: bool) -> None:
    """With thousands of watchers, each of them looking for itself would stall the server."""
    await world.sync(put("a", 1))
    if everything:
        watcher = Watcher(await world.subscriptions.identity(viewer("laptop"), None, skip_own=False))
    else:
        watcher = await watch(world)
    await watcher.until(lambda events: len(events) == 1)
    if watcher.feed._task is not None:
        await watcher.feed._task
    await world.memberships.sweep()
    assert watcher.feed._task is None
    world.bus.fate = lambda hint: []
    await world.datasets.create(viewer(), DatasetName("another"), ConflictPolicy.REJECT)
    await world.memberships.sweep()
    assert (watcher.feed._task is not None) is everything
    await watcher.feed.close()

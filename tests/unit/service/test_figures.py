"""What the services count, on a real store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncline.core.checkpoint import START, Checkpoint, Since
from syncline.core.ids import DatasetId, DatasetName, Epoch, Version
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetRef, Position
from syncline.errors import LimitExceeded, MutationIdReused, StoreUnavailable
from syncline.ports import Retention
from syncline.service.housekeeping import Housekeeping
from tests.support.builders import remove
from tests.support.figures import Figures
from tests.support.world import NOTES, Watcher, World, now, put, viewer

TASKS = DatasetName("tasks")


def figures(world: World) -> Figures:
    return Figures(world.metrics.page("")[0].decode())


def nonzero(world: World, name: str) -> dict[tuple[str, ...], float]:
    """The series of the counter that are not zero, by the values of their labels."""
    return {
        tuple(value for _, value in sorted(sample.labels.items()) if value): sample.value
        for sample in figures(world).families[f"syncline_{name}"].samples
        if sample.value
    }


async def head_checkpoint(world: World, ref: DatasetRef = NOTES) -> Checkpoint:
    head = await world.head(ref)
    return Checkpoint(await world.store.epoch(), head.id, Position(head.version))


# --- syncs ------------------------------------------------------------------------------------------------------------


async def test_each_sync_is_counted_by_its_outcome(world: World) -> None:
    await world.sync(put("a", 1), mutation_id="first")
    await world.sync(put("a", 1), mutation_id="first")
    await world.sync()
    await world.sync(put("a", 2), by=viewer("laptop"), on_conflict=ConflictPolicy.REJECT, mutation_id="clash")
    await world.sync(put("a", 2), by=viewer("laptop"), on_conflict=ConflictPolicy.REJECT, mutation_id="clash")
    await world.sync(put("b", 1), since=replace(await head_checkpoint(world), epoch=Epoch("00" * 8)))
    with pytest.raises(MutationIdReused):
        await world.sync(put("a", 3), mutation_id="first")

    outcomes = {"committed": 1, "replayed": 2, "unchanged": 1, "conflicted": 1, "resync": 1, "refused": 1}
    assert nonzero(world, "syncs") == {(outcome,): count for outcome, count in outcomes.items()}
    assert nonzero(world, "receipts_hit") == {("applied",): 1, ("conflicted",): 1}


async def test_a_sync_that_the_store_failed_is_counted_as_failed(world: World) -> None:
    await world.store.close()
    with pytest.raises(StoreUnavailable):
        await world.sync(put("a", 1))
    assert nonzero(world, "syncs") == {("failed",): 1}


async def test_limits_are_counted_by_name_whether_they_fail_a_sync_or_a_change_of_it(tmp_path: Path) -> None:
    world = await World.open(tmp_path, Limits(changes_per_sync=3, key_bytes=8, datasets=1))
    with pytest.raises(LimitExceeded):
        await world.sync(*(put(f"k{n}", n) for n in range(4)))
    await world.sync(put("short", 1), put("much too long", 1), put("longer still", 1), atomic=False)
    with pytest.raises(LimitExceeded):
        await world.datasets.create(viewer(), TASKS, ConflictPolicy.REJECT)
    assert nonzero(world, "limits_hit") == {("changesPerSync",): 1, ("keyBytes",): 2, ("datasets",): 1}
    assert nonzero(world, "syncs") == {("refused",): 1, ("committed",): 1}
    await world.close()


# --- subscriptions ----------------------------------------------------------------------------------------------------


async def follow(world: World, since: Since | None, ref: DatasetRef = NOTES) -> Watcher:
    watcher = Watcher(await world.subscriptions.dataset(viewer("laptop"), ref, since, skip_own=False, prefix=""))
    await watcher.count(1)
    await watcher.settled()
    return watcher


async def other_log(world: World) -> Since:
    return replace(await head_checkpoint(world), epoch=Epoch("00" * 8))


async def behind(world: World) -> Since:
    checkpoint = await head_checkpoint(world)
    await world.sync(put("b", 1))
    return checkpoint


async def at_the_end(world: World) -> Since:
    return await head_checkpoint(world)


async def at_the_beginning(world: World) -> Since:
    return START


@pytest.mark.parametrize(
    ("since", "result"),
    [
        (at_the_beginning, ("fresh",)),
        (at_the_end, ("live",)),
        (behind, ("caught_up",)),
        (other_log, ("EPOCH_CHANGED", "resync")),
    ],
)
async def test_a_subscription_to_a_dataset_is_counted_by_how_it_begins(
    world: World, since: Callable[[World], Any], result: tuple[str, ...]
) -> None:
    await world.sync(put("a", 1))
    watcher = await follow(world, await since(world))
    assert nonzero(world, "resumes") == {result: 1}
    await watcher.feed.close()


async def test_one_that_begins_where_others_are_live_already_is_live(world: World) -> None:
    await world.sync(put("a", 1))
    first = await follow(world, None)
    second = await follow(world, await head_checkpoint(world))
    assert nonzero(world, "resumes") == {("fresh",): 1, ("live",): 1}
    await first.feed.close()
    await second.feed.close()


async def test_one_to_a_dataset_that_is_gone_is_counted_as_that(world: World) -> None:
    await world.sync(put("a", 1))
    checkpoint = await head_checkpoint(world)
    ref = DatasetRef(id=checkpoint.dataset)
    await world.datasets.delete(viewer(), ref)
    watcher = await follow(world, checkpoint, ref)
    assert nonzero(world, "resumes") == {("deleted",): 1}
    await watcher.feed.close()


@pytest.mark.parametrize(
    ("known", "result"),
    [
        (lambda here: None, ("fresh",)),
        (lambda here: {here.dataset: here}, ("live",)),
        (lambda here: {}, ("caught_up",)),
        (lambda here: {here.dataset: replace(here, position=Position(Version(1)))}, ("caught_up",)),
        (lambda here: {here.dataset: here, DatasetId("00" * 16): here}, ("caught_up",)),
        (lambda here: {here.dataset: replace(here, epoch=Epoch("00" * 8))}, ("EPOCH_CHANGED", "resync")),
    ],
)
async def test_a_subscription_to_everything_is_counted_by_how_it_begins(
    world: World, known: Callable[[Checkpoint], Mapping[DatasetId, Since] | None], result: tuple[str, ...]
) -> None:
    await world.sync(put("a", 1))
    await world.sync(put("a", 2))
    feed = await world.subscriptions.identity(viewer("laptop"), known(await head_checkpoint(world)), skip_own=False)
    watcher = Watcher(feed)
    await watcher.count(1)
    await watcher.settled()
    assert nonzero(world, "resumes") == {result: 1}
    await watcher.feed.close()


async def test_subscriptions_are_counted_as_long_as_they_are_open(world: World) -> None:
    first, second = await follow(world, None), await follow(world, START)
    assert world.channels.feeds == 2
    await first.feed.close()
    await first.feed.close()
    assert world.channels.feeds == 1
    never_started = await world.subscriptions.dataset(viewer(), NOTES, None, skip_own=False, prefix="")
    await never_started.close()
    await second.feed.close()
    assert world.channels.feeds == 0


async def test_who_has_no_room_is_counted_once_for_each_time_it_falls_behind(world: World) -> None:
    await world.sync(put("a", 1))
    quick, slow = await follow(world, START), await follow(world, START)
    slow.room = 0
    await world.sync(put("a", 2))
    await quick.until(lambda events: events[-1].version == 2)
    await slow.until(lambda events: events[-1].version == 2)
    assert nonzero(world, "slow_consumers") == {("behind",): 1}
    await quick.feed.close()
    await slow.feed.close()


async def test_each_pass_is_measured_and_one_that_serves_nobody_is_not(world: World) -> None:
    await world.sync(put("a", 1))
    watchers = [await follow(world, START) for _ in range(3)]
    await world.sync(put("a", 2))
    for watcher in watchers:
        await watcher.until(lambda events: events[-1].version == 2)
    assert figures(world).of("commit_to_delivery_seconds_count") == 1
    assert figures(world).of("commit_to_delivery_seconds_sum") < 1
    for watcher in watchers:
        await watcher.feed.close()
    await world.sync(put("a", 3))
    assert figures(world).of("commit_to_delivery_seconds_count") == 1


# --- the bus ----------------------------------------------------------------------------------------------------------


async def test_a_lost_hint_is_counted_when_the_next_one_shows_it(world: World) -> None:
    await world.sync(put("a", 1))
    watcher = await follow(world, START)
    world.bus.fate = lambda hint: []
    await world.sync(put("a", 2))
    world.bus.fate = lambda hint: [hint, hint]
    await world.sync(put("a", 3))
    await watcher.until(lambda events: events[-1].version == 3)
    assert nonzero(world, "bus_gaps") == {("hint",): 1}
    await watcher.feed.close()


async def test_a_lost_hint_is_counted_when_the_sweep_finds_the_commit(world: World) -> None:
    await world.sync(put("a", 1))
    watcher = await follow(world, START)
    world.bus.fate = lambda hint: []
    await world.sync(put("a", 2))
    await world.sweep()
    await watcher.until(lambda events: events[-1].version == 2)
    await world.sweep()
    assert nonzero(world, "bus_gaps") == {("sweep",): 1}
    await watcher.feed.close()


async def test_a_commit_that_did_not_fit_into_its_hint_is_no_gap(world: World) -> None:
    await world.sync(put("a", 1))
    watcher = await follow(world, START)
    world.bus.fate = lambda hint: [replace(hint, commit=None)]
    await world.sync(put("a", 2))
    await watcher.until(lambda events: events[-1].version == 2)
    assert nonzero(world, "bus_gaps") == {}
    await watcher.feed.close()


# --- housekeeping -----------------------------------------------------------------------------------------------------


async def test_sweeps_are_measured_and_the_age_of_what_is_kept_is_told_after_pruning(world: World) -> None:
    day = timedelta(days=1)
    retention = Retention(
        tombstones=90 * day, tombstones_per_dataset=10_000, receipts=30 * day, deleted_datasets=90 * day
    )

    def housekeeping(days_later: int) -> Housekeeping:
        return Housekeeping(
            world.store,
            world.sweep,
            lambda: now() + days_later * day,
            retention,
            sweep_every=timedelta(seconds=5),
            metrics=world.metrics,
            bus=world.bus,
        )

    def age_in_days(kind: str) -> float:
        return round(figures(world).of("oldest_log_age_seconds", kind=kind) / day.total_seconds(), 3)

    await housekeeping(0).prune()
    assert (age_in_days("receipt"), age_in_days("tombstone")) == (0, 0)
    await world.sync(put("a", 1))
    await world.sync(remove("a"))
    await housekeeping(20).prune()
    assert (age_in_days("receipt"), age_in_days("tombstone")) == (20, 20)
    await housekeeping(40).prune()
    assert (age_in_days("receipt"), age_in_days("tombstone")) == (0, 40)

    await housekeeping(0).sweep()
    assert figures(world).of("sweep_seconds_count") == 1

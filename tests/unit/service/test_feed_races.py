"""What happens to a dataset while a feed is busy with it is not missed, and feeds beside each other do not mix."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from syncline.core.changes import Remove
from syncline.core.checkpoint import START, ResyncReason
from syncline.core.commit import Resync
from syncline.core.events import DatasetCreated, FeedEvent, Ready
from syncline.core.ids import RecordKey, Version
from syncline.core.model import BEGINNING, Commit, Position
from syncline.errors import SynclineError
from syncline.ports import Retention
from syncline.service.feeds import Feed
from tests.support.world import NOTES, PATIENCE, Watcher, World, now, put, viewer

NO_TIME = timedelta(0)
FORGETS_REMOVALS = Retention(
    tombstones=NO_TIME, tombstones_per_dataset=10_000, receipts=timedelta(days=1), deleted_datasets=timedelta(days=1)
)


class SlowSink:
    """A sink that takes one event at a time, when it is told to."""

    def __init__(self, feed: Feed) -> None:
        self._offered: asyncio.Queue[FeedEvent] = asyncio.Queue()
        self._taken: asyncio.Queue[None] = asyncio.Queue()
        feed.start(self, lambda event: event, self)

    def push(self, payload: Any) -> bool:
        return False

    async def send(self, payload: Any) -> None:
        self._offered.put_nowait(payload)
        await self._taken.get()

    def end(self, error: SynclineError | None) -> None:
        raise AssertionError("the feed has ended")

    async def offered(self) -> FeedEvent:
        """The next event. Until it is taken, its feed waits."""
        return await asyncio.wait_for(self._offered.get(), PATIENCE.total_seconds())

    def take(self) -> None:
        self._taken.put_nowait(None)


def after_the_next(
    monkeypatch: pytest.MonkeyPatch, store: object, question: str, event: Callable[[], Awaitable[object]]
) -> None:
    """Have something happen when the store has answered the question, before who asked hears it; once."""
    ask = getattr(store, question)

    async def answer(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(store, question, ask)
        answered = await ask(*args, **options)
        await event()
        return answered

    monkeypatch.setattr(store, question, answer)


async def test_a_dataset_created_while_its_feed_looks_for_it_is_not_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_the_next(monkeypatch, world.store, "read_log", lambda: world.sync(put("a", 1)))
    watcher = Watcher(await world.subscriptions.dataset(viewer(), NOTES, None, skip_own=False, prefix=""))
    ready, commit = await watcher.count(2)
    assert ready == Ready(checkpoint=START, resumed=False)
    assert [record.key for record in commit.records] == ["a"]
    await watcher.feed.close()


async def test_a_dataset_created_while_an_identity_s_feed_lists_them_is_not_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_the_next(monkeypatch, world.store, "datasets", lambda: world.sync(put("a", 1)))
    watcher = Watcher(await world.subscriptions.identity(viewer(), None, skip_own=False))
    assert [type(event) for event in await watcher.count(3)] == [Ready, DatasetCreated, Commit]
    await watcher.feed.close()


async def test_what_others_write_while_a_page_is_taken_comes_after_it(world: World) -> None:
    await world.sync(put("a", 1))
    other = Watcher(await world.subscriptions.dataset(viewer(), NOTES, START, skip_own=False, prefix=""))
    await other.count(2)
    await other.settled()
    feed = await world.subscriptions.dataset(viewer("laptop"), NOTES, START, skip_own=False, prefix="")
    slow = SlowSink(feed)
    assert isinstance(await slow.offered(), Ready)
    slow.take()
    page = await slow.offered()
    await world.sync(put("b", 1))
    # The channel has handed it out now, and stands behind it.
    await other.count(3)
    slow.take()
    missed = await slow.offered()
    assert isinstance(page, Commit)
    assert isinstance(missed, Commit)
    assert [record.key for record in page.records] == ["a"]
    assert [record.key for record in missed.records] == ["b"]
    assert missed.previous == page.position
    await feed.close()
    await other.feed.close()


async def test_who_did_not_hear_of_a_removal_before_it_was_forgotten_is_told_to_resync(world: World) -> None:
    await world.sync(put("a", 1), put("b", 1))
    watcher = Watcher(await world.subscriptions.dataset(viewer(), NOTES, None, skip_own=False, prefix=""))
    await watcher.count(1)
    await watcher.settled()
    world.bus.fate = lambda hint: []
    await world.sync(Remove(key=RecordKey("a")))
    await world.store.prune(FORGETS_REMOVALS, now=now() + timedelta(seconds=1), batch=10)
    await world.sweep()
    _, resync, commit = await watcher.count(3)
    assert isinstance(resync, Resync)
    assert resync.reason is ResyncReason.CHECKPOINT_TOO_OLD
    assert commit.previous == BEGINNING
    assert commit.position == Position(Version(2))
    assert [record.key for record in commit.records] == ["b"]
    await watcher.feed.close()


async def test_feeds_of_one_cohort_get_each_what_its_own_filter_lets_through(world: World) -> None:
    await world.sync(put("a", 0))
    feeds = [
        await world.subscriptions.dataset(viewer("phone"), NOTES, None, skip_own=False, prefix="a"),
        await world.subscriptions.dataset(viewer("phone"), NOTES, None, skip_own=False, prefix="b"),
        await world.subscriptions.dataset(viewer("phone"), NOTES, None, skip_own=True, prefix=""),
        await world.subscriptions.dataset(viewer("laptop"), NOTES, None, skip_own=True, prefix=""),
    ]
    watchers = [Watcher(feed, cohort="one") for feed in feeds]
    for watcher in watchers:
        await watcher.count(1)
        await watcher.settled()
    await world.sync(put("a", 1), put("b", 1), by=viewer("phone"))
    received = [[record.key for record in (await watcher.count(2))[1].records] for watcher in watchers]
    assert received == [["a"], ["b"], [], ["a", "b"]]
    for feed in feeds:
        await feed.close()

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from syncline.core.model import DatasetHead
from syncline.errors import StoreUnavailable
from tests.support.world import NOTES, Watcher, World, put, viewer


async def head(world: World) -> DatasetHead:
    return await world.head()


async def test_a_channel_is_shared_and_goes_with_its_last_follower(world: World) -> None:
    await world.sync(put("a", 1))
    one = await world.channels.acquire(await head(world))
    two = await world.channels.acquire(await head(world))
    assert one is two
    await world.channels.release(one)
    assert world.channels._channels
    await world.channels.release(two)
    assert not world.channels._channels
    assert not world.bus._bus._watches


async def test_a_channel_that_could_not_open_is_tried_anew_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.sync(put("a", 1))
    known = await head(world)
    read_log = world.store.node_log

    async def fails(*_: Any) -> Any:
        raise StoreUnavailable("for once")

    monkeypatch.setattr(world.store, "node_log", fails)
    results = await asyncio.gather(*(world.channels.acquire(known) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    monkeypatch.setattr(world.store, "node_log", read_log)
    channel = await world.channels.acquire(known)
    assert channel.fan_out.mark.position.version == 1
    await world.channels.release(channel)


async def test_one_waiter_that_gives_up_does_not_end_the_opening_for_the_others(world: World) -> None:
    await world.sync(put("a", 1))
    known = await head(world)
    first = asyncio.create_task(world.channels.acquire(known))
    second = asyncio.create_task(world.channels.acquire(known))
    await asyncio.sleep(0)
    first.cancel()
    channel = await second
    assert channel.fan_out.mark.position.version == 1
    await world.channels.release(channel)
    assert not world.channels._channels


async def test_a_channel_reads_on_after_the_store_was_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.sync(put("a", 1))
    watcher = Watcher(await world.subscriptions.dataset(viewer(), NOTES, None, skip_own=False, prefix=""))
    await watcher.settled()
    world.bus.fate = lambda hint: []
    await world.sync(put("a", 2))
    read_log, failures = world.store.node_log, 2

    async def fails_at_first(*args: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailable("for now")
        return await read_log(*args)

    monkeypatch.setattr(world.store, "node_log", fails_at_first)
    await world.sweep()
    events = await watcher.count(2)
    assert events[1].version == 2
    await watcher.feed.close()


async def test_a_sweep_that_finds_the_store_back_ends_the_pause_after_a_failed_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.service.channels._RETRY_SECONDS", (3_600.0,))
    await world.sync(put("a", 1))
    watcher = Watcher(await world.subscriptions.dataset(viewer(), NOTES, None, skip_own=False, prefix=""))
    await watcher.settled()
    world.bus.fate = lambda hint: []
    await world.sync(put("a", 2))
    read_log = world.store.node_log
    failed = asyncio.Event()

    async def fails(*_: Any) -> Any:
        failed.set()
        raise StoreUnavailable("for now")

    monkeypatch.setattr(world.store, "node_log", fails)
    await world.sweep()
    await failed.wait()
    monkeypatch.setattr(world.store, "node_log", read_log)
    await asyncio.sleep(0)

    await world.sweep()

    events = await watcher.count(2)
    assert events[1].version == 2
    await watcher.feed.close()

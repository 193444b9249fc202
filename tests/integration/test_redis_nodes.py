"""Two nodes on one store: what is committed by way of one reaches who watches on the other, whatever Valkey does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncline.bus.redis import RedisBus
from syncline.core.checkpoint import START
from syncline.core.ids import IdentityId
from syncline.core.limits import Limits
from syncline.core.model import Commit
from syncline.ports import Retention, Store
from syncline.service.housekeeping import Housekeeping
from syncline.storage.sqlite import SqliteStore
from tests.support.fault_proxy import fault_proxy
from tests.support.valkey import eventually, valkey
from tests.support.world import NOTES, Watcher, World, now, put, viewer

COMMITS = 300
LATE_SECONDS = 5.0
"""A hint that was lost is made up for within this."""
SWEEP = timedelta(seconds=5)
RETENTION = Retention(
    tombstones=timedelta(days=90),
    tombstones_per_dataset=10_000,
    receipts=timedelta(days=30),
    deleted_datasets=timedelta(days=90),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A server without its sockets."""

    bus: RedisBus
    world: World

    async def watch(self) -> Watcher:
        feed = await self.world.subscriptions.dataset(viewer("tablet"), NOTES, START, skip_own=False, prefix="")
        watcher = Watcher(feed)
        await watcher.settled()
        return watcher


@asynccontextmanager
async def node(store: Store, url: str) -> AsyncIterator[Node]:
    bus = RedisBus.open(url, secret=b"shared")
    await bus.start()
    world = World(store, Limits(), bus)
    housekeeping = Housekeeping(store, world.channels, world.memberships, now, RETENTION, sweep_every=SWEEP, bus=bus)
    running = asyncio.create_task(housekeeping.run())
    try:
        yield Node(bus, world)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.channels.close()
        await bus.close()


@asynccontextmanager
async def nodes(folder: Path, *urls: str) -> AsyncIterator[Sequence[Node]]:
    """A node for each URL, all on one store."""
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(folder / "syncline.sqlite3")
        stack.push_async_callback(store.close)
        yield [await stack.enter_async_context(node(store, url)) for url in urls]


def versions(watcher: Watcher) -> list[int]:
    """Which commits the watcher was told, each as often as it was."""
    found: list[int] = []
    for event in watcher.events:
        if isinstance(event, Commit):
            # Commits that came together are told together.
            found.extend(range(event.previous.version + 1, event.version + 1))
    return found


async def test_commits_through_one_node_reach_who_watches_on_another_without_asking_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        read_log, reads = there.world.store.read_log, 0

        async def counted(*args: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read_log(*args)

        monkeypatch.setattr(there.world.store, "read_log", counted)
        for number in range(1, COMMITS):
            await here.world.sync(put("note", number))
        await eventually(lambda: len(versions(watcher)) >= COMMITS, LATE_SECONDS)
        assert versions(watcher) == list(range(1, COMMITS + 1))
        # A sweep may look between a commit and its hint.
        assert reads <= 5
        assert there.bus.health.gaps == 0


async def test_a_valkey_that_loses_a_tenth_of_the_messages_loses_no_commit(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        nodes(tmp_path, server.url, proxy.url) as (here, there),
    ):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        proxy.share_lost = 0.1
        for number in range(1, COMMITS):
            await here.world.sync(put("note", number))
        await eventually(lambda: len(versions(watcher)) >= COMMITS, LATE_SECONDS)
        assert versions(watcher) == list(range(1, COMMITS + 1))
        assert proxy.lost > 10


async def test_with_valkey_hanging_syncs_go_on_and_arrive_by_the_sweep(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        server.hang()
        begun = time.monotonic()
        for number in range(1, 20):
            await here.world.sync(put("note", number))
        assert time.monotonic() - begun < 2
        await eventually(lambda: len(versions(watcher)) >= 20, LATE_SECONDS)
        await eventually(lambda: not there.bus.up, LATE_SECONDS)
        # Now that it is known, it is swept every second.
        await here.world.sync(put("note", 20))
        await eventually(lambda: len(versions(watcher)) >= 21, 2)
        server.go_on()
        assert versions(watcher) == list(range(1, 22))


async def test_what_was_committed_while_one_node_was_cut_off_arrives_when_it_is_back(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        nodes(tmp_path, server.url, proxy.url) as (here, there),
    ):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        memberships = await there.world.memberships.watch(IdentityId("alice"), lambda owned: None)
        proxy.cut()
        await here.world.sync(put("note", 1))
        # It was back at once, before it could have missed the sweep.
        await eventually(lambda: len(versions(watcher)) >= 2, 2)
        memberships.close()

"""Nodes of one installation: services on one store, with a bus between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from syncline.bus.redis import RedisBus
from syncline.core.checkpoint import START
from syncline.core.limits import Limits
from syncline.core.model import Commit, Viewer
from syncline.ports import CompleteStore, Retention
from syncline.service.housekeeping import Housekeeping
from syncline.storage.sqlite import SqliteStore
from tests.support.world import NOTES, Watcher, World, now, viewer

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
        return await self.watch_as(viewer("tablet"))

    async def watch_as(self, by: Viewer) -> Watcher:
        """The viewer's own notes, from the start."""
        watcher = Watcher(await self.world.subscriptions.dataset(by, NOTES, START, skip_own=False, prefix=""))
        await watcher.settled()
        return watcher


@asynccontextmanager
async def node(store: CompleteStore, url: str) -> AsyncIterator[Node]:
    bus = RedisBus.open(url, secret=b"shared")
    await bus.start()
    world = World(store, Limits(), bus)
    housekeeping = Housekeeping(
        store,
        world.sweep,
        now,
        RETENTION,
        sweep_every=SWEEP,
        bus=bus,
        metrics=world.metrics,
    )
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

"""A node: the product's services, put together as ``app.py`` does, and everything that dies with a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import timedelta
from typing import Any

from syncline.core.feed import Hint
from syncline.core.limits import Limits
from syncline.errors import SynclineError
from syncline.metrics import Metrics
from syncline.ports import Retention, Topic
from syncline.service.channels import Channels
from syncline.service.datasets import Datasets
from syncline.service.feeds import Feed
from syncline.service.housekeeping import Housekeeping
from syncline.service.memberships import Memberships
from syncline.service.subscriptions import Subscriptions
from syncline.service.sync import Syncs
from tests.simulation.bus import SimulatedBus
from tests.simulation.store import SimulatedStore
from tests.simulation.stream import Stream
from tests.simulation.violation import check
from tests.simulation.virtual_loop import OWNER, Owner
from tests.simulation.world import World

SWEEP_SECONDS = 5
SWEEP_SECONDS_WITHOUT_BUS = 1
_DAYS = timedelta(days=90)
_METRICS = Metrics()
"""Nobody asks for them."""
_FORGETFUL = Retention(tombstones=_DAYS, tombstones_per_dataset=0, receipts=_DAYS, deleted_datasets=_DAYS)

OpenFeed = Callable[[Subscriptions], Coroutine[Any, Any, Feed]]


def as_it_is(event: Any) -> Any:
    """How events are encoded here; the same for all, so that those with equal filters share it."""
    return event


class Incarnation(Owner):
    """One process of a node, from its start to its crash. All tasks that its code starts are its own."""

    def __init__(self, world: World, name: str, crash: Callable[[], None]) -> None:
        super().__init__()
        self._world = world
        self._context = copy_context()
        self._context.run(OWNER.set, self)
        self.store = SimulatedStore(world, name, crash)
        self.bus = SimulatedBus(world, name, self._context)
        self.channels = Channels(self.store, self.bus, _METRICS)
        self.memberships = Memberships(self.store, self.bus)
        self.datasets = Datasets(self.store, self.bus, world.now, Limits(), _METRICS)
        self.syncs = Syncs(self.store, self.bus, world.now, self.datasets, _METRICS)
        self.subscriptions = Subscriptions(self.store, self.memberships, self.channels)
        self.housekeeping = Housekeeping(
            self.store,
            self._look,
            world.now,
            _FORGETFUL,
            sweep_every=timedelta(seconds=SWEEP_SECONDS),
            bus=self.bus,
            metrics=_METRICS,
        )
        self._streams: dict[Stream, Feed | None] = {}
        self._sweeping = self.spawn(self._sweep())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._world.loop.create_task(work, context=self._context)

    async def _sweep(self) -> None:
        seconds = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS_WITHOUT_BUS)
            seconds += SWEEP_SECONDS_WITHOUT_BUS
            if self._world.sweeps and (self._world.bus_down or seconds >= SWEEP_SECONDS):
                seconds = 0
                await self.sweep()

    async def _look(self) -> None:
        await self.channels.sweep()
        await self.memberships.sweep()

    async def sweep(self) -> None:
        try:
            await self.housekeeping.sweep()
        except SynclineError:
            """Tried again at the next turn, as the product's own loop does."""

    async def prune(self) -> None:
        try:
            await self.housekeeping.prune()
        except SynclineError:
            """Tried again at another time."""

    # --- subscriptions ------------------------------------------------------------------------------------------------

    async def subscribe(self, stream: Stream, open_feed: OpenFeed) -> None:
        self._streams[stream] = None
        try:
            feed = await open_feed(self.subscriptions)
        except SynclineError as error:
            stream.end(error)
            return
        if stream.closed:
            await feed.close()
            return
        self._streams[stream] = feed
        feed.start(stream, as_it_is, "all")

    def hang_up(self, stream: Stream) -> None:
        """The subscription is over, whoever ended it."""
        if self.store.severed:
            return
        stream.close()
        feed = self._streams.pop(stream, None)
        if feed is not None:
            self.spawn(feed.close())

    # --- the end ------------------------------------------------------------------------------------------------------

    def die(self) -> None:
        """All that runs ends where it is; nobody outside hears of it any more."""
        self.store.severed = self.bus.severed = True
        for stream in list(self._streams):
            stream.close()
            self._world.loop.call_later(self._world.within(0.1), stream.cut_off)
        for task in self.running():
            task.cancel()

    async def stop(self) -> None:
        """Close all in order; then nothing may be left."""
        self._sweeping.cancel()
        for stream in list(self._streams):
            self.hang_up(stream)
        while left := self.running():
            await asyncio.wait(left)
        check("channels end with their last follower", not self.channels._channels, list(self.channels._channels))
        check("memberships end with their feeds", not self.memberships._watching, list(self.memberships._watching))
        check("watches end with what needed them", not self.bus.local._watches, list(self.bus.local._watches))
        await self.channels.close()
        await self.bus.close()


class Node:
    """A name that devices can reach, as long as a process runs behind it."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._world = world
        self.dead: list[Incarnation] = []
        self.now: Incarnation | None = None
        """None: it is down."""

    def start(self) -> None:
        if self.now is None:
            self._world.trace.add("node starts", self.name)
            self.now = Incarnation(self._world, self.name, self.crash)

    def crash(self) -> None:
        """It comes back after a while."""
        if self.now is not None:
            self._world.trace.add("node crashes", self.name)
            self.now.die()
            self.dead.append(self.now)
            self.now = None
            self._world.loop.call_later(0.05 + self._world.within(2), self.start)

    def hear(self, topic: Topic, hint: Hint) -> None:
        """A hint arrives from another node."""
        if self.now is not None:
            self.now.bus.arrive(topic, hint)

    async def stop(self) -> None:
        if self.now is not None:
            await self.now.stop()
        for incarnation in [*self.dead, *([] if self.now is None else [self.now])]:
            check("nothing is left running", not incarnation.running(), self.name, len(incarnation.running()))

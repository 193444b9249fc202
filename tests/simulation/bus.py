"""The bus as one node knows it: to itself it is reliable, between nodes hints meet all that can happen to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace

from syncline.bus.local import LocalBus
from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, Epoch, Version
from syncline.ports import Ear, Listener, Topic, Watch
from tests.simulation.world import World, short

_OTHER_EPOCH = Epoch("0123456789abcdef")


class SimulatedBus:
    """One incarnation's end of the bus."""

    def __init__(self, world: World, node: str, context: Context) -> None:
        self._world = world
        self._node = node
        self._context = context
        self.local = LocalBus()
        self.severed = False

    @property
    def up(self) -> bool:
        return not self._world.bus_down

    def on_change(self, listener: Callable[[], None]) -> None:
        """Nobody is told: a node sweeps often while the bus is down, and once more."""

    def publish(self, topic: Topic, hint: Hint) -> None:
        if self.severed:
            return
        world = self._world
        self.local.publish(topic, hint)
        if world.happens(world.weather.hint_bare):
            hint = replace(hint, commit=None)
        for node in world.nodes:
            if node.name != self._node:
                self._carry(node.name, node.hear, topic, hint)
            elif world.happens(world.weather.hint_doubled):
                # It hears itself as well.
                world.loop.call_later(world.within(world.weather.hint_seconds), node.hear, topic, hint)

    def _carry(self, to: str, hear: Callable[[Topic, Hint], None], topic: Topic, hint: Hint) -> None:
        world, weather = self._world, self._world.weather
        if world.bus_down or world.happens(weather.hint_lost):
            world.trace.add("hint lost", self._node, to, short(hint.dataset), hint.version)
            return
        arriving = [hint, hint] if world.happens(weather.hint_doubled) else [hint]
        if world.happens(weather.hint_poisoned):
            poison = self._poisoned(hint)
            world.trace.add("hint poisoned", self._node, to, short(hint.dataset), poison.version, poison.previous)
            arriving = world.dice.choice([[poison], [poison, hint], [hint, poison]])
        for each in arriving:
            world.loop.call_later(world.within(weather.hint_seconds), hear, topic, each)

    def _poisoned(self, hint: Hint) -> Hint:
        """The hint as a faulty or hostile program might send it. Commits are not made up: who can do that is inside."""
        dice = self._world.dice
        version = Version(max(0, hint.version + dice.randint(-3, 3)))
        previous = Version(max(0, version - dice.randint(0, 2)))
        return dice.choice(
            [
                replace(hint, version=version),
                replace(hint, version=version, previous=previous),
                replace(hint, version=version, previous=previous, commit=None),
                replace(hint, previous=None),
                replace(hint, commit=None),
                replace(hint, epoch=_OTHER_EPOCH),
                replace(hint, dataset=DatasetId("f" * 32)),
                Hint(dataset=hint.dataset, epoch=Epoch(""), version=Version(10**9)),
            ]
        )

    def arrive(self, topic: Topic, hint: Hint) -> None:
        """A hint came from outside."""
        if not self.severed:
            self._context.run(self.local.publish, topic, hint)

    async def watch(self, topic: Topic, listener: Listener) -> Watch:
        seconds = self._world.weather.hint_seconds
        await asyncio.sleep(self._world.within(seconds))
        watch = await self.local.watch(topic, listener)
        try:
            await asyncio.sleep(self._world.within(seconds))
        except BaseException:
            watch.close()
            raise
        return watch

    def tell(self, topic: Topic, letter: bytes) -> None:
        """Nobody is present in this world."""

    async def listen(self, topic: Topic, ear: Ear) -> Watch:
        return await self.local.listen(topic, ear)

    async def close(self) -> None:
        await self.local.close()

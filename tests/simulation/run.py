"""One run from its seed to its end: rough weather, then a fair one in which all must come right."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from syncline.core.ids import DatasetName
from syncline.service import datasets as datasets_module
from tests.simulation.agenda import agenda
from tests.simulation.checks import agrees, check_database
from tests.simulation.device import Device, viewer
from tests.simulation.network import Network
from tests.simulation.node import SWEEP_SECONDS, SWEEP_SECONDS_WITHOUT_BUS, Node
from tests.simulation.scale import scaled
from tests.simulation.trace import Trace
from tests.simulation.violation import check, violated
from tests.simulation.weather import FAIR, deaf
from tests.simulation.world import World

NAMES = (DatasetName("notes"), DatasetName("tasks"))
_LOOK_EVERY_SECONDS = 0.05
_SETTLE_SECONDS = 20.0
"""More than the longest pause between attempts of anyone to do anything, and some attempts."""
_PROMPT_SECONDS = 3.0
_SLACK_SECONDS = 0.7
"""For the way to the database and to the devices."""


@dataclass(frozen=True)
class Result:
    """How a run ended. The same seed ends in the same way, with the same trace."""

    seed: int
    violation: BaseException | None
    trace: Trace
    syncs: int
    virtual_seconds: float


def simulate(seed: int) -> Result:
    """Run it to its end, or to the first promise that is broken."""
    world = World(seed)
    # Ids of datasets are drawn there; they appear in traces.
    datasets_module._random = random.Random(seed)  # noqa: S311
    with scaled(world.dice), _quietly():
        simulation = Simulation(world)
        try:
            world.loop.run_until_complete(simulation.run())
        finally:
            world.loop.run_until_complete(simulation.tear_down())
            world.loop.close()
    return Result(
        seed=seed,
        violation=world.failed.exception() if world.failed.done() else None,
        trace=world.trace,
        syncs=world.ledger.acknowledged,
        virtual_seconds=world.loop.time(),
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings that rough weather brings; for this run only."""
    ours = logging.getLogger("syncline")
    level = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(level)


class Simulation:
    """Two nodes, four devices, and what happens to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: list[asyncio.Task[None]] = []
        dice = world.dice
        world.nodes = [Node(world, "north"), Node(world, "south")]
        network = Network(world)
        stranger = dice.random() < 0.4
        self.devices = [
            Device(
                world,
                network,
                viewer("bob" if stranger and number == 4 else "alice", f"d{number}"),
                dice.choice([NAMES[:1], NAMES[:1], NAMES[1:], NAMES]),
            )
            for number in range(1, 5)
        ]

    async def run(self) -> None:
        """Return at the end of the script, or at once when something is not as it must be."""
        script = self.start(self._script(asyncio.current_task()))
        await asyncio.wait([script, self._world.failed], return_when=asyncio.FIRST_COMPLETED)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have it done beside; if it fails, so does the run."""
        task = self._world.loop.create_task(work)
        task.add_done_callback(self._report)
        self._tasks.append(task)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._world.fail(error)

    async def tear_down(self) -> None:
        for node in self._world.nodes:
            if node.now is not None:
                node.now.die()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- the script ---------------------------------------------------------------------------------------------------

    async def _script(self, main: asyncio.Task[Any] | None) -> None:
        world = self._world
        for node in world.nodes:
            node.start()
        following = [self.start(work) for device in self.devices for work in (device.follow(), device.push())]
        plan = agenda(world, self.devices, self.start)
        for moment, act in plan:
            world.loop.call_at(moment, act)
        await asyncio.sleep(plan[-1][0])
        await self._come_right()
        await self._be_prompt()
        await self._be_deaf()
        check_database(world)
        await self._stop(following)
        others = asyncio.all_tasks() - {main, *self._tasks}
        check("nothing is left running", not others, *(task.get_coro() for task in others))

    async def _come_right(self) -> None:
        """The weather clears up: what was begun is brought to its end, and all agree."""
        world = self._world
        world.trace.add("--- fair weather")
        world.weather, world.bus_down = FAIR, False
        for node in world.nodes:
            node.start()
        for device in self.devices:
            device.calm_down()
        await self._until("all that was begun ends", self._all_settled, _SETTLE_SECONDS)
        # What is created, and has no commit yet, is found by the sweep as well.
        await asyncio.sleep(SWEEP_SECONDS + _SLACK_SECONDS)
        await self._until("all devices agree", self._all_agree, 0)

    async def _be_prompt(self) -> None:
        """Where no hint is lost nobody needs the sweep, whoever comes and goes meanwhile."""
        world, dice = self._world, self._world.dice
        world.trace.add("--- no sweeps")
        world.sweeps = False
        seconds = dice.choice([0.05, 0.6])
        for device in self.devices:
            if dice.random() < 0.7:
                world.loop.call_later(world.within(0.1), device.disconnect)
            for name in device.replicas:
                for _ in range(dice.choice([0, 1, 2, 4])):
                    world.loop.call_later(world.within(seconds), device.edit, name)
        if dice.random() < 0.3:
            device = dice.choice(self.devices)
            world.loop.call_later(
                world.within(seconds), lambda: self.start(device.asking.delete(next(iter(device.replicas))))
            )
        await asyncio.sleep(seconds)
        await self._until("what is begun in fair weather ends soon", self._all_settled, _PROMPT_SECONDS)
        await self._until("without a lost hint all agree at once", self._all_agree, _PROMPT_SECONDS)
        world.sweeps = True

    async def _be_deaf(self) -> None:
        """Where all hints are lost, the sweep brings everything within its interval."""
        world, dice = self._world, self._world.dice
        world.trace.add("--- all hints lost")
        world.bus_down = dice.random() < 0.3
        world.weather = deaf(FAIR)
        for name in NAMES:
            able = [device for device in self.devices if name in device.replicas]
            if able:
                dice.choice(able).edit(name)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        await self._until("what is begun without hints ends soon", self._all_settled, _PROMPT_SECONDS)
        seconds = SWEEP_SECONDS_WITHOUT_BUS if world.bus_down else SWEEP_SECONDS
        await self._until("a lost hint costs no more than a sweep", self._all_agree, seconds + _SLACK_SECONDS)

    async def _stop(self, following: list[asyncio.Task[None]]) -> None:
        world = self._world
        world.trace.add("--- the end")
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        # What they asked for last is still on its way.
        await asyncio.sleep(_SLACK_SECONDS)
        for node in world.nodes:
            await node.stop()

    # --- what is waited for -------------------------------------------------------------------------------------------

    def _all_settled(self) -> str:
        for device in self.devices:
            device.calm_down()
        return " ".join(device.label for device in self.devices if not device.settled)

    def _all_agree(self) -> str:
        return " ".join(device.label for device in self.devices if not agrees(self._world, device))

    async def _until(self, promise: str, who_lacks: Callable[[], str], seconds: float) -> None:
        deadline = self._world.loop.time() + seconds
        while lacking := who_lacks():
            if self._world.loop.time() > deadline:
                violated(promise, f"after {seconds} s:", lacking)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from syncline.errors import StoreUnavailable
from syncline.ports import Retention
from syncline.service.housekeeping import Housekeeping
from tests.support.world import World, now

A_DAY = timedelta(days=1)
RETENTION = Retention(tombstones=A_DAY, tombstones_per_dataset=10, receipts=A_DAY, deleted_datasets=A_DAY)
SOON_SECONDS = 1.9


class Bell:
    """The part of a bus that calls for sweeps."""

    def __init__(self) -> None:
        self.up = True
        self.ring: Callable[[], None] = lambda: None

    def on_change(self, listener: Callable[[], None]) -> None:
        self.ring = listener


class CountedSweeps(Housekeeping):
    """Housekeeping that only counts."""

    def __init__(self, world: World, bell: Bell | None) -> None:
        super().__init__(
            world.store,
            world.sweep,
            now,
            RETENTION,
            sweep_every=timedelta(hours=1),
            metrics=world.metrics,
            bus=bell,  # type: ignore[arg-type] # it is asked for no more
        )
        self.swept = asyncio.Semaphore(0)
        self.fails = False

    async def sweep(self) -> None:
        self.swept.release()
        if self.fails:
            raise StoreUnavailable("for now")

    async def again(self) -> None:
        """Wait for the next sweep."""
        async with asyncio.timeout(SOON_SECONDS):
            await self.swept.acquire()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
async def sweeps(world: World, bell: Bell) -> AsyncIterator[CountedSweeps]:
    housekeeping = CountedSweeps(world, bell)
    running = asyncio.create_task(housekeeping.run())
    await asyncio.sleep(0.01)
    yield housekeeping
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_bus_calls_for_a_sweep(sweeps: CountedSweeps, bell: Bell) -> None:
    bell.ring()
    await sweeps.again()
    bell.ring()
    await sweeps.again()


async def test_many_calls_are_one_sweep(sweeps: CountedSweeps, bell: Bell) -> None:
    for _ in range(100):
        bell.ring()
    await sweeps.again()
    with pytest.raises(TimeoutError):
        await sweeps.again()


async def test_while_the_bus_is_down_it_is_swept_every_second(sweeps: CountedSweeps, bell: Bell) -> None:
    bell.up = False
    bell.ring()
    for _ in range(3):
        await sweeps.again()


async def test_a_sweep_that_failed_is_tried_again_soon(sweeps: CountedSweeps, bell: Bell) -> None:
    sweeps.fails = True
    bell.ring()
    for _ in range(2):
        await sweeps.again()

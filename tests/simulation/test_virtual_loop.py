"""Time jumps, and everything happens in the order in which it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from tests.simulation.virtual_loop import OWNER, Deadlock, Owner, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_a_year_passes_at_once(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(31_536_000))
    assert loop.time() == 31_536_000


def test_timers_fire_at_their_very_moments_and_in_their_order(loop: VirtualLoop) -> None:
    fired: list[float] = []
    moments = [0.3, 0.1 + 0.2, 0.1, 7.7, 1e-9, 86_400.1]
    for moment in moments:
        loop.call_at(moment, lambda: fired.append(loop.time()))
    loop.run_until_complete(asyncio.sleep(100_000))
    assert fired == sorted(moments)


def test_time_stands_still_while_there_is_something_to_do(loop: VirtualLoop) -> None:
    async def many_turns() -> float:
        for _ in range(1_000):
            await asyncio.sleep(0)
        return loop.time()

    loop.call_later(0.001, lambda: None)
    assert loop.run_until_complete(many_turns()) == 0


def test_a_deadline_passes_in_virtual_time(loop: VirtualLoop) -> None:
    async def wait() -> None:
        async with asyncio.timeout(60):
            await loop.create_future()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(wait())
    assert loop.time() == 60


def test_everybody_waiting_for_ever_is_an_error(loop: VirtualLoop) -> None:
    future = loop.create_future()
    with pytest.raises(Deadlock):
        loop.run_until_complete(future)


def test_an_owner_knows_the_tasks_that_its_code_starts_and_no_others(loop: VirtualLoop) -> None:
    owner, context = Owner(), copy_context()
    context.run(OWNER.set, owner)

    async def parent() -> None:
        child = asyncio.create_task(asyncio.sleep(2), name="child")
        await asyncio.sleep(1)
        assert owner.running() == [task, child]
        await child

    loop.create_task(asyncio.sleep(1))
    task = loop.create_task(parent(), context=context)
    loop.run_until_complete(task)
    assert owner.running() == []

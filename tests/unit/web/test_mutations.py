from __future__ import annotations

import asyncio

import pytest

from syncline.errors import Overloaded
from syncline.web.mutations import Mutations


async def test_giving_up_the_waiting_does_not_stop_the_mutation() -> None:
    mutations, go_on, done = Mutations(max_pending=2), asyncio.Event(), asyncio.Event()

    async def mutation() -> None:
        await go_on.wait()
        done.set()

    waiting = asyncio.create_task(mutations.run(mutation))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert mutations.pending == 1
    go_on.set()
    await mutations.drain()
    assert done.is_set()
    assert mutations.pending == 0


async def test_too_many_are_refused_before_anything_is_done() -> None:
    mutations, go_on, began = Mutations(max_pending=1), asyncio.Event(), []

    async def mutation() -> None:
        began.append(1)
        await go_on.wait()

    first = asyncio.create_task(mutations.run(mutation))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await mutations.run(mutation)
    go_on.set()
    await first
    assert began == [1]


async def test_a_mutations_error_reaches_who_waits() -> None:
    async def mutation() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        await Mutations(max_pending=1).run(mutation)

from __future__ import annotations

import asyncio

import pytest

from syncline.web.waiting import Gate, Inbox

PATIENCE_SECONDS = 20


async def test_items_come_out_in_the_order_in_which_they_came_in() -> None:
    inbox: Inbox[int] = Inbox()
    assert inbox.empty()
    inbox.put_nowait(1)
    inbox.put_nowait(2)
    assert not inbox.empty()
    assert [await inbox.get(), await inbox.get()] == [1, 2]
    assert inbox.empty()


async def test_who_waits_for_an_item_gets_it() -> None:
    inbox: Inbox[int] = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(1)
    inbox.put_nowait(2)
    assert await asyncio.wait_for(reader, PATIENCE_SECONDS) == 1
    assert await inbox.get() == 2


async def test_a_reader_that_gives_up_takes_no_item_along() -> None:
    inbox: Inbox[int] = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    reader.cancel()
    inbox.put_nowait(1)
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await asyncio.wait_for(inbox.get(), PATIENCE_SECONDS) == 1


async def test_a_gate_lets_through_while_it_is_open() -> None:
    gate = Gate()
    assert gate.is_set()
    await asyncio.wait_for(gate.wait(), PATIENCE_SECONDS)


async def test_all_who_wait_at_a_gate_go_on_when_it_opens() -> None:
    gate = Gate()
    gate.clear()
    gate.clear()
    assert not gate.is_set()
    first, second, gone = (asyncio.create_task(gate.wait()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert not first.done()
    gate.set()
    gate.set()
    await asyncio.wait_for(asyncio.gather(first, second), PATIENCE_SECONDS)
    assert gone.cancelled()
    assert gate.is_set()

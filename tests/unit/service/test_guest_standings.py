from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncline.bus.local import LocalBus
from syncline.core.guests import guest_id
from syncline.core.ids import DeviceId, IdentityId
from syncline.core.linking import LinkRule
from syncline.core.model import Viewer
from syncline.errors import GuestLinked
from syncline.service.guest_standings import FRESH_SECONDS, GuestStandings
from tests.support.world import PATIENCE, World, viewer

GUEST = guest_id(1)
OTHER = guest_id(2)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path)
    yield world
    await world.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def elsewhere(world: World, clock: Clock) -> GuestStandings:
    """What another node knows, which no hint reaches."""
    return GuestStandings(world.store, LocalBus(), clock)


async def link(world: World, guest: IdentityId = GUEST) -> None:
    token = world.guest_tokens.mint(Viewer(identity=guest, device=DeviceId("phone")))
    await world.guests.link(viewer(), token.text, LinkRule.MERGE)


async def test_a_node_that_missed_the_hint_knows_within_half_a_second(
    world: World, elsewhere: GuestStandings, clock: Clock
) -> None:
    await elsewhere.check(GUEST)
    await link(world)
    clock.now += FRESH_SECONDS
    with pytest.raises(GuestLinked):
        await elsewhere.check(GUEST)
    await elsewhere.check(OTHER)


async def test_a_guest_that_asks_often_is_not_looked_up_each_time(
    world: World, elsewhere: GuestStandings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = world.store.linked_guests

    async def counted(guests: list[IdentityId]) -> frozenset[IdentityId]:
        nonlocal looks
        looks += 1
        return await look(guests)

    monkeypatch.setattr(world.store, "linked_guests", counted)
    for _ in range(100):
        await elsewhere.check(GUEST)
        clock.now += FRESH_SECONDS / 50
    assert looks == 2
    await link(world)
    clock.now += FRESH_SECONDS
    for _ in range(10):
        with pytest.raises(GuestLinked):
            await elsewhere.check(GUEST)
        clock.now += 3600
    assert looks == 3


async def test_the_node_that_links_knows_at_once(world: World) -> None:
    await world.guest_standings.check(GUEST)
    await link(world)
    with pytest.raises(GuestLinked):
        await world.guest_standings.check(GUEST)


async def test_who_watches_is_rung_by_the_bus(world: World) -> None:
    rung = asyncio.Event()
    watch = await world.guest_standings.watch(GUEST, rung.set)
    other = await world.guest_standings.watch(OTHER, lambda: pytest.fail("another guest was linked"))
    await link(world)
    async with asyncio.timeout(PATIENCE.total_seconds()):
        await rung.wait()
    watch.close()
    other.close()


async def test_who_watches_is_rung_by_the_sweep_if_the_hint_was_lost(world: World, elsewhere: GuestStandings) -> None:
    rung: list[str] = []
    one = await elsewhere.watch(GUEST, lambda: rung.append("one"))
    two = await elsewhere.watch(GUEST, lambda: rung.append("two"))
    closed = await elsewhere.watch(GUEST, lambda: rung.append("closed"))
    other = await elsewhere.watch(OTHER, lambda: rung.append("other"))
    closed.close()
    await elsewhere.sweep()
    assert rung == []
    await link(world)
    await elsewhere.sweep()
    assert rung == ["one", "two"]
    with pytest.raises(GuestLinked):
        await elsewhere.look(GUEST)
    for watch in (one, two, other):
        watch.close()
        watch.close()
    await elsewhere.sweep()
    assert rung == ["one", "two"]


async def test_a_guest_that_was_linked_already_is_not_watched(world: World, elsewhere: GuestStandings) -> None:
    await link(world)
    with pytest.raises(GuestLinked):
        await elsewhere.watch(GUEST, lambda: None)
    assert elsewhere._watching == {}

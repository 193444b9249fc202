"""What a channel hands to its followers, and what it does not miss, on a real store."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

from syncline.core.feed import Mark
from syncline.core.ids import NO_TENANT, Version
from syncline.core.model import BEGINNING, Commit, DatasetHead, Position
from syncline.core.pages import EVERYTHING
from syncline.service.channels import Channel
from syncline.service.fan_out import FanOut
from syncline.topics import dataset_topic
from tests.support.core_builders import EPOCH, commit
from tests.support.world import PATIENCE, World, put, viewer


class Listener:
    """A follower that keeps the commits it takes."""

    record_filter = EVERYTHING
    identity = viewer().identity

    def __init__(self, *, room: int = 1_000) -> None:
        self.group = self.sink = self
        self.taken: list[Commit] = []
        self.room = room
        self.left: Position | None = None
        self._more = asyncio.Event()

    def encode(self, commit: Commit) -> Any:
        return commit

    def push(self, payload: Any) -> bool:
        if len(self.taken) == self.room:
            return False
        self.taken.append(payload)
        self._more.set()
        return True

    def left_at(self, position: Position) -> None:
        self.left = position
        self._more.set()

    async def until_version(self, version: int) -> list[Commit]:
        """Wait, within bounds, until it was served up to this version."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while not (self.taken and self.taken[-1].position >= Position(Version(version))):
                self._more.clear()
                await self._more.wait()
        return self.taken


async def head_of(world: World) -> DatasetHead:
    return await world.head()


async def joined(world: World, listener: Listener) -> Channel:
    channel = await world.channels.acquire(await head_of(world))
    channel.fan_out.join(listener)
    return channel


def race(world: World) -> None:
    """Have somebody write just after the next read of the log, before its reader hears what it read."""
    read_log = world.store.node_log
    raced = False

    async def read_then_race(*args: Any, **options: Any) -> Any:
        nonlocal raced
        read = await read_log(*args, **options)
        if not raced:
            raced = True
            heard = asyncio.Event()
            watch = await world.bus.watch(dataset_topic(NO_TENANT, (await head_of(world)).id), lambda hint: heard.set())
            await world.sync(put("raced", 1))
            # Hints come in order: whoever watched before has heard of it too.
            await asyncio.wait_for(heard.wait(), PATIENCE.total_seconds())
            watch.close()
        return read

    world.store.node_log = read_then_race  # type: ignore[method-assign] # the store itself stays real


async def test_a_commit_made_while_the_channel_looks_where_the_dataset_stands_is_not_missed(world: World) -> None:
    await world.sync(put("a", 1))
    race(world)
    channel = await world.channels.acquire(await head_of(world))
    if channel._reading is not None:
        await channel._reading
    assert channel.fan_out.mark.position == Position((await head_of(world)).version)
    assert channel.fan_out.mark.position.version == 2
    await world.channels.release(channel)


async def test_a_hint_that_rings_while_the_log_is_read_is_not_forgotten(world: World) -> None:
    await world.sync(put("a", 1))
    listener = Listener()
    channel = await joined(world, listener)
    world.bus.fate = lambda hint: [replace(hint, commit=None)]
    race(world)
    await world.sync(put("a", 2))
    assert [commit.version for commit in await listener.until_version(3)] == [2, 3]
    await world.channels.release(channel)


async def test_a_large_commit_whose_hint_is_doubled_is_delivered_once(world: World) -> None:
    """One that is too large to be joined with what waits beside it."""
    await world.sync(put("a", 0))
    listener = Listener()
    channel = await joined(world, listener)
    world.bus.fate = lambda hint: [hint, hint]
    await world.sync(put("a", "x" * 200_000))
    await world.sync(put("b", 1))
    assert [commit.version for commit in await listener.until_version(3)] == [2, 3]
    await world.channels.release(channel)


async def test_recent_commits_are_a_chain_that_ends_at_the_mark(world: World) -> None:
    await world.sync(put("a", 0))
    listener = Listener()
    channel = await joined(world, listener)
    for number in range(5):
        await world.sync(put("a", number + 1))
    await listener.until_version(6)
    assert [commit.version for commit in channel.fan_out.recent] == [2, 3, 4, 5, 6]
    assert all(one.position == next_one.previous for one, next_one in itertools.pairwise(channel.fan_out.recent))
    assert channel.fan_out.recent[-1].position == channel.fan_out.mark.position
    await world.channels.release(channel)


async def test_a_follower_without_room_is_let_go_where_it_stands(world: World) -> None:
    await world.sync(put("a", 0))
    full, other = Listener(room=1), Listener()
    channel = await joined(world, full)
    channel.fan_out.join(other)
    for number in range(3):
        await world.sync(put("a", number + 1))
    assert [commit.version for commit in await other.until_version(4)] == [2, 3, 4]
    assert [commit.version for commit in full.taken] == [2]
    assert full.left == full.taken[-1].position
    await world.channels.release(channel)


async def test_what_fits_into_no_page_is_read_to_its_end(world: World) -> None:
    await world.sync(put("a", 0))
    listener = Listener()
    channel = await joined(world, listener)
    world.bus.fate = lambda hint: []
    for part in range(3):
        await world.sync(*(put(f"k{part}-{number}", number) for number in range(300)))
    await world.channels.sweep()
    commits = await listener.until_version(4)
    assert len(commits) == 2
    assert sum(len(commit.records) for commit in commits) == 900
    assert all(one.position == next_one.previous for one, next_one in itertools.pairwise(commits))
    assert commits[-1].position == Position((await head_of(world)).version)
    await world.channels.release(channel)


async def test_who_leaves_gets_nothing_more(world: World) -> None:
    await world.sync(put("a", 0))
    listener, other = Listener(), Listener()
    channel = await joined(world, listener)
    channel.fan_out.join(other)
    channel.fan_out.leave(listener)
    channel.fan_out.leave(listener)
    await world.sync(put("a", 1))
    await other.until_version(2)
    assert listener.taken == []
    assert listener.left is None
    await world.channels.release(channel)


async def test_what_comes_during_a_pass_is_delivered_by_the_next() -> None:
    fan_out = FanOut(Mark(EPOCH, BEGINNING), slice_size=1)
    listeners = [Listener() for _ in range(3)]
    for listener in listeners:
        fan_out.join(listener)
    fan_out.add(commit(1))
    await listeners[0].until_version(1)
    assert listeners[2].taken == []
    fan_out.add(commit(2))
    for listener in listeners:
        assert [each.version for each in await listener.until_version(2)] == [1, 2]

"""The bus where Redis has spares: with Sentinels, and as a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from syncline.bus.hints import origin_of
from syncline.bus.link import Dialect, Link, Timing
from syncline.bus.places import ALL_TAGS, slot_of
from syncline.bus.resp import Access, Address, Unreachable
from tests.integration.test_redis_bus import all_up, down, works
from tests.support.nodes import Node, nodes, versions
from tests.support.valkey import cluster, eventually, free_port, sentinel_trio, valkey
from tests.support.world import Watcher, put

DIALECT = Dialect(prefix="syncline", sharded=False)
SHARDED = Dialect(prefix="syncline", sharded=True)
FAILOVER_SECONDS = 20.0
"""Of the servers among themselves: how long that takes is not up to us."""
LATE_SECONDS = 5.0


class Writing:
    """Commits by way of a node, one after the other, until told to end."""

    def __init__(self, node: Node) -> None:
        self.commits = 0
        self._node = node
        self._ending = False
        self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while not self._ending:
            await self._node.world.sync(put("note", self.commits))
            self.commits += 1
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        self._ending = True
        await self._task


async def none_lost(writing: Writing, watcher: Watcher) -> None:
    await writing.end()
    await eventually(lambda: len(versions(watcher)) >= writing.commits, LATE_SECONDS)
    assert versions(watcher) == list(range(1, writing.commits + 1))


async def test_the_bus_follows_the_sentinels_to_a_new_primary_and_no_commit_is_lost(tmp_path: Path) -> None:
    async with sentinel_trio(tmp_path) as trio, nodes(tmp_path, trio.url, trio.url) as (here, there):
        await works(here.bus, there.bus)
        writing = Writing(here)
        watcher = await there.watch()
        trio.primary.kill()
        await eventually(down(here.bus), 5)
        await eventually(all_up(here.bus, there.bus), FAILOVER_SECONDS)
        await none_lost(writing, watcher)
        await works(here.bus, there.bus)
        assert (await trio.replica.tell("ROLE"))[0] == b"master"


async def test_a_primary_that_is_demoted_without_a_word_is_left(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server:
        address = Address("127.0.0.1", server.port)
        link = await open_link(address)
        await server.tell("REPLICAOF", "127.0.0.1", free_port())
        async with asyncio.timeout(5):
            assert await link.lost == "the server became a replica"
        await link.close()
        with pytest.raises(Unreachable, match="is a replica"):
            await open_link(address)


async def open_link(address: Address) -> Link:
    return await Link.open(
        address,
        ALL_TAGS,
        access=Access(),
        dialect=DIALECT,
        origin=origin_of(b"node-one", 1),
        on_message=lambda message: None,
        primary=True,
        timing=Timing(),
    )


async def test_a_cluster_is_resharded_and_loses_a_primary_and_no_commit_is_lost(tmp_path: Path) -> None:
    async with cluster(tmp_path) as shards, nodes(tmp_path, shards.url, shards.url) as (here, there):
        assert here.bus.health.servers == 3
        await works(here.bus, there.bus)
        writing = Writing(here)
        watcher = await there.watch()

        # A channel that the first primary has goes to the second one.
        slot = min(slot_of(SHARDED.channel(tag)) for tag in ALL_TAGS)
        await shards.move_slots(slot, slot, giver=shards.primaries[0], taker=shards.primaries[1])
        await eventually(lambda: here.bus.health.outages and there.bus.health.outages, 5)
        await eventually(all_up(here.bus, there.bus), FAILOVER_SECONDS)
        await works(here.bus, there.bus)

        shards.primaries[0].kill()
        await eventually(down(here.bus), 5)
        await eventually(all_up(here.bus, there.bus), FAILOVER_SECONDS)
        await works(here.bus, there.bus)
        assert (await shards.replica.tell("ROLE"))[0] == b"master"
        await none_lost(writing, watcher)

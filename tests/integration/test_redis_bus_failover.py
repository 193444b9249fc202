"""The bus where Redis has spares: with Sentinels, and as a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from syncline.bus.hints import origin_of
from syncline.bus.link import Dialect, Link, Timing
from syncline.bus.places import ALL_TAGS, slot_of
from syncline.bus.resp import Access, Address, Unreachable
from tests.integration.test_redis_bus import all_up, down, started, works
from tests.support.valkey import cluster, eventually, free_port, sentinel_trio, valkey

DIALECT = Dialect(prefix="syncline", sharded=False)
SHARDED = Dialect(prefix="syncline", sharded=True)
FAILOVER_SECONDS = 20.0
"""Of the servers among themselves: how long that takes is not up to us."""


async def test_the_bus_follows_the_sentinels_to_a_new_primary(tmp_path: Path) -> None:
    async with sentinel_trio(tmp_path) as trio, started(trio.url, trio.url) as (here, there):
        await works(here, there)
        trio.primary.kill()
        await eventually(down(here), 5)
        await eventually(all_up(here, there), FAILOVER_SECONDS)
        await works(here, there)
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


async def test_a_cluster_carries_the_bus_through_resharding_and_the_loss_of_a_primary(tmp_path: Path) -> None:
    async with cluster(tmp_path) as shards, started(shards.url, shards.url) as (here, there):
        assert here.health.servers == 3
        await works(here, there)

        # A channel that the first primary has goes to the second one.
        slot = min(slot_of(SHARDED.channel(tag)) for tag in ALL_TAGS)
        await shards.move_slots(slot, slot, giver=shards.primaries[0], taker=shards.primaries[1])
        await eventually(lambda: here.health.outages and there.health.outages, 5)
        await eventually(all_up(here, there), FAILOVER_SECONDS)
        await works(here, there)

        shards.primaries[0].kill()
        await eventually(down(here), 5)
        await eventually(all_up(here, there), FAILOVER_SECONDS)
        await works(here, there)
        assert b"master" in (await shards.replica.tell("ROLE"))[0]

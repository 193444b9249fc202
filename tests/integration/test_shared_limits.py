"""What nodes count together on a real Valkey, and what is left of it while Valkey is not."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from syncline.bus.shared_limits import RedisSharedLimits
from tests.support.fault_proxy import fault_proxy
from tests.support.tls import self_signed
from tests.support.valkey import cluster, eventually, sentinel_trio, valkey

SECRET = b"a secret of the nodes"
SHORT_SECONDS = 20.0
"""Four hundred that wait one after the other take five times as long; the rest is for machines that are busy."""


@asynccontextmanager
async def nodes(*urls: str) -> AsyncIterator[Sequence[RedisSharedLimits]]:
    """As many nodes that count together, all of which know each other."""
    made = [
        RedisSharedLimits(url, node=f"node{number}", secret=SECRET, renew_seconds=0.1)
        for number, url in enumerate(urls)
    ]
    try:
        for node in made:
            await node.start()
        for number, node in enumerate(made):
            others = len(made) - 1
            await eventually(lambda node=node, others=others: all(len(known) == others for known in node.others))
            assert number < len(made)
        yield made
    finally:
        for node in made:
            await node.close()


async def counts_together(here: RedisSharedLimits, there: RedisSharedLimits) -> None:
    """A claim sees what the other node counts, and does not count what is over the limit; so does a rate."""
    for holder in ("identity alice", "address 192.0.2.1", *(f"identity {n}" for n in range(30))):
        assert await here.claim(holder, mine=2, most=3) == 0
        assert await there.claim(holder, mine=1, most=3) == 2
        assert await there.claim(holder, mine=2, most=3) == 2
        there.count(holder, 1)
        assert await here.claim(holder, mine=3, most=3) == 1
        here.count(holder, 2)
    assert [await node.hit("attempts 192.0.2.1", per_minute=3) for node in (here, there, here)] == [0, 0, 0]
    wait = await there.hit("attempts 192.0.2.1", per_minute=3)
    assert wait is not None
    assert 1 <= wait <= 120
    assert await there.hit("attempts 192.0.2.2", per_minute=3) == 0


async def test_two_nodes_count_together(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url, server.url) as (here, there):
        await counts_together(here, there)


async def test_two_nodes_count_together_with_a_password(tmp_path: Path) -> None:
    async with valkey(tmp_path, requirepass="p@ss/word") as server:
        url = f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/3"
        async with nodes(url, url) as (here, there):
            await counts_together(here, there)


@pytest.mark.soak
async def test_two_nodes_count_together_by_way_of_sentinels(tmp_path: Path) -> None:
    async with sentinel_trio(tmp_path) as trio, nodes(trio.url, trio.url) as (here, there):
        await counts_together(here, there)


# redis-py leaves the connection by which it first learned of the cluster to the collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
async def test_two_nodes_count_together_on_a_cluster(tmp_path: Path) -> None:
    async with cluster(tmp_path) as servers, nodes(servers.url, servers.url) as (here, there):
        await counts_together(here, there)
    del here, there
    # Here, where that is let pass, and not in some later test.
    gc.collect()


async def test_two_nodes_count_together_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with valkey(tmp_path) as server, fault_proxy(server.port, tls) as proxy:
        url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={certificate}"
        async with nodes(url, url) as (here, there):
            await counts_together(here, there)


async def test_of_concurrent_claims_no_more_pass_than_may(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url, server.url) as made:
        passed = 0
        held = [0, 0]

        async def enter(node: int) -> None:
            nonlocal passed
            mine = held[node] = held[node] + 1
            others = await made[node].claim("identity alice", mine=mine, most=10)
            assert others is not None
            if mine + others <= 10:
                passed += 1
            else:
                held[node] -= 1
                made[node].count("identity alice", held[node])

        for _ in range(12):
            await asyncio.gather(enter(0), enter(1))
        assert passed == 10


async def test_a_hundred_claims_at_once_are_all_counted(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url) as (node,):
        for _ in range(10):
            await asyncio.gather(*(node.claim(f"identity {number}", mine=1, most=1) for number in range(100)))
        await eventually(lambda: not node.untold)
        keys = await server.tell("KEYS", "*counts*")
        assert sum([await server.tell("HLEN", key) for key in keys]) == 100


async def test_a_closed_connection_is_told_to_the_others_soon(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url, server.url) as (here, there):
        await here.claim("identity alice", mine=3, most=3)
        assert await there.claim("identity alice", mine=1, most=3) == 3
        here.count("identity alice", 0)

        async def has_room() -> bool:
            return await there.claim("identity alice", mine=1, most=3) == 0

        await eventually(has_room)


async def test_a_node_that_stops_takes_its_counts_back(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url) as (there,):
        async with nodes(server.url) as (other,):
            assert other is not there
        stopped = RedisSharedLimits(server.url, node="stopped", secret=SECRET)
        await stopped.start()
        await stopped.claim("identity alice", mine=3, most=3)
        await eventually(lambda: all(there.others))
        assert await there.claim("identity alice", mine=1, most=3) == 3
        await stopped.close()
        assert await there.claim("identity alice", mine=1, most=3) == 0


async def test_all_that_a_killed_node_counted_expires_within_a_minute(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url) as (node,):
        await node.claim("identity alice", mine=3, most=3)
        node.count("identity bob", 2)
        await node.hit("attempts 192.0.2.1", per_minute=3)
        await eventually(lambda: not node.untold)
        keys = await server.tell("KEYS", "*")
        assert keys
        for key in keys:
            assert 0 < await server.tell("TTL", key) <= 120
            if b"counts" in key or b"nodes" in key:
                assert await server.tell("TTL", key) <= 60


async def test_what_a_restarted_valkey_forgot_is_told_again(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url, server.url) as (here, there):
        await here.claim("identity alice", mine=3, most=3)
        await server.tell("FLUSHALL")

        async def is_known() -> bool:
            return await there.claim("identity alice", mine=1, most=3) == 3

        await eventually(is_known)


async def test_valkey_knows_no_identity_and_no_address(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url) as (node,):
        await node.claim("identity alice", mine=1, most=3)
        await node.hit("attempts 192.0.2.1", per_minute=3)
        for key in await server.tell("KEYS", "*"):
            fields = await server.tell("HKEYS", key) if b"counts" in key else []
            for text in (key, *fields):
                assert b"alice" not in text
                assert b"192.0.2" not in text


@pytest.mark.parametrize("fault", ["killed", "hanging", "not there"])
async def test_without_valkey_nobody_waits_and_nothing_is_known(tmp_path: Path, fault: str) -> None:
    async with valkey(tmp_path) as server:
        if fault == "not there":
            server.kill()
        async with nodes(server.url) as (node,):
            if fault == "killed":
                server.kill()
            elif fault == "hanging":
                server.hang()
            try:
                began = time.monotonic()
                claims = await asyncio.gather(*(node.claim("identity alice", mine=1, most=1) for _ in range(200)))
                hits = [await node.hit("attempts 192.0.2.1", per_minute=1) for _ in range(200)]
                assert [*claims, *hits] == [None] * 400
                assert time.monotonic() - began < SHORT_SECONDS
            finally:
                if fault == "hanging":
                    server.go_on()


async def test_once_valkey_is_back_it_has_what_was_counted_meanwhile(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(server.url, server.url) as (here, there):
        server.kill()
        assert await here.claim("identity alice", mine=2, most=3) is None
        await server.start()

        async def is_known() -> bool:
            return await there.claim("identity alice", mine=1, most=3) == 2

        await eventually(is_known)

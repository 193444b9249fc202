"""Two nodes on one store: what is committed by way of one reaches who watches on the other, whatever Valkey does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from syncline.core.ids import IdentityId
from tests.support.fault_proxy import fault_proxy
from tests.support.nodes import nodes, versions
from tests.support.valkey import eventually, valkey
from tests.support.world import put

COMMITS = 300
LATE_SECONDS = 5.0
"""A hint that was lost is made up for within this."""


async def test_commits_through_one_node_reach_who_watches_on_another_without_asking_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        node_log, reads = there.world.store.node_log, 0

        async def counted(*args: Any) -> Any:
            nonlocal reads
            reads += 1
            return await node_log(*args)

        monkeypatch.setattr(there.world.store, "node_log", counted)
        for number in range(1, COMMITS):
            await here.world.sync(put("note", number))
        await eventually(lambda: len(versions(watcher)) >= COMMITS, LATE_SECONDS)
        assert versions(watcher) == list(range(1, COMMITS + 1))
        # A sweep may look between a commit and its hint.
        assert reads <= 5
        assert there.bus.health.gaps == 0


async def test_a_valkey_that_loses_a_tenth_of_the_messages_loses_no_commit(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        nodes(tmp_path, server.url, proxy.url) as (here, there),
    ):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        proxy.share_lost = 0.1
        for number in range(1, COMMITS):
            await here.world.sync(put("note", number))
        await eventually(lambda: len(versions(watcher)) >= COMMITS, LATE_SECONDS)
        assert versions(watcher) == list(range(1, COMMITS + 1))
        assert proxy.lost > 10


async def test_with_valkey_hanging_syncs_go_on_and_arrive_by_the_sweep(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        server.hang()
        begun = time.monotonic()
        for number in range(1, 20):
            await here.world.sync(put("note", number))
        assert time.monotonic() - begun < 2
        await eventually(lambda: len(versions(watcher)) >= 20, LATE_SECONDS)
        await eventually(lambda: not there.bus.up, LATE_SECONDS)
        # Now that it is known, it is swept every second.
        await here.world.sync(put("note", 20))
        await eventually(lambda: len(versions(watcher)) >= 21, 2)
        server.go_on()
        assert versions(watcher) == list(range(1, 22))


async def test_what_was_committed_while_one_node_was_cut_off_arrives_when_it_is_back(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        nodes(tmp_path, server.url, proxy.url) as (here, there),
    ):
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        memberships = await there.world.memberships.watch(IdentityId("alice"), lambda owned: None)
        proxy.cut()
        await here.world.sync(put("note", 1))
        # It was back at once, before it could have missed the sweep.
        await eventually(lambda: len(versions(watcher)) >= 2, 2)
        memberships.close()

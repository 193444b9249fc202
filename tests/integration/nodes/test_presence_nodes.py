"""Presence across two servers that share a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.figures import scrape
from tests.support.graphql_socket import GraphqlSocket
from tests.support.presence_watcher import CREATE, NOTES, SET, PresenceWatcher, presence_watcher
from tests.support.server import RunningServer, running_server
from tests.support.valkey import Valkey, eventually, valkey

INTERVAL_SECONDS = 0.5
EXPIRES_SECONDS = 3 * INTERVAL_SECONDS
MARGIN_SECONDS = 10.0
"""For a machine that is busy with other things."""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Valkey]:
    async with valkey(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def nodes(tmp_path: Path, redis: Valkey) -> AsyncIterator[tuple[RunningServer, RunningServer]]:
    async with running_nodes(tmp_path, redis, INTERVAL_SECONDS) as running:
        yield running


@asynccontextmanager
async def running_nodes(
    tmp_path: Path, redis: Valkey, interval_seconds: float
) -> AsyncIterator[tuple[RunningServer, RunningServer]]:
    settings = {"SYNCLINE_REDIS_URL": redis.url, "SYNCLINE_PRESENCE_INTERVAL_SECONDS": str(interval_seconds)}
    with (
        running_server(tmp_path / "data", settings=settings) as here,
        running_server(tmp_path / "data", settings=settings) as there,
    ):
        async with GraphqlSocket(here.socket_url, here.token("maker")) as socket:
            assert "errors" not in await socket.execute(CREATE, NOTES)
        yield here, there
        for node in (here, there):
            assert not [line for line in node.output if "Traceback" in line or '"error"' in line]


def on(node: RunningServer, device: str, *state: Any) -> AbstractAsyncContextManager[PresenceWatcher]:
    return presence_watcher(node.socket_url, node.token(device), *state)


@asynccontextmanager
async def everyone_sees_everyone(here: RunningServer, there: RunningServer) -> AsyncIterator[list[PresenceWatcher]]:
    """The phone here and the laptop there; the tablets only watch."""
    async with AsyncExitStack() as stack:
        watchers = [
            await stack.enter_async_context(on(node, device, *state))
            for node, device, *state in (
                (here, "phone", 1),
                (there, "laptop", 2),
                (here, "tablet"),
                (there, "tablet"),
            )
        ]
        for watcher in watchers:
            await watcher.sees(phone=1, laptop=2)
        yield watchers


async def set_over_http(node: RunningServer, device: str, state: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {node.token(device)}"}, timeout=20) as http:
        answer = await http.post(node.url, json={"query": SET, "variables": {"dataset": NOTES, "state": state}})
        body: dict[str, Any] = answer.json()
        return body


async def test_devices_of_two_nodes_see_each_other_come_change_and_leave(
    nodes: tuple[RunningServer, RunningServer],
) -> None:
    here, there = nodes
    async with everyone_sees_everyone(here, there) as watchers:
        phone, laptop, *tablets = watchers
        await phone.socket.execute(SET, {"dataset": NOTES, "state": {"line": 7}})
        for watcher in watchers:
            await watcher.sees(phone={"line": 7}, laptop=2)
        # The balancer may send a request over HTTP to any node.
        for node, state in ((there, 8), (here, 9)):
            answer = await set_over_http(node, "phone", state)
            assert answer["data"]["setPresence"]["state"] == state
            for watcher in watchers:
                await watcher.sees(phone=state, laptop=2)
        assert scrape(f"http://127.0.0.1:{here.port}").of("present") == 1
        laptop.socket.abort()
        for watcher in (phone, *tablets):
            await watcher.sees(phone=9)
        # Nobody left only because time went by.
        await asyncio.sleep(EXPIRES_SECONDS + INTERVAL_SECONDS)
        assert all(watcher.present == {"phone": 9} for watcher in (phone, *tablets))


async def test_a_state_is_set_by_way_of_a_node_that_nobody_watches_on_and_without_anybody_all_is_quiet(
    nodes: tuple[RunningServer, RunningServer], redis: Valkey
) -> None:
    here, there = nodes
    async with on(here, "phone", 1) as phone:
        await phone.sees(phone=1)
        assert (await set_over_http(there, "phone", 2))["data"]["setPresence"]["state"] == 2
        await phone.sees(phone=2)
        [error] = (await set_over_http(there, "laptop", 2))["errors"]
        assert error["extensions"]["code"] == "NOT_PRESENT"

    async def published() -> int:
        calls: int = (await redis.tell("INFO", "commandstats"))["cmdstat_publish"]["calls"]
        return calls

    # Each node beats every 1.5 s; with anybody present there would be two announcements a second, too.
    async def is_quiet() -> bool:
        before = await published()
        await asyncio.sleep(3.0)
        return await published() - before <= 2 * 3

    await eventually(is_quiet)


async def test_the_people_of_a_node_that_is_killed_leave_in_time(nodes: tuple[RunningServer, RunningServer]) -> None:
    here, there = nodes
    async with on(here, "tablet") as tablet:
        async with on(there, "phone", 1), on(there, "laptop", 2):
            await tablet.sees(phone=1, laptop=2)
            there.kill()
            await tablet.sees(EXPIRES_SECONDS + MARGIN_SECONDS)
        there.start()
        async with on(there, "phone", 3):
            await tablet.sees(phone=3)


async def test_the_people_of_a_node_that_is_stopped_leave_before_they_would_expire(
    tmp_path: Path, redis: Valkey
) -> None:
    async with (
        running_nodes(tmp_path, redis, interval_seconds=3_600) as (here, there),
        on(here, "tablet") as tablet,
        on(there, "phone", 1),
    ):
        await tablet.sees(phone=1)
        assert await asyncio.to_thread(there.stop) == 0
        await tablet.sees()


async def test_with_redis_down_each_node_goes_on_by_itself_and_with_it_back_all_see_all(
    nodes: tuple[RunningServer, RunningServer], redis: Valkey
) -> None:
    here, there = nodes
    async with everyone_sees_everyone(here, there) as (phone, laptop, tablet_here, tablet_there):
        redis.kill()
        await phone.socket.execute(SET, {"dataset": NOTES, "state": 5})
        async with on(there, "watch", 6) as watch:
            # Those of the other node are not heard of any more.
            for watcher in (phone, tablet_here):
                await watcher.sees(EXPIRES_SECONDS + MARGIN_SECONDS, phone=5)
            for watcher in (laptop, tablet_there, watch):
                await watcher.sees(EXPIRES_SECONDS + MARGIN_SECONDS, laptop=2, watch=6)
            await redis.start()
            for watcher in (phone, laptop, tablet_here, tablet_there, watch):
                await watcher.sees(phone=5, laptop=2, watch=6)

"""What SIGTERM means for those who are connected."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from syncline.web.limits import WebLimits
from tests.support.gated_store import Gate
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, a_token, web_server
from tests.support.ws_client import WsClient

WATCH = 'subscription { datasetChanges(dataset: {name: "notes"}) { __typename } }'
PUT = (
    'mutation { sync(input: {dataset: {name: "notes"}, mutationId: "1", '
    'changes: [{put: {key: "a", value: 1}}]}) { __typename } }'
)
SPREAD = timedelta(seconds=1)


async def test_sockets_are_closed_1012_within_the_spread_and_not_all_at_once(tmp_path: Path) -> None:
    with web_server(tmp_path, WebOptions(limits=WebLimits(drain_spread=SPREAD))) as server:
        async with asyncio.TaskGroup() as group:
            clients = [await WsClient(server).__aenter__() for _ in range(12)]
            for client in clients:
                await client.subscribe("s", WATCH)
                await client.receive()
            closed_at: list[float] = []

            async def closed(client: WsClient) -> None:
                assert await client.closed_with() == 1012
                closed_at.append(time.monotonic())

            server.begin_shutdown()
            began = time.monotonic()
            for client in clients:
                group.create_task(closed(client))
        assert max(closed_at) - began < SPREAD.total_seconds() + 2
        assert max(closed_at) - min(closed_at) > 0.05
        assert server.errors == []


async def test_a_mutation_is_finished_and_answered_before_its_socket_is_closed(tmp_path: Path) -> None:
    gate = Gate()
    options = WebOptions(wrap_store=gate, limits=WebLimits(drain_spread=timedelta(seconds=0.1)))
    with web_server(tmp_path, options) as server:
        gate.close(server)
        async with WsClient(server) as client, WsClient(server, init=False) as other:
            await client.subscribe("m", PUT)
            await gate.reached()
            server.begin_shutdown()
            assert await other.closed_with() == 1012
            gate.open(server)
            messages, code, _ = await client.receive_until_closed()
        assert [message["type"] for message in messages] == ["next", "complete"]
        assert messages[0]["payload"] == {"data": {"sync": {"__typename": "SyncApplied"}}}
        assert code == 1012
        assert server.errors == []


async def test_a_mutation_whose_device_left_is_finished_before_the_server_ends(tmp_path: Path) -> None:
    gate = Gate()
    with web_server(tmp_path, WebOptions(wrap_store=gate)) as server:
        gate.close(server)
        async with WsClient(server) as client:
            await client.subscribe("m", PUT)
            await gate.reached()
        server.begin_shutdown()
        gate.open(server)
    with web_server(tmp_path) as server:
        async with WsClient(server) as client:
            count = await client.execute('{ dataset(dataset: {name: "notes"}) { version } }')
        assert count == {"data": {"dataset": {"version": 1}}}


async def test_a_request_under_way_is_answered(tmp_path: Path) -> None:
    gate = Gate()
    with web_server(tmp_path, WebOptions(wrap_store=gate)) as server:
        gate.close(server)
        headers = {"authorization": f"Bearer {a_token()}"}
        async with httpx.AsyncClient(base_url=server.http_url, headers=headers, timeout=PATIENCE_SECONDS) as client:
            asking = asyncio.create_task(client.post("/graphql", json={"query": PUT}))
            await gate.reached()
            server.begin_shutdown()
            gate.open(server)
            assert (await asking).json() == {"data": {"sync": {"__typename": "SyncApplied"}}}
            with pytest.raises(httpx.TransportError):
                await wait_until_refused(client)


async def wait_until_refused(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await client.get("/livez")

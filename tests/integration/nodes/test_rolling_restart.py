"""Of two nodes under load one is stopped: nobody loses anything, and its devices do not all come at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.checkpointed_watcher import CheckpointedWatcher
from tests.support.graphql_socket import GraphqlSocket, SocketCut
from tests.support.ledger import PlannedSync
from tests.support.plain_sync import SYNC, committed_version
from tests.support.postgres import PostgresServer
from tests.support.server import RunningServer
from tests.support.valkey import valkey

SOCKETS = 500
WRITERS = 4
LEAST_SPREAD_SECONDS = 15.0
LONGEST_DRAIN_SECONDS = 30.0


@pytest.fixture
async def nodes(postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Sequence[RunningServer]]:
    database = postgres_server.empty_database()
    async with valkey(tmp_path / "valkey") as bus:
        with ExitStack() as stack:
            servers = [
                RunningServer(
                    tmp_path / f"node{number}",
                    settings={
                        "SYNCLINE_DATABASE_URL": postgres_server.url(database),
                        "SYNCLINE_REDIS_URL": bus.url,
                        "SYNCLINE_TOKEN_SECRET": "the same on both nodes, and longer than 32 bytes",
                    },
                )
                for number in range(2)
            ]
            for server in servers:
                stack.callback(server.kill)
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
            yield servers


class Device(CheckpointedWatcher):
    """Watches on one node until it is sent away, then on the other."""

    def __init__(self, home: RunningServer, other: RunningServer, name: str) -> None:
        super().__init__(home, "notes", name, server_is_up=asyncio.Event())
        self.came_back_at: float | None = None
        self.codes: list[int] = []
        self.watching = asyncio.Event()
        self._nodes = (home, other)

    async def run(self) -> None:
        for node in self._nodes:
            try:
                async with GraphqlSocket(node.socket_url, node.token(self._device)) as socket:
                    if node is not self._nodes[0]:
                        self.came_back_at = time.monotonic()
                    self.watching.set()
                    await self._follow(socket)
            except SocketCut as cut:
                self.codes.append(cut.code)


@dataclass(slots=True)
class Load:
    """What the writers did."""

    acknowledged: int = 0
    refused: int = 0
    """Connections that the stopped node did not take: the sync went to the other one."""


async def write(nodes: Sequence[RunningServer], name: str, load: Load, stop: asyncio.Event) -> None:
    dice = random.Random(name)  # noqa: S311
    async with httpx.AsyncClient(timeout=20) as http:
        number = 0
        while not stop.is_set():
            number += 1
            key = f"{name}-{number}"
            sync = PlannedSync(mutation_id=key, device=name, dataset="notes", puts={key: number})
            await _until_acknowledged(http, nodes, sync, load, dice)
            await asyncio.sleep(0.5)


async def _until_acknowledged(
    http: httpx.AsyncClient, nodes: Sequence[RunningServer], sync: PlannedSync, load: Load, dice: random.Random
) -> None:
    while True:
        node = dice.choice(nodes)
        try:
            response = await http.post(
                node.url,
                json={"query": SYNC, "variables": sync.variables()},
                headers={"authorization": f"Bearer {node.token(sync.device)}"},
            )
        except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
            # Nothing was answered, so nothing failed: the device goes to the other node with the same id.
            load.refused += 1
            continue
        assert response.status_code == 200, response.text
        committed_version(response.json())
        load.acknowledged += 1
        return


async def test_a_node_that_is_stopped_fails_no_sync_loses_no_event_and_spreads_its_devices(
    nodes: Sequence[RunningServer],
) -> None:
    devices = [Device(nodes[n % 2], nodes[(n + 1) % 2], f"device-{n}") for n in range(SOCKETS)]
    load = Load()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        watching = []
        for device in devices:
            watching.append(group.create_task(device.run()))
            if len(watching) % 50 == 0:
                await device.watching.wait()
        for device in devices:
            await device.watching.wait()
        writing = [group.create_task(write(nodes, f"writer-{n}", load, stop)) for n in range(WRITERS)]
        await asyncio.sleep(1)

        began = time.monotonic()
        code = await asyncio.to_thread(nodes[0].stop)
        took = time.monotonic() - began

        stop.set()
        await asyncio.gather(*writing)
        for device in devices:
            await device.reached(load.acknowledged)
        for task in watching:
            task.cancel()

    assert code == 0
    assert took < LONGEST_DRAIN_SECONDS
    assert load.acknowledged > 60
    for device in devices:
        assert device.version == load.acknowledged
        assert set(device.deliveries.values()) == {1}
    moved = [device for device in devices if device.came_back_at is not None]
    assert len(moved) == SOCKETS // 2
    assert all(device.codes == [1012] for device in moved)
    came_back = [device.came_back_at for device in moved if device.came_back_at is not None]
    assert max(came_back) - min(came_back) >= LEAST_SPREAD_SECONDS
    for node in nodes:
        assert not any("Traceback" in line for line in node.output)

"""``kill -9`` at random moments, under load: what was acknowledged is there, the rest wholly or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from syncline.config import DATABASE_FILE
from tests.support.checkpointed_watcher import CheckpointedWatcher
from tests.support.graphql_socket import PATIENCE_SECONDS, GraphqlSocket, SocketCut
from tests.support.ledger import COUNTER, Ledger, PlannedSync, plans
from tests.support.plain_sync import SYNC, Cut, Replica, committed_version, http_client, post_sync
from tests.support.server import RunningServer, running_server

DATASETS = ("one", "two", "three")
HTTP_WRITERS = 4
SOCKET_WRITERS = 2
LANES = 3
"""Syncs that a writer on a socket has under way at once."""
WATCHERS = 2
READY_SECONDS = 3.0
LONGEST_LOAD_SECONDS = 0.7

Send = Callable[[PlannedSync], Awaitable[dict[str, Any]]]


class Campaign:
    """One server, killed again and again, with all who write to it and watch it."""

    def __init__(self, server: RunningServer, seed: int) -> None:
        self.server = server
        self.ledger = Ledger()
        self.replicas = [Replica(dataset) for dataset in DATASETS]
        self.cut_in_flight = 0
        self._dice = random.Random(seed)  # noqa: S311 # no secret
        self._server_is_up = asyncio.Event()
        self._server_is_up.set()
        self.watchers = [
            CheckpointedWatcher(server, dataset, f"watcher-{number}", server_is_up=self._server_is_up)
            for dataset in DATASETS
            for number in range(WATCHERS)
        ]

    async def run(self, rounds: int) -> None:
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(watcher.run()) for watcher in self.watchers]
            for number in range(rounds):
                await self._round(number)
            for task in watching:
                task.cancel()

    async def _round(self, number: int) -> None:
        before = len(self.ledger)
        await self._load_until_killed(number)
        assert len(self.ledger) > before
        check_integrity(self.server.folder)
        began = time.monotonic()
        await asyncio.to_thread(self.server.start)
        took = time.monotonic() - began - seconds_without_a_processor(self.server.pid)
        assert took < READY_SECONDS, "the server was not ready in time"
        self._server_is_up.set()
        async with http_client(self.server, "auditor") as http:
            await self._check(http)
        self.cut_in_flight += len(self.ledger.unacknowledged())
        await self._retry_all()
        async with http_client(self.server, "auditor") as http:
            await self._check(http)
        for watcher in self.watchers:
            replica = next(replica for replica in self.replicas if replica.dataset == watcher.dataset)
            await watcher.reached(replica.version)

    # --- load --------------------------------------------------------------------------------------------------------

    async def _load_until_killed(self, number: int) -> None:
        acknowledged = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for writer in range(HTTP_WRITERS):
                group.create_task(self._write_over_http(f"http-{number}-{writer}", acknowledged))
            for writer in range(SOCKET_WRITERS):
                group.create_task(self._write_over_socket(f"socket-{number}-{writer}", acknowledged))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await acknowledged.wait()
            # What is waited for is the moment itself: any one must do.
            await asyncio.sleep(self._dice.uniform(0, LONGEST_LOAD_SECONDS))
            self._server_is_up.clear()
            await asyncio.to_thread(self.server.kill)

    async def _write_over_http(self, device: str, acknowledged: asyncio.Event) -> None:
        async with http_client(self.server, device) as http:
            await self._write(device, lambda sync: post_sync(http, sync), acknowledged)

    async def _write_over_socket(self, device: str, acknowledged: asyncio.Event) -> None:
        with suppress(SocketCut):
            async with (
                GraphqlSocket(self.server.socket_url, self.server.token(device)) as socket,
                asyncio.TaskGroup() as group,
            ):

                async def send(sync: PlannedSync) -> dict[str, Any]:
                    try:
                        return await socket.execute(SYNC, sync.variables())
                    except SocketCut as cut:
                        raise Cut from cut

                for lane in range(LANES):
                    group.create_task(self._write(device, send, acknowledged, lane=lane))

    async def _write(self, device: str, send: Send, acknowledged: asyncio.Event, *, lane: int = 0) -> None:
        for sync in plans(device, f"{device}.{lane}", self._shuffled_datasets(), self._choices()):
            self.ledger.enter(sync)
            try:
                answer = await send(sync)
            except Cut:
                return
            self.ledger.acknowledge(sync, version=committed_version(answer))
            acknowledged.set()

    def _choices(self) -> Iterator[float]:
        while True:
            yield self._dice.random()

    def _shuffled_datasets(self) -> list[str]:
        return self._dice.sample(DATASETS, len(DATASETS))

    # --- what must be so afterwards ----------------------------------------------------------------------------------

    async def _retry_all(self) -> None:
        """Send again what got no answer, twice: the first may apply it, the second must not."""
        for sync in self.ledger.unacknowledged():
            async with http_client(self.server, sync.device) as http:
                for _ in range(2):
                    committed_version(await post_sync(http, sync))
            self.ledger.acknowledge(sync, version=None)

    async def _check(self, http: httpx.AsyncClient) -> None:
        for replica in self.replicas:
            await replica.pull(http)
            self.ledger.check(replica.dataset, replica.records, version=replica.version)

    async def check_all_anew(self) -> None:
        """What a device that knew nothing pulls is what the ledger says, and what the watchers were told bit by bit."""
        self.replicas = [Replica(dataset) for dataset in DATASETS]
        async with http_client(self.server, "newcomer") as http:
            await self._check(http)
        for watcher in self.watchers:
            replica = next(replica for replica in self.replicas if replica.dataset == watcher.dataset)
            assert watcher.records == replica.records
            assert watcher.version == replica.version
            repeated = [key for key, times in watcher.deliveries.items() if times > 1 and not is_shared(key)]
            assert repeated == [], "records that were written once were told more than once"


def is_shared(key: str) -> bool:
    """Whether several syncs write the record."""
    return key == COUNTER or key.startswith("tags.")


def seconds_without_a_processor(pid: int) -> float:
    """How long the process's main thread could have run, and others had the processors."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        # Not on this platform.
        return 0.0


def check_integrity(folder: Path) -> None:
    """The file that the killed server left is sound. A copy is looked at: looking would repair the original."""
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, copy)
    try:
        connection = apsw.Connection(str(copy / DATABASE_FILE))
        try:
            assert connection.pragma("integrity_check") == "ok"
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        finally:
            connection.close()
    finally:
        shutil.rmtree(copy)


def receipts(folder: Path) -> int:
    connection = apsw.Connection(str(folder / DATABASE_FILE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        number: int = connection.execute("SELECT count(*) FROM receipts").get
        return number
    finally:
        connection.close()


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.soak)])
async def test_a_server_killed_at_random_moments_keeps_what_it_acknowledged_and_halves_nothing(
    rounds: int, tmp_path: Path
) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201 # pytest shows it when the test fails
    with running_server(
        tmp_path / "data", "--max-records", "100000000", "--max-dataset-bytes", "10000000000"
    ) as server:
        campaign = Campaign(server, seed)
        await campaign.run(rounds)
        await campaign.check_all_anew()
        assert campaign.cut_in_flight > 0, "no kill came while a sync was under way"
        assert all(watcher.connections >= rounds for watcher in campaign.watchers)
        assert receipts(server.folder) == len(campaign.ledger)
        assert not any("Traceback" in line for line in server.output)

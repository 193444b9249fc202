"""Several processes on one port."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from syncline.storage.sqlite_database import READERS
from tests.support.checkpointed_watcher import CheckpointedWatcher
from tests.support.figures import scrape
from tests.support.graphql_socket import PATIENCE_SECONDS
from tests.support.ledger import PlannedSync
from tests.support.plain_sync import Cut, committed_version, http_client, post_sync
from tests.support.server import RunningServer, running_server

WORKERS = 3
WATCHERS = 12
SYNCS = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data", "--workers", str(WORKERS), "--embedded-redis") as running:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum('"bus_up"' in line for line in running.output) < WORKERS:
            assert time.monotonic() < deadline, "not all processes have started"
            time.sleep(0.02)
        yield running


@asynccontextmanager
async def watchers(server: RunningServer) -> AsyncIterator[list[CheckpointedWatcher]]:
    """Devices on sockets of their own, which the kernel spreads over the processes."""
    is_up = asyncio.Event()
    is_up.set()
    found = [CheckpointedWatcher(server, "notes", f"watcher-{n}", server_is_up=is_up) for n in range(WATCHERS)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watcher.run()) for watcher in found]
        yield found
        for task in tasks:
            task.cancel()


async def write(server: RunningServer, number: int) -> int:
    """One sync on a connection of its own, tried until it is answered; its version."""
    sync = PlannedSync(mutation_id=f"m{number}", device="writer", dataset="notes", puts={f"k{number}": number})
    while True:
        with suppress(Cut):
            async with http_client(server, sync.device) as http:
                return committed_version(await post_sync(http, sync))


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def running_workers_of(pid: int) -> list[int]:
    """The same while they come and go."""
    while True:
        with suppress(FileNotFoundError, ProcessLookupError):
            return workers_of(pid)


def open_sockets(pid: int) -> int:
    return sum("socket:" in os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir())


async def test_devices_of_different_processes_get_each_others_commits_in_order(server: RunningServer) -> None:
    idle = {pid: open_sockets(pid) for pid in workers_of(server.pid)}
    async with watchers(server) as devices:
        versions = [await write(server, number) for number in range(30)]
        for device in devices:
            await device.reached(30)

        busy = [pid for pid, sockets in idle.items() if open_sockets(pid) > sockets]
        assert len(busy) >= 2, "all devices are on one process"
    assert versions == list(range(1, 31))
    for device in devices:
        assert {key: record.value for key, record in device.records.items()} == {f"k{n}": n for n in range(30)}
        assert set(device.deliveries.values()) == {1}


async def test_a_process_that_dies_is_replaced_and_nothing_is_lost(server: RunningServer) -> None:
    async with watchers(server) as devices:
        for number in range(30):
            if number % 10 == 5:
                victim = running_workers_of(server.pid)[0]
                os.kill(victim, signal.SIGKILL)
            await write(server, number)
        for device in devices:
            await device.reached(30)

    # The last of them may not have its name yet: the writes above did not have to wait for it.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(running_workers_of(server.pid)) < WORKERS:
        assert time.monotonic() < deadline, "a process that died was not replaced"
        await asyncio.sleep(0.02)
    assert sum("worker_died" in line for line in server.output) == 3
    assert server.stop() == 0


def test_on_sigterm_all_processes_drain_and_the_exit_code_is_0(server: RunningServer) -> None:
    workers = workers_of(server.pid)

    assert server.stop() == 0

    assert not any("worker_killed" in line for line in server.output)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_processes_that_lose_their_parent_end_and_so_does_the_valkey(server: RunningServer) -> None:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    assert len(children) > WORKERS, "there is a Valkey as well"
    os.kill(server.pid, signal.SIGKILL)

    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(is_running(int(pid)) for pid in children):
        assert time.monotonic() < deadline, "a process lives on without its parent"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.mark.parametrize(
    ("flags", "variables", "reason"),
    [
        (["--workers", "2"], {}, "several processes need a Redis"),
        (["--workers", "2"], {"SYNCLINE_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "several processes need a Redis"),
        (["--embedded-redis"], {"SYNCLINE_REDIS_URL": "redis://127.0.0.1"}, "both set"),
        (["--workers", "0"], {}, "greater than or equal to 1"),
        ([], {"SYNCLINE_REDIS_URL": "http://:secret@127.0.0.1"}, "redis_url: begins with one of"),
        ([], {"SYNCLINE_DATABASE_URL": "mysql://user:secret@127.0.0.1/x"}, "must begin with postgresql://"),
        ([], {"SYNCLINE_DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/x"}, "database_url: cannot connect"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_without_passwords(
    tmp_path: Path, flags: list[str], variables: dict[str, str], reason: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}

    ended = subprocess.run(
        [sys.executable, "-m", "syncline", "serve", "--dev", "--port", "0", "--data", str(tmp_path), *flags],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert ended.returncode == 2
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "secret" not in ended.stderr + ended.stdout


def test_whichever_process_is_asked_the_figures_are_those_of_all(server: RunningServer) -> None:
    address = server.url.removesuffix("/graphql")
    # Each has a pool of its own, which it tells of when it begins to be looked after.
    while (figures := scrape(address)).of("store_pool_size") < WORKERS * READERS:
        pass
    assert figures.of("bus_up") == 1
    before = workers_of(server.pid)
    os.kill(before[0], signal.SIGKILL)
    while len(set(after := running_workers_of(server.pid)) - set(before)) < 1 or before[0] in after:
        time.sleep(0.02)
    # The one that was killed counts no more; the next one does, as soon as it is asked itself.
    asked = [scrape(address).of("store_pool_size") for _ in range(4 * WORKERS)]
    assert max(asked) <= WORKERS * READERS


async def test_syncs_through_all_processes_are_counted_together(server: RunningServer) -> None:
    for number in range(SYNCS):
        await write(server, number)
    figures = await asyncio.to_thread(scrape, server.url.removesuffix("/graphql"))
    assert figures.of("syncs_total", outcome="committed") == SYNCS

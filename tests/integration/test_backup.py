"""Backing up a server that is written to, and restoring it: real processes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import httpx

from syncline.config import DATABASE_FILE
from syncline.core.checkpoint import START
from syncline.core.model import DatasetHead, Record
from syncline.core.pages import PageRequest
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import ALICE, named
from tests.support.command_line import done, refused, syncline
from tests.support.graphql_socket import PATIENCE_SECONDS
from tests.support.plain_sync import SYNC, committed_version, http_client, post
from tests.support.server import RunningServer, running_server
from tests.support.stores import read, read_all

ROOMY = ("--max-records", "1000000", "--max-dataset-bytes", "1000000000")
BACKUPS = 4
PUTS_PER_SYNC = 3
FIRST_SYNCS = 20
_CHANGES = """
query($since: Checkpoint!) {
  changes(dataset: {name: "one"}, since: $since) {
    __typename ... on ResyncRequired { reason } ... on ChangePage { checkpoint records { key } }
  }
}
"""


@dataclass(slots=True)
class Device:
    """Syncs all the time, one after the other, to a dataset of its own; sync ``n`` makes version ``n``."""

    server: RunningServer
    dataset: str
    sent: int = 0
    acknowledged: int = 0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with http_client(self.server, self.dataset) as http:
            while True:
                self.sent += 1
                puts = [
                    {"put": {"key": f"{self.sent}-{n}", "value": [self.sent, "x" * 500], "base": {"absent": True}}}
                    for n in range(PUTS_PER_SYNC)
                ]
                request = {"dataset": {"name": self.dataset}, "mutationId": f"m-{self.sent}", "changes": puts}
                assert committed_version(await post(http, SYNC, {"input": request})) == self.sent
                self.acknowledged = self.sent
                if self.acknowledged == FIRST_SYNCS:
                    self.under_way.set()


def copied(file: Path, folder: Path) -> Path:
    folder.mkdir()
    return Path(shutil.copy(file, folder / DATABASE_FILE))


async def everything_in(file: Path, folder: Path, dataset: str) -> tuple[DatasetHead, Sequence[Record]]:
    """The head and all records, read by a store from a copy that has nothing beside it."""
    store = await SqliteStore.open(copied(file, folder))
    head = (await read(store, START, ref=named(dataset), viewer=ALICE)).head
    pages = await read_all(store, page=PageRequest(), ref=named(dataset))
    await store.close()
    assert head is not None
    return head, [record for page in pages for record in page.records]


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def run_syncline(*arguments: str, cwd: Path) -> Any:
    return await asyncio.to_thread(syncline, *arguments, cwd=cwd)


async def test_a_backup_under_load_is_one_moment_with_every_sync_acknowledged_before(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    # Two devices write while one file after the other is made.
    with running_server(tmp_path / "data", *ROOMY) as server:
        devices = [Device(server, "one"), Device(server, "two")]
        bounds: list[list[tuple[int, int]]] = []
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(asyncio.TaskGroup())
            writing = [group.create_task(device.run()) for device in devices]
            stack.callback(lambda: [task.cancel() for task in writing])
            for device in devices:
                await asyncio.wait_for(device.under_way.wait(), PATIENCE_SECONDS)
            for number in range(BACKUPS):
                least = [device.acknowledged for device in devices]
                printed = done(await run_syncline("backup", f"backups/{number}", "--data", "data", cwd=tmp_path))
                bounds.append(list(zip(least, [device.sent for device in devices], strict=True)))
                assert printed[0].startswith(f"backups/{number}: ")
        assert min(device.acknowledged for device in devices) > bounds[-1][0][0]

    assert {path.name for path in files_in(backups)} == {str(number) for number in range(BACKUPS)}
    for number, moments in enumerate(bounds):
        connection = apsw.Connection(str(backups / str(number)), flags=apsw.SQLITE_OPEN_READONLY)
        assert connection.pragma("integrity_check") == "ok"
        connection.close()
        for device, (first, last) in zip(devices, moments, strict=True):
            folder = tmp_path / f"opened-{number}-{device.dataset}"
            head, records = await everything_in(backups / str(number), folder, device.dataset)
            assert first <= head.version <= last
            assert [(record.version, record.ordinal) for record in records] == [
                (version, ordinal) for version in range(1, head.version + 1) for ordinal in range(PUTS_PER_SYNC)
            ]
            assert head.record_count == len(records)


async def one_sync(http: httpx.AsyncClient, key: str) -> None:
    request = {"dataset": {"name": "one"}, "mutationId": f"m-{key}", "changes": [{"put": {"key": key, "value": 1}}]}
    committed_version(await post(http, SYNC, {"input": request}))


async def test_after_a_restore_devices_resync_to_what_the_backup_holds(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with http_client(server, "phone") as http:
            await one_sync(http, "a")
            done(await run_syncline("backup", "backup", "--data", "data", cwd=tmp_path))
            await one_sync(http, "b")
            since = (await post(http, _CHANGES, {"since": "start"}))["data"]["changes"]["checkpoint"]
        in_use = await run_syncline("restore", "backup", "--data", "data", "--force", cwd=tmp_path)
        server.stop()
        there = await run_syncline("restore", "backup", "--data", "data", cwd=tmp_path)
        restored = done(await run_syncline("restore", "backup", "--data", "data", "--force", cwd=tmp_path))
        server.start()
        async with http_client(server, "phone") as http:
            await one_sync(http, "another b")
            told = (await post(http, _CHANGES, {"since": since}))["data"]["changes"]
            anew = (await post(http, _CHANGES, {"since": "start"}))["data"]["changes"]

    assert "is in use by process" in refused(in_use)
    assert "is there already; --force sets it aside" in refused(there)
    assert told == {"__typename": "ResyncRequired", "reason": "EPOCH_CHANGED"}
    assert [record["key"] for record in anew["records"]] == ["a", "another b"]
    kept, epoch = restored[1].removeprefix("what was there is now "), restored[2].removeprefix("epoch ")
    assert kept in {str(path) for path in files_in(tmp_path / "data")}
    assert len(epoch) == 16


async def test_a_restore_makes_the_data_folder(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "elsewhere")
    await store.close()

    printed = done(await run_syncline("restore", "elsewhere", "--data", "new/folder", cwd=tmp_path))

    store = await SqliteStore.open(tmp_path / "new" / "folder" / DATABASE_FILE)
    assert printed[-1] == f"epoch {await store.epoch()}"
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700
    await store.close()

"""One server per file, and a new epoch after a restore."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syncline.core.checkpoint import ResyncReason
from syncline.errors import StartRefused
from syncline.storage.sqlite import SqliteStore, renew_epoch
from tests.support.builders import put
from tests.support.stores import checkpoint, keys, read, read_page, write

_SERVER = """
import asyncio, sys
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import put
from tests.support.stores import write

async def serve() -> None:
    store = await SqliteStore.open(sys.argv[1])
    await write(store, put("a", "acknowledged"))
    print("acknowledged", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


async def test_a_file_in_use_is_refused_by_the_name_of_its_user(path: Path) -> None:
    store = await SqliteStore.open(path)

    with pytest.raises(StartRefused, match=f"in use by process {os.getpid()};"):
        await SqliteStore.open(path)

    await write(store, put("a"))
    await store.close()


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
async def test_a_file_is_shared_only_by_those_that_all_share_it(path: Path, first: bool, second: bool) -> None:
    store = await SqliteStore.open(path, shared=first)

    with pytest.raises(StartRefused, match="several can open it only if"):
        await SqliteStore.open(path, shared=second)

    await store.close()


async def test_processes_that_open_a_new_file_at_once_make_one_database(path: Path) -> None:
    for round_ in range(5):
        new = path.with_name(f"new-{round_}.db")

        stores = await asyncio.gather(*(SqliteStore.open(new, shared=True) for _ in range(4)))

        assert len({await store.epoch() for store in stores}) == 1
        await write(stores[0], put("a"))
        assert keys(await read_page(stores[3])) == ["a"]
        for store in stores:
            await store.close()


async def test_a_closed_file_can_be_opened_again(path: Path) -> None:
    for _ in range(3):
        store = await SqliteStore.open(path)
        await store.close()
        await store.close()


async def test_a_file_is_in_use_by_whatever_path_it_is_opened(path: Path) -> None:
    link = path.with_name("link.db")
    store = await SqliteStore.open(path)
    link.symlink_to(path)

    with pytest.raises(StartRefused):
        await SqliteStore.open(link)

    await store.close()


def _start_server(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _SERVER, str(path)], stdout=subprocess.PIPE, text=True)


async def test_a_killed_process_leaves_no_lock_and_all_it_acknowledged(path: Path) -> None:
    with _start_server(path) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "acknowledged\n"
        with pytest.raises(StartRefused, match=f"in use by process {server.pid};"):
            await SqliteStore.open(path)
        server.send_signal(signal.SIGKILL)
        server.wait(timeout=10)

    store = await SqliteStore.open(path)
    assert [record.value for record in (await read_page(store)).records] == ['"acknowledged"']
    await store.close()


# --- a new epoch ------------------------------------------------------------------------------------------------------


async def test_a_renewed_epoch_makes_devices_resync(path: Path) -> None:
    store = await SqliteStore.open(path)
    seen = await checkpoint(store, (await write(store, put("a"))).head.id)
    await store.close()

    epoch = renew_epoch(path)

    store = await SqliteStore.open(path)
    assert await store.epoch() == epoch != seen.epoch
    log = await read(store, seen)
    assert log.reason is ResyncReason.EPOCH_CHANGED
    assert keys(log.page) == ["a"]
    await store.close()


async def test_the_epoch_is_not_renewed_under_a_server(path: Path) -> None:
    store = await SqliteStore.open(path)
    epoch = await store.epoch()

    with pytest.raises(StartRefused, match="in use"):
        renew_epoch(path)

    await store.close()
    store = await SqliteStore.open(path)
    assert await store.epoch() == epoch
    await store.close()


def test_there_is_no_epoch_to_renew_in_what_is_not_ours(path: Path) -> None:
    with pytest.raises(StartRefused, match="there is no"):
        renew_epoch(path)
    path.touch()
    with pytest.raises(StartRefused, match="empty"):
        renew_epoch(path)
    path.write_bytes(b"junk" * 1_000)
    with pytest.raises(StartRefused, match="not a database"):
        renew_epoch(path)

"""What an operator does to a PostgreSQL database with the commands, as real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from syncline.core.checkpoint import ResyncReason
from syncline.errors import StartRefused
from syncline.storage.migrations import load_migrations
from syncline.storage.postgres import PostgresStore
from tests.support.builders import put
from tests.support.command_line import done, refused, syncline
from tests.support.postgres import PostgresServer
from tests.support.stores import checkpoint, keys, read, read_page, write

LATEST = len(load_migrations("postgres"))
PLACE = "the PostgreSQL database"


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.create_database())


async def run(url: str, *arguments: str, cwd: Path) -> Any:
    return await asyncio.to_thread(syncline, *arguments, cwd=cwd, SYNCLINE_DATABASE_URL=url)


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def execute(url: str, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement, *arguments)
    await connection.close()


async def test_migrate_leads_an_empty_database_to_this_schema(url: str, tmp_path: Path) -> None:
    needed = await run(url, "migrate", "--check", cwd=tmp_path)
    again = await run(url, "migrate", "--check", cwd=tmp_path)
    migrated = done(await run(url, "migrate", cwd=tmp_path))
    already = done(await run(url, "migrate", cwd=tmp_path))

    assert (needed.returncode, needed.stdout) == (1, f"{PLACE} is at schema 0; this version needs {LATEST}\n")
    assert again.stdout == needed.stdout
    assert migrated == [f"{PLACE}: schema 0 to {LATEST}"]
    assert already == [f"{PLACE} is already at schema {LATEST}"]
    assert done(await run(url, "migrate", "--check", cwd=tmp_path)) == already
    assert files_in(tmp_path) == []


async def test_migrate_waits_for_another_that_is_at_it(url: str, tmp_path: Path) -> None:
    other = await asyncpg.connect(url)
    await other.execute(f"SELECT pg_advisory_lock({0x53594E43_0001})")
    waiting = asyncio.create_task(run(url, "migrate", cwd=tmp_path))
    looking = await asyncpg.connect(url)
    async with asyncio.timeout(30):
        while not await looking.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert not waiting.done()

    await other.close()
    await looking.close()

    assert done(await waiting) == [f"{PLACE}: schema 0 to {LATEST}"]


@pytest.mark.parametrize("command", [["migrate"], ["migrate", "--check"], ["epoch", "renew"], ["restore"]])
async def test_a_newer_database_is_refused(command: list[str], url: str, tmp_path: Path) -> None:
    done(await run(url, "migrate", cwd=tmp_path))
    await execute(url, "INSERT INTO syncline.migrations (number) VALUES ($1)", LATEST + 1)

    assert f"has schema {LATEST + 1}; this Syncline knows up to {LATEST}" in refused(
        await run(url, *command, cwd=tmp_path)
    )


async def test_after_pg_restore_the_command_restore_makes_devices_resync(
    postgres_server: PostgresServer, url: str, tmp_path: Path
) -> None:
    store = await PostgresStore.open(url, connections=2)
    head = (await write(store, put("a"))).head
    dump = await asyncio.to_thread(postgres_server.dump, url.rpartition("/")[2])
    await write(store, put("b"))
    device = await checkpoint(store, head.id)
    before = await store.epoch()
    await store.close()

    restored = postgres_server.url(await asyncio.to_thread(postgres_server.load, dump))
    printed = done(await run(restored, "restore", cwd=tmp_path))

    store = await PostgresStore.open(restored, connections=2)
    # As many commits as the device knows: by the version alone nobody would notice.
    await write(store, put("another b"))
    assert printed == [f"epoch {await store.epoch()}"]
    assert await store.epoch() != before
    assert (await read(store, device)).reason is ResyncReason.EPOCH_CHANGED
    assert keys(await read_page(store)) == ["a", "another b"]
    await store.close()


async def test_epoch_renew_is_the_same_for_postgresql_and_a_server_that_runs_takes_it_up(
    url: str, tmp_path: Path
) -> None:
    store = await PostgresStore.open(url, connections=2)
    head = (await write(store, put("a"))).head
    device = await checkpoint(store, head.id)

    (epoch,) = done(await run(url, "epoch", "renew", cwd=tmp_path))

    log = await read(store, device)
    assert (log.reason, log.epoch) == (ResyncReason.EPOCH_CHANGED, epoch)
    await store.close()


async def test_what_is_only_for_sqlite_says_what_to_use_instead(url: str, tmp_path: Path) -> None:
    backup = refused(await run(url, "backup", "file", cwd=tmp_path))
    restore = refused(await run(url, "restore", "file", cwd=tmp_path))

    assert "pg_dump or pg_basebackup, as docs/operations.md says" in backup
    assert "pg_restore, then run this command without FILE" in restore
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("command", [["epoch", "renew"], ["restore"]])
async def test_a_database_without_anything_of_ours_has_no_epoch(command: list[str], url: str, tmp_path: Path) -> None:
    assert "has nothing of Syncline's" in refused(await run(url, *command, cwd=tmp_path))


@pytest.mark.parametrize("command", [["migrate"], ["migrate", "--check"], ["epoch", "renew"], ["restore"]])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://alice:a-secret-word@127.0.0.1:1/name",
        "postgresql://alice:a-secret-word@127.0.0.1:port/name",
        "postgresql://alice:a-secret-word@[127.0.0.1/name",
    ],
)
async def test_an_address_that_does_not_answer_is_one_line_without_the_password(
    command: list[str], address: str, tmp_path: Path
) -> None:
    line = refused(await run(address, *command, cwd=tmp_path))

    assert line.startswith("syncline: database_url: ")
    assert "a-secret-word" not in line


async def test_a_server_is_seen_by_its_name_in_the_database(url: str) -> None:
    store = await PostgresStore.open(url, connections=2)
    connection = await asyncpg.connect(url)
    names = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
    await write(store, put("a"))

    assert await connection.fetchval(names, connection.get_server_pid()) == "syncline"

    await connection.close()
    await store.close()


async def test_a_half_copied_database_is_not_opened_and_gets_no_epoch(url: str, tmp_path: Path) -> None:
    done(await run(url, "migrate", cwd=tmp_path))
    await execute(url, "INSERT INTO syncline.meta (name, value) VALUES ('copying', '{}')")

    with pytest.raises(StartRefused, match="holds an unfinished copy; run `syncline copy` again"):
        await PostgresStore.open(url, connections=2)
    assert "unfinished copy" in refused(await run(url, "epoch", "renew", cwd=tmp_path))
    assert "unfinished copy" in refused(await run(url, "serve", "--dev", "--port", "0", "--data", "data", cwd=tmp_path))

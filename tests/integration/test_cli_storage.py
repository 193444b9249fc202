"""``syncline migrate``, ``backup`` and ``restore`` on SQLite, as real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from syncline.config import DATABASE_FILE
from syncline.storage.migrations import load_migrations
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import put
from tests.support.command_line import done, refused, syncline
from tests.support.stores import write

LATEST = len(load_migrations("sqlite"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / DATABASE_FILE


def run(*arguments: str, cwd: Path) -> list[str]:
    return done(syncline(*arguments, "--data", "data", cwd=cwd))


def refusal(*arguments: str, cwd: Path) -> str:
    return refused(syncline(*arguments, "--data", "data", cwd=cwd))


def make_too_new(database: Path) -> None:
    connection = apsw.Connection(str(database))
    connection.pragma("user_version", LATEST + 1)
    connection.close()


def test_migrate_makes_a_database_and_says_from_where_to_where(database: Path, tmp_path: Path) -> None:
    needed = syncline("migrate", "--check", "--data", "data", cwd=tmp_path)
    untouched = list(tmp_path.iterdir())

    assert (needed.returncode, untouched) == (1, [])
    assert needed.stdout == f"data/{DATABASE_FILE} is at schema 0; this version needs {LATEST}\n"
    assert run("migrate", cwd=tmp_path) == [f"data/{DATABASE_FILE}: schema 0 to {LATEST}"]
    assert run("migrate", cwd=tmp_path) == [f"data/{DATABASE_FILE} is already at schema {LATEST}"]
    assert run("migrate", "--check", cwd=tmp_path) == [f"data/{DATABASE_FILE} is already at schema {LATEST}"]
    assert {path.name for path in database.parent.iterdir()} == {DATABASE_FILE, "syncline.lock"}


async def test_while_a_server_has_the_file_it_is_looked_at_but_not_migrated(database: Path, tmp_path: Path) -> None:
    run("migrate", cwd=tmp_path)
    store = await SqliteStore.open(database)

    line = await asyncio.to_thread(refusal, "migrate", cwd=tmp_path)
    looked = await asyncio.to_thread(run, "migrate", "--check", cwd=tmp_path)

    assert "is in use by process" in line
    assert looked == [f"data/{DATABASE_FILE} is already at schema {LATEST}"]
    await write(store, put("a"))
    await store.close()


@pytest.mark.parametrize("command", [["migrate"], ["migrate", "--check"], ["backup", "b"], ["epoch", "renew"]])
def test_a_newer_file_is_refused(command: list[str], database: Path, tmp_path: Path) -> None:
    run("migrate", cwd=tmp_path)
    make_too_new(database)

    assert f"has schema {LATEST + 1}; this Syncline knows up to {LATEST}" in refusal(*command, cwd=tmp_path)


@pytest.mark.parametrize("command", [["migrate"], ["migrate", "--check"], ["backup", "b"]])
def test_a_file_that_is_no_database_is_refused(command: list[str], database: Path, tmp_path: Path) -> None:
    run("migrate", cwd=tmp_path)
    database.write_bytes(b"rubbish" * 1_000)

    assert "is not a database" in refusal(*command, cwd=tmp_path)
    assert database.read_bytes() == b"rubbish" * 1_000


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    assert "cannot be made a folder" in refusal("migrate", cwd=tmp_path)


async def test_backup_prints_what_is_in_it(database: Path, tmp_path: Path) -> None:
    run("migrate", cwd=tmp_path)
    store = await SqliteStore.open(database)
    await write(store, put("a"), put("b"))
    epoch = await store.epoch()

    printed = await asyncio.to_thread(run, "backup", "backup", cwd=tmp_path)

    size = (tmp_path / "backup").stat().st_size
    assert printed == [f"backup: {size:,} bytes, 1 datasets, 2 records", f"epoch {epoch}"]
    assert "--force overwrites it" in await asyncio.to_thread(refusal, "backup", "backup", cwd=tmp_path)
    assert await asyncio.to_thread(run, "backup", "backup", "--force", cwd=tmp_path) == printed
    await store.close()


def test_backup_without_a_database_is_refused(tmp_path: Path) -> None:
    assert "there is no" in refusal("backup", "b", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_restore_without_a_file_is_refused(tmp_path: Path) -> None:
    assert "name the FILE to restore; only with SYNCLINE_DATABASE_URL there is none" in refusal("restore", cwd=tmp_path)


def test_help_says_where_a_password_is_better_off(tmp_path: Path) -> None:
    told = " ".join(syncline("copy", "--help", cwd=tmp_path).stdout.split())

    assert "Without it, SYNCLINE_DATABASE_URL: command lines can be read by others" in told


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--from", "postgresql://host/name", "--to", "sqlite:file"], "--from: copies are made from sqlite:"),
        (["--from", "file", "--to", "postgresql://host/name"], "--from: copies are made from sqlite:"),
        (["--from", "sqlite:file", "--to", "sqlite:other"], "--to: copies are made from sqlite:"),
        (["--from", "sqlite:file"], "name the target with --to, or set SYNCLINE_DATABASE_URL"),
        (["--from", "sqlite:file", "--to", "postgresql://host/name"], "there is no "),
    ],
)
def test_copy_refuses_other_directions_and_what_is_not_there(arguments: list[str], reason: str, tmp_path: Path) -> None:
    assert reason in refused(syncline("copy", *arguments, cwd=tmp_path))

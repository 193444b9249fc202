"""Which files are opened, and how an older one becomes one of today's."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from syncline.errors import StartRefused, StoreTooNew
from syncline.storage.migrations import Migration, load_migrations
from syncline.storage.sqlite import SqliteStore
from syncline.storage.sqlite_database import open_database
from syncline.storage.sqlite_migrations import APPLICATION_ID
from tests.support.builders import put
from tests.support.stores import keys, read_page, write


def header(path: Path) -> tuple[object, object]:
    connection = apsw.Connection(str(path))
    try:
        return connection.pragma("application_id"), connection.pragma("user_version")
    finally:
        connection.close()


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def write_content(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_a_new_file_has_the_schema_of_today_and_is_marked_as_ours(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.close()

    assert header(path) == (APPLICATION_ID, len(load_migrations("sqlite")))


async def test_a_file_of_a_newer_syncline_is_refused_and_left_alone(path: Path) -> None:
    store = await SqliteStore.open(path)
    await write(store, put("a"))
    await store.close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    before = content_of(path)

    with pytest.raises(StoreTooNew) as raised:
        await SqliteStore.open(path)

    assert raised.value.facts["found"] == 99
    assert raised.value.facts["known"] == len(load_migrations("sqlite"))
    assert content_of(path) == before


@pytest.mark.parametrize(
    "content", [b"x", b"x" * 511, b"no database at all " * 500, b"SQLite format 3\x00" + b"\xff" * 5_000]
)
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    write_content(path, content)

    for _ in range(2):
        with pytest.raises(StartRefused, match=r"syncline\.db"):
            await SqliteStore.open(path)

    assert content_of(path) == content


@pytest.mark.parametrize("pragma", ["application_id", "user_version", None])
async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path, pragma: str | None) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (a)")
    if pragma is not None:
        connection.pragma(pragma, 1)
    connection.close()
    before = content_of(path)

    with pytest.raises(StartRefused, match="not one of Syncline's"):
        await SqliteStore.open(path)

    assert content_of(path) == before


async def test_an_empty_file_becomes_a_new_database(path: Path) -> None:
    write_content(path, b"")

    store = await SqliteStore.open(path)

    assert len(await store.epoch()) == 16
    await store.close()


async def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefused):
        await SqliteStore.open(tmp_path / "missing" / "syncline.db")
    with pytest.raises(StartRefused):
        await SqliteStore.open(tmp_path)


async def test_an_older_file_is_led_to_the_schema_of_today_with_its_data(path: Path) -> None:
    store = await SqliteStore.open(path)
    epoch = await store.epoch()
    await write(store, put("a"))
    await store.close()
    known = load_migrations("sqlite")
    later = [
        *known,
        Migration(len(known) + 1, "ALTER TABLE datasets ADD COLUMN color TEXT; CREATE TABLE extra (a TEXT) STRICT;"),
        Migration(len(known) + 2, "ALTER TABLE extra RENAME TO more;"),
    ]

    database = open_database(path, None, later)
    migrated = SqliteStore(database)

    assert await migrated.epoch() == epoch
    assert keys(await read_page(migrated)) == ["a"]
    assert (await write(migrated, put("b"))).head.version == 2
    await migrated.close()
    assert header(path) == (APPLICATION_ID, len(known) + 2)


async def test_a_migration_that_fails_leaves_the_file_as_the_one_before_left_it(path: Path) -> None:
    known = load_migrations("sqlite")
    later = [
        *known,
        Migration(len(known) + 1, "CREATE TABLE extra (a TEXT) STRICT;"),
        Migration(len(known) + 2, "CREATE TABLE half (a TEXT) STRICT; SELECT nothing FROM nowhere;"),
    ]

    with pytest.raises(StartRefused):
        open_database(path, None, later)

    assert header(path) == (APPLICATION_ID, len(known) + 1)
    connection = apsw.Connection(str(path))
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    connection.close()
    assert "extra" in tables
    assert "half" not in tables


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in load_migrations("sqlite")] == list(
        range(1, len(load_migrations("sqlite")) + 1)
    )

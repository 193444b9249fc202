"""Files that are backed up and restored, and those that are refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from syncline.core.checkpoint import ResyncReason
from syncline.core.ids import Epoch
from syncline.errors import StartRefused, StoreTooNew
from syncline.storage.migrations import load_migrations
from syncline.storage.sqlite import SqliteStore
from syncline.storage.sqlite_backup import back_up, restore
from tests.support.builders import put, remove
from tests.support.stores import checkpoint, keys, read, read_page, write

NOW = datetime(2031, 5, 6, 7, 8, 9, 123_456, tzinfo=UTC)
LATEST = len(load_migrations("sqlite"))


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "backup.sqlite3"


async def stored(path: Path, *names: str) -> Epoch:
    """A database with these keys, closed; its epoch."""
    store = await SqliteStore.open(path)
    for name in names:
        await write(store, put(name))
    epoch = await store.epoch()
    await store.close()
    return epoch


async def keys_in(path: Path) -> list[str]:
    store = await SqliteStore.open(path)
    found = keys(await read_page(store))
    await store.close()
    return found


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


# --- backup -----------------------------------------------------------------------------------------------------------


async def test_a_backup_of_an_open_store_holds_all_that_was_acknowledged(path: Path, backup: Path) -> None:
    store = await SqliteStore.open(path)
    await write(store, put("a"), put("b"), put("gone"))
    await write(store, remove("gone"))

    contents = back_up(path, backup, force=False)

    await write(store, put("later"))
    assert (contents.datasets, contents.records, contents.epoch) == (1, 2, await store.epoch())
    assert contents.size_bytes == len(bytes_of(backup))
    await store.close()
    assert names_in(backup.parent) == {backup.name}
    assert await keys_in(backup) == ["a", "b", "gone"]


async def test_a_backup_is_for_its_owners_eyes_only_and_can_be_read_where_nothing_can_be_written(
    path: Path, backup: Path
) -> None:
    await stored(path, "a")

    back_up(path, backup, force=False)

    assert mode_of(backup) == 0o600
    # Its header says so: version 2 would be a file that needs a write-ahead log beside it.
    assert bytes_of(backup)[18:20] == b"\x01\x01"


async def test_a_backup_overwrites_only_when_told_to(path: Path, backup: Path) -> None:
    await stored(path, "a")
    fill(backup, b"precious")

    with pytest.raises(StartRefused, match="is there already; --force overwrites it"):
        back_up(path, backup, force=False)
    kept = bytes_of(backup)
    back_up(path, backup, force=True)

    assert kept == b"precious"
    assert await keys_in(backup) == ["a"]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_the_database_itself_is_never_the_backup(path: Path, suffix: str) -> None:
    await stored(path, "a")

    with pytest.raises(StartRefused, match="is the database itself"):
        back_up(path, path.with_name(path.name + suffix), force=True)

    assert await keys_in(path) == ["a"]


async def test_a_damaged_database_makes_no_backup(path: Path, backup: Path) -> None:
    await stored(path, *(f"key-{n}" for n in range(50)))
    damage(path)

    with pytest.raises(StartRefused):
        back_up(path, backup, force=False)

    assert names_in(backup.parent) == set()


async def test_a_backup_that_cannot_be_written_leaves_nothing(path: Path, tmp_path: Path) -> None:
    await stored(path, "a")

    with pytest.raises(StartRefused, match="No such file or directory"):
        back_up(path, tmp_path / "no-such-folder" / "backup", force=False)
    with pytest.raises(StartRefused, match="is a folder"):
        back_up(path, tmp_path, force=True)


def test_without_a_database_there_is_no_backup_and_none_is_made(path: Path, backup: Path) -> None:
    with pytest.raises(StartRefused, match="there is no"):
        back_up(path, backup, force=False)

    assert not path.exists()
    assert not backup.exists()


# --- restore ----------------------------------------------------------------------------------------------------------


async def test_a_restored_log_has_a_new_epoch_so_that_devices_resync(path: Path, backup: Path) -> None:
    store = await SqliteStore.open(path)
    head = (await write(store, put("a"))).head
    back_up(path, backup, force=False)
    await write(store, put("b"))
    device = await checkpoint(store, head.id)
    before = await store.epoch()
    await store.close()

    restored = restore(backup, path, force=True, now=NOW)

    store = await SqliteStore.open(path)
    # As many commits as the device knows: by the version alone nobody would notice.
    await write(store, put("another b"))
    assert restored.contents.epoch == await store.epoch() != before
    assert (await read(store, device)).reason is ResyncReason.EPOCH_CHANGED
    assert keys(await read_page(store)) == ["a", "another b"]
    await store.close()


async def test_what_was_there_is_kept_whole_under_a_name_with_the_time(path: Path, backup: Path) -> None:
    await stored(backup, "from the backup")
    epoch = await stored(path, "old")

    restored = restore(backup, path, force=True, now=NOW)

    assert restored.kept == path.with_name(f"{path.name}.replaced-20310506T070809.123456Z")
    assert await keys_in(path) == ["from the backup"]
    assert await keys_in(restored.kept) == ["old"]
    assert await stored(restored.kept) == epoch


async def test_a_restore_overwrites_only_when_told_to(path: Path, backup: Path) -> None:
    await stored(backup, "from the backup")
    await stored(path, "old")

    with pytest.raises(StartRefused, match="is there already; --force sets it aside"):
        restore(backup, path, force=False, now=NOW)

    assert await keys_in(path) == ["old"]


async def test_a_log_that_a_killed_server_left_goes_with_its_database(path: Path, backup: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(path)
    await write(store, put("only in the log"))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        shutil.copy(path.with_name(name), killed / name)
    await store.close()
    await stored(backup, "from the backup")
    database = killed / path.name

    restored = restore(backup, database, force=True, now=NOW)

    assert restored.kept is not None
    assert names_in(killed) == {database.name, restored.kept.name, database.with_suffix(".lock").name}
    assert await keys_in(database) == ["from the backup"]
    assert await keys_in(restored.kept) == ["only in the log"]


async def test_a_damaged_database_is_set_aside_with_its_log_as_it_is(path: Path, backup: Path) -> None:
    await stored(backup, "from the backup")
    wal = path.with_name(f"{path.name}-wal")
    fill(path, b"rubbish" * 1_000)
    fill(wal, b"a log")

    restored = restore(backup, path, force=True, now=NOW)

    assert restored.kept is not None
    assert bytes_of(restored.kept) == b"rubbish" * 1_000
    assert bytes_of(restored.kept.with_name(f"{restored.kept.name}-wal")) == b"a log"
    assert await keys_in(path) == ["from the backup"]


async def test_a_log_without_its_database_is_not_taken_for_the_new_ones(path: Path, backup: Path) -> None:
    await stored(backup, "from the backup")
    fill(path.with_name(f"{path.name}-wal"), b"of another database")

    assert restore(backup, path, force=False, now=NOW).kept is None

    assert await keys_in(path) == ["from the backup"]


async def test_a_backup_that_is_not_to_be_written_is_not_written(path: Path, backup: Path) -> None:
    await stored(backup, "a")
    before = bytes_of(backup), names_in(backup.parent)
    allow(backup, 0o400)
    allow(backup.parent, 0o500)

    restore(backup, path, force=False, now=NOW)

    allow(backup.parent, 0o700)
    assert (bytes_of(backup), names_in(backup.parent)) == before
    assert await keys_in(path) == ["a"]


async def test_a_file_that_was_copied_with_its_log_is_restored_with_what_is_in_the_log(
    path: Path, backup: Path, tmp_path: Path
) -> None:
    store = await SqliteStore.open(path)
    await write(store, put("only in the log"))
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{backup}{suffix}")
    await store.close()

    restore(backup, tmp_path / "restored.db", force=False, now=NOW)

    assert await keys_in(tmp_path / "restored.db") == ["only in the log"]


async def test_a_restore_is_refused_while_a_server_has_the_database(path: Path, backup: Path) -> None:
    await stored(backup, "from the backup")
    store = await SqliteStore.open(path)
    await write(store, put("a"))

    with pytest.raises(StartRefused, match=f"in use by process {os.getpid()};"):
        restore(backup, path, force=True, now=NOW)

    await write(store, put("b"))
    await store.close()
    assert await keys_in(path) == ["a", "b"]


def damage(path: Path) -> None:
    """Overwrite what lies behind the first page."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def _foreign(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE shopping (item TEXT)")
    connection.close()


def _too_new(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", LATEST + 1)
    connection.close()


def _cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _foreign_instead(path: Path) -> None:
    path.unlink()
    _foreign(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda path: path.unlink(), "there is no file", id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), "is empty", id="empty"),
        pytest.param(lambda path: path.write_bytes(b"short"), "is not a database", id="short"),
        pytest.param(lambda path: path.write_bytes(b"rubbish" * 1_000), "is not a database", id="rubbish"),
        pytest.param(_foreign_instead, "not one of Syncline's", id="somebody else's"),
        pytest.param(_too_new, f"has schema {LATEST + 1}", id="a newer Syncline's"),
        pytest.param(damage, "backup.sqlite3", id="damaged"),
        pytest.param(_cut_short, "backup.sqlite3", id="cut short"),
    ],
)
async def test_a_file_that_is_no_backup_changes_nothing(
    path: Path, backup: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    await stored(backup, *(f"key-{n}" for n in range(50)))
    epoch = await stored(path, "old")
    before = names_in(path.parent)
    spoil(backup)

    with pytest.raises(StartRefused, match=reason) as raised:
        restore(backup, path, force=True, now=NOW)

    assert isinstance(raised.value, StoreTooNew) is ("schema" in reason)
    assert names_in(path.parent) == before
    assert await keys_in(path) == ["old"]
    assert await stored(path) == epoch


def test_a_folder_is_not_made_for_what_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="there is no file"):
        restore(tmp_path / "missing", tmp_path / "data" / "syncline.sqlite3", force=False, now=NOW)

    assert not (tmp_path / "data").exists()


async def test_the_database_is_not_restored_from_itself(path: Path) -> None:
    await stored(path, "a")

    with pytest.raises(StartRefused, match="is the database itself"):
        restore(path, path, force=True, now=NOW)

    assert await keys_in(path) == ["a"]

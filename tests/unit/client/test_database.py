from __future__ import annotations

import multiprocessing
import subprocess
import sys
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path

import apsw
import pytest

from syncline.client.database import SCHEMA_VERSION, Database
from syncline.client.errors import CacheTooNew, CacheUnusable


def test_what_a_transaction_wrote_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "cache.db")
    with database.transaction():
        database.execute("INSERT INTO owner VALUES (1, 'alice', NULL)")
    again = Database(tmp_path / "cache.db")
    assert again.row("SELECT identity FROM owner") == ("alice",)
    again.close()
    database.close()


def test_a_transaction_that_raises_wrote_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "cache.db")
    with suppress(RuntimeError), database.transaction(), database.transaction():
        database.execute("INSERT INTO owner VALUES (1, 'alice', NULL)")
        raise RuntimeError
    assert database.row("SELECT * FROM owner") is None
    database.close()


def test_commits_are_on_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    database = Database(tmp_path / "cache.db")
    assert database.value("PRAGMA journal_mode") == "wal"
    assert database.value("PRAGMA synchronous") == 2
    database.close()


def test_a_file_of_a_newer_syncline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    newer = apsw.Connection(str(path))
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    with pytest.raises(CacheTooNew, match=rf"schema {SCHEMA_VERSION + 1}"):
        Database(path)


def test_a_file_of_the_first_schema_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    Database(path).close()
    older = apsw.Connection(str(path))
    older.execute("ALTER TABLE datasets DROP COLUMN role; PRAGMA user_version = 1")
    older.execute("INSERT INTO datasets (name, checkpoint) VALUES ('notes', 'there')")
    older.close()
    for _ in range(2):
        database = Database(path)
        assert database.value("PRAGMA user_version") == SCHEMA_VERSION
        assert database.row("SELECT name, checkpoint, role FROM datasets") == ("notes", "there", None)
        database.close()


def test_a_file_that_is_no_database_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_bytes(b"no database, but quite long enough to be looked at as one" * 100)
    with pytest.raises(CacheUnusable, match="cannot be used"):
        Database(path)


_WRITER = """
import sys
from syncline.client.database import Database
database = Database(sys.argv[1])
for number in range(100):
    with database.transaction():
        seen = database.value("SELECT sequence FROM datasets WHERE name = 'n'") or 0
        database.execute("INSERT OR REPLACE INTO datasets (name, sequence) VALUES ('n', ?)", seen + 1)
"""


def test_processes_that_write_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path)]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    database = Database(path)
    assert database.value("SELECT sequence FROM datasets") == 200
    database.close()


def _open_new_files(folder: Path, together: Barrier) -> None:
    for number in range(50):
        together.wait(60)
        Database(folder / f"{number}.db").close()


def test_a_new_file_that_several_processes_open_at_once_is_never_found_locked(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    together = processes.Barrier(4)
    openers = [processes.Process(target=_open_new_files, args=(tmp_path, together)) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(120)
    assert [opener.exitcode for opener in openers] == [0, 0, 0, 0]

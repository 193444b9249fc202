"""The device's SQLite file: opened, brought to the current schema, and shared safely between processes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw

from syncline.client.errors import CacheTooNew, CacheUnusable

_SCHEMA = """
CREATE TABLE owner (
    -- whose data this is; no row before the first contact with a server
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    identity TEXT NOT NULL,
    device TEXT
) STRICT;
CREATE TABLE datasets (
    name TEXT PRIMARY KEY,
    id TEXT,
    conflict_policy TEXT,
    role TEXT,
    checkpoint TEXT NOT NULL DEFAULT 'start',
    known_version INTEGER NOT NULL DEFAULT 0, -- all commits up to here are surely in the checkpoint
    generation INTEGER NOT NULL DEFAULT 0,    -- raised by a resync; records of an older one are not confirmed yet
    resyncing INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL DEFAULT 0       -- counts records applied, for those who watch
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    dataset TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT, -- NULL: deleted
    version INTEGER NOT NULL,
    author_identity TEXT,
    author_device TEXT,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (dataset, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_sequence ON records (dataset, sequence);
CREATE TABLE edits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    argument TEXT,
    made_at TEXT NOT NULL,
    seen_version INTEGER, -- NULL: only the value seen is known
    seen_value TEXT,      -- NULL: no live record
    state TEXT NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'CONFLICT', 'PARKED')),
    bundle TEXT,          -- edits of one transaction
    batch TEXT,           -- the push it is frozen in
    code TEXT,
    details TEXT
) STRICT;
CREATE INDEX edits_by_key ON edits (dataset, key, id);
CREATE TABLE batches (
    mutation_id TEXT PRIMARY KEY,
    dataset TEXT NOT NULL UNIQUE, -- one push at a time
    changes TEXT NOT NULL,        -- exactly what is sent, and sent again
    earlier_changes TEXT,         -- what was sent under this id before the log's epoch changed
    conflict_policy TEXT,
    atomic INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_MIGRATIONS = {1: "ALTER TABLE datasets ADD COLUMN role TEXT"}
"""What leads from a version to the next one."""
SCHEMA_VERSION = 2

_BUSY = timedelta(seconds=10)


class Database:
    """One connection to the file. Several processes may each have one.

    What a ``transaction`` wrote is on disk when it ends; after a crash it is there wholly or not at all.
    """

    def __init__(self, path: Path | str) -> None:
        """Opens or creates the file. Raises CacheTooNew, CacheUnusable."""
        self.path = str(path)
        try:
            if self.path != ":memory:":
                Path(self.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = apsw.Connection(self.path)
            self._connection.set_busy_timeout(int(_BUSY.total_seconds() * 1000))
            self._use_wal()
            self._connection.execute("PRAGMA synchronous = FULL")
        except (OSError, apsw.Error) as error:
            raise CacheUnusable(path=self.path, reason=str(error)) from error
        with self.transaction():
            self._migrate()

    def _use_wal(self) -> None:
        # Two processes that turn to WAL at the same time would wait for each other: SQLite refuses one of them at once,
        # whatever the timeout.
        deadline = time.monotonic() + _BUSY.total_seconds()
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except apsw.BusyError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 # no secret

    def _migrate(self) -> None:
        found = int(self.value("PRAGMA user_version"))
        if found > SCHEMA_VERSION:
            raise CacheTooNew(path=self.path, found=found, known=SCHEMA_VERSION)
        if found == 0:
            self._connection.execute(_SCHEMA)
        else:
            for version in range(found, SCHEMA_VERSION):
                self._connection.execute(_MIGRATIONS[version])
        if found < SCHEMA_VERSION:
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and no other process writes meanwhile. Within another one it is part of that."""
        if not self._connection.get_autocommit():
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if not self._connection.get_autocommit():
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads in it see one state of the file."""
        if not self._connection.get_autocommit():
            yield
            return
        self.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def execute(self, sql: str, *bindings: Any) -> int:
        """Runs a statement; the answer is how many rows it changed."""
        try:
            self._connection.execute(sql, bindings)
            return self._connection.changes()
        except apsw.Error as error:
            raise CacheUnusable(path=self.path, reason=str(error)) from error

    def rows(self, sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(sql, bindings))
        except apsw.Error as error:
            raise CacheUnusable(path=self.path, reason=str(error)) from error

    def row(self, sql: str, *bindings: Any) -> tuple[Any, ...] | None:
        found = self.rows(sql, *bindings)
        return found[0] if found else None

    def value(self, sql: str, *bindings: Any) -> Any:
        """The first column of the first row; None without one."""
        found = self.row(sql, *bindings)
        return None if found is None else found[0]

    def close(self) -> None:
        self._connection.close()

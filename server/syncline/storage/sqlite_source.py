"""A SQLite database to copy from, which nobody else has meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

from syncline.core.ids import Epoch
from syncline.errors import StartRefused
from syncline.storage.copied_tables import DATASETS, ERASED, INVITATIONS, TABLES, CopiedTable, Sum, Summing
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.rows import Row
from syncline.storage.sqlite_files import reading, refusing
from syncline.storage.sqlite_lock import FileLock
from syncline.storage.sqlite_migrations import check_file

BATCH_ROWS = 5_000
BATCH_CHARACTERS = 8 * 1024 * 1024


class SqliteSource:
    """All of it blocks, and may be called from any thread, from one at a time."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._sql = load_queries("sqlite", "copying")
        self.epoch = Epoch(str(connection.execute(load_queries("sqlite")["epoch"]).get))
        counts = connection.execute(self._sql["counts"]).get
        self.rows: Mapping[str, int] = {table.name: count for table, count in zip(TABLES, counts, strict=True)}

    def state(self) -> str:
        """Another one when anything was written.

        Each write is in a dataset's row, which has the scope of its members, leaves a receipt, or is an invitation's
        or an erasure's.
        """
        newest = self._connection.execute(self._sql["newest_receipt"]).get
        sums = (self.sum(table).checksum for table in (DATASETS, INVITATIONS, ERASED))
        facts = (self.epoch, *sums, *self.rows.values(), newest)
        return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()

    def batches(self, table: CopiedTable, after: Row) -> Iterator[list[Row]]:
        """The rows behind the key ``after``, in the order of the key."""
        batch: list[Row] = []
        characters = 0
        with refusing(f"read {self.path}"):
            for row in self._connection.execute(self._sql[table.name], after):
                batch.append(row)
                if table.text is not None:
                    characters += len(row[table.text] or "")
                if len(batch) == BATCH_ROWS or characters >= BATCH_CHARACTERS:
                    yield batch
                    batch, characters = [], 0
        if batch:
            yield batch

    def sum(self, table: CopiedTable) -> Sum:
        summing = Summing()
        for batch in self.batches(table, table.before_all):
            summing.add(batch)
        return summing.sum()


@contextmanager
def open_source(path: Path) -> Iterator[SqliteSource]:
    """The database at ``path``; until the end no server can have it.

    Raises StartRefused if one has it, or if it is no database of ours with the schema of this code.
    """
    path = path.resolve()
    if not path.is_file():
        raise StartRefused(f"there is no {path}")
    known = load_migrations("sqlite")
    with refusing(f"read {path}"), FileLock(path), reading(path) as connection:
        found = check_file(connection, path, known)
        if found < len(known):
            raise StartRefused(f"{path} has schema {found}, not {len(known)}: run `syncline migrate` on it first")
        yield SqliteSource(connection, path)

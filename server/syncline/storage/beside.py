"""A database as commands use it beside the servers that have it: short transactions, and snapshots that hold nobody up.

The statements are named, in ``sql/*/privacy.sql``, with named parameters in both dialects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from syncline.errors import StartRefused
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.rows import Bindings, Row
from syncline.storage.sqlite_connections import make_durable, open_writable
from syncline.storage.sqlite_files import companion, reading, refusing
from syncline.storage.sqlite_migrations import check_file

BATCH_ROWS = 500
_CHECKPOINT_SECONDS = 10.0
_BETWEEN_CHECKPOINTS = 0.1
_PIECE_BYTES = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """``places``: how often the text is in the files yet. ``live``: if so, in rows that are there, and nowhere else."""

    places: int
    live: bool


class Steps(Protocol):
    """A transaction."""

    async def rows(self, query: str, bindings: Bindings) -> list[Row]: ...

    async def change(self, query: str, bindings: Bindings) -> int:
        """How many rows the statement changed."""
        ...


class Snapshot(Protocol):
    """One moment of the database."""

    def rows(self, query: str, bindings: Bindings) -> AsyncGenerator[list[Row], None]:
        """What the query finds, in batches, and never all of it in memory."""
        ...

    def same(self, table: str, column: str, text: str) -> Awaitable[int]:
        """In how many rows the column is ``text``."""
        ...

    def texts(self) -> Awaitable[list[tuple[str, str]]]:
        """Every column of texts or bytes that there is: its table, and its name."""
        ...


class Beside(Protocol):
    """The database. Whatever it refuses is raised as StartRefused."""

    locks: Sequence[str]
    """Statements that a transaction begins with which takes an identity's standings away."""
    own: Sequence[str]
    """Statements by which an identity leaves tables that only this kind of database has."""

    async def transaction(self, work: Callable[[Steps], Awaitable[T]]) -> T:
        """What ``work`` returns, once it is durable; what it raised for was not done."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]: ...

    async def scrub(self, text: str, *, rewrite: bool) -> Scrubbed | None:
        """Have what was removed leave the database's files as well; ``rewrite`` them if ``text`` is there yet.

        None: they are not ours to look at.
        """
        ...


@asynccontextmanager
async def beside_sqlite(path: Path) -> AsyncGenerator[Beside, None]:
    """The file at ``path``, which a server may have. Raises StartRefused.

    The command does not take the lock that a server holds on its file: SQLite's own locks order its transactions and
    the server's, and a server finds out what it has to know of them by looking.
    """
    with refusing(f"use {path}"):
        connection = await asyncio.to_thread(_open, path)
        with closing(connection):
            yield _Sqlite(connection, path)


def _open(path: Path) -> apsw.Connection:
    if not path.is_file():
        raise StartRefused(f"there is no {path}: start the server once, or run `syncline migrate`")
    connection = open_writable(path, None, create=False)
    try:
        known = load_migrations("sqlite")
        found = check_file(connection, path, known)
        if found < len(known):
            raise StartRefused(f"{path} has schema {found}, not {len(known)}: run `syncline migrate` on it first")
        make_durable(connection, path)
        # What is removed is overwritten, not only let go of.
        connection.pragma("secure_delete", True)
        # The server looks after the write-ahead log.
        connection.wal_autocheckpoint(0)
    except BaseException:
        connection.close()
        raise
    return connection


class _SqliteSteps:
    def __init__(self, connection: apsw.Connection, sql: Mapping[str, str]) -> None:
        self._connection = connection
        self._sql = sql

    async def rows(self, query: str, bindings: Bindings) -> list[Row]:
        return await asyncio.to_thread(lambda: self._connection.execute(self._sql[query], bindings).fetchall())

    async def change(self, query: str, bindings: Bindings) -> int:
        def change() -> int:
            self._connection.execute(self._sql[query], bindings)
            return self._connection.changes()

        return await asyncio.to_thread(change)


class _SqliteSnapshot:
    def __init__(self, connection: apsw.Connection, sql: Mapping[str, str]) -> None:
        self._connection = connection
        self._sql = sql

    async def rows(self, query: str, bindings: Bindings) -> AsyncGenerator[list[Row], None]:
        batches = _batches(self._connection, self._sql[query], bindings)
        while batch := await asyncio.to_thread(next, batches, None):
            yield batch

    async def same(self, table: str, column: str, text: str) -> int:
        # Of bytes, as texts: a text and a blob are never equal.
        query = f'SELECT count(*) FROM "{table}" WHERE CAST("{column}" AS TEXT) = ?1'  # noqa: S608 # the schema's own
        return int(await asyncio.to_thread(lambda: self._connection.execute(query, (text,)).get))

    async def texts(self) -> list[tuple[str, str]]:
        query = (
            "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c"
            " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite@_%' ESCAPE '@' AND c.type IN ('TEXT', 'BLOB')"
            " ORDER BY 1, c.cid"
        )
        return [(table, column) for table, column in await asyncio.to_thread(self._connection.execute, query)]


def _batches(connection: apsw.Connection, statement: str, bindings: Bindings) -> Iterator[list[Row]]:
    cursor = connection.cursor()
    cursor.execute(statement, bindings)
    batch: list[Row] = []
    for row in cursor:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


class _Sqlite:
    locks: Sequence[str] = ()
    own: Sequence[str] = ()

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._sql = load_queries("sqlite", "privacy")

    async def transaction(self, work: Callable[[Steps], Awaitable[T]]) -> T:
        await asyncio.to_thread(self._connection.execute, "BEGIN IMMEDIATE")
        try:
            value = await work(_SqliteSteps(self._connection, self._sql))
            await asyncio.to_thread(self._connection.execute, "COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return value

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        with reading(self._path) as connection:
            yield _SqliteSnapshot(connection, self._sql)

    async def scrub(self, text: str, *, rewrite: bool) -> Scrubbed | None:
        emptied = await self._empty_log()
        places = await self._left_in_files(text)
        live = False
        if places and rewrite:
            # What was moved or overwritten before is in the free space of pages.
            await asyncio.to_thread(self._connection.execute, "VACUUM")
            live = await self._empty_log()
            places = await self._left_in_files(text)
        return Scrubbed(places=places, live=live or (emptied and not places))

    async def _empty_log(self) -> bool:
        """Whether what is in the write-ahead log is in the database, and the log is empty."""
        deadline = asyncio.get_running_loop().time() + _CHECKPOINT_SECONDS
        while not await asyncio.to_thread(self._checkpointed):
            # A server's readers are in the way, each for a moment.
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_BETWEEN_CHECKPOINTS)
        return True

    async def _left_in_files(self, text: str) -> int:
        return await asyncio.to_thread(_occurrences, [self._path, companion(self._path, "-wal")], text.encode())

    def _checkpointed(self) -> bool:
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        return True


def _occurrences(files: list[Path], wanted: bytes) -> int:
    """How often it stands in the files, which are read piece by piece."""
    found = 0
    for file in files:
        if not file.exists():
            continue
        end = b""
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE_BYTES):
                found += (end + piece).count(wanted)
                # Shorter than what is wanted, so that nothing is counted twice.
                end = (end + piece)[-(len(wanted) - 1) :] if len(wanted) > 1 else b""
    return found

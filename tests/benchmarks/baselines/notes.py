"""Where the Strawberry baseline keeps what it is sent: nowhere, or durably in SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import apsw
import asyncpg

_TABLES = """
CREATE TABLE dataset (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    dataset TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (dataset, key)
) WITHOUT ROWID;
"""
_NEXT_VERSION = """
INSERT INTO dataset VALUES (?, 1) ON CONFLICT DO UPDATE SET version = version + 1 RETURNING version
"""
_PUT = """
INSERT INTO record VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version
"""
_NEXT_VERSION_IN_POSTGRES = """
INSERT INTO dataset AS d VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET version = d.version + 1 RETURNING version
"""
_PUT_IN_POSTGRES = """
INSERT INTO record VALUES ($1, $2, $3, $4)
ON CONFLICT (dataset, key) DO UPDATE SET value = excluded.value, version = excluded.version
"""
POSTGRES_TABLES = _TABLES.replace(" WITHOUT ROWID", "")


class Notes(Protocol):
    """Keeps the last value of each key."""

    async def put(self, dataset: str, key: str, value: str) -> int:
        """The dataset's version after it."""
        ...


class ForgottenNotes:
    """Only counts."""

    def __init__(self) -> None:
        self._versions: Counter[str] = Counter()

    async def put(self, dataset: str, key: str, value: str) -> int:
        self._versions[dataset] += 1
        return self._versions[dataset]


class SqliteNotes:
    """On disk before ``put`` returns: one transaction each, on a thread of its own, so that the event loop goes on."""

    def __init__(self, file: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._connection = self._thread.submit(_open, file).result()

    async def put(self, dataset: str, key: str, value: str) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._put, dataset, key, value)

    def _put(self, dataset: str, key: str, value: str) -> int:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            ((version,),) = connection.execute(_NEXT_VERSION, (dataset,))
            connection.execute(_PUT, (dataset, key, value, version))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return int(version)


class PostgresNotes:
    """Committed before ``put`` returns: one transaction each, on a connection of a pool."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def put(self, dataset: str, key: str, value: str) -> int:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=10)
        async with self._pool.acquire() as connection, connection.transaction():
            version: int = await connection.fetchval(_NEXT_VERSION_IN_POSTGRES, dataset)
            await connection.execute(_PUT_IN_POSTGRES, dataset, key, value, version)
        return version


def _open(file: Path) -> apsw.Connection:
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    connection.execute(_TABLES)
    return connection

"""Logins and API keys for a command: changed by a short transaction, while servers use the store.

With SQLite the command does not take the lock that a server holds on its file, for it needs nothing that the lock is
for: it reads no log and commits no sync, so there is nothing that the server would have to be told. SQLite's own
locks order its transaction and the server's; the server's writer waits for it as it waits for a back-up, and a poll
finds what it wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import apsw

from syncline.core.audit import AuditEntry
from syncline.errors import StartRefused
from syncline.ports import ApiKeys, Identities
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.rows import audit_bindings
from syncline.storage.sqlite_connections import make_durable, open_writable
from syncline.storage.sqlite_files import refusing
from syncline.storage.sqlite_identities import SqliteApiKeys, SqliteIdentities
from syncline.storage.sqlite_migrations import check_file

if TYPE_CHECKING:
    import asyncpg

    from syncline.storage.postgres_migrations import Connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CredentialTables:
    """What a command works on."""

    identities: Identities
    api_keys: ApiKeys


@asynccontextmanager
async def beside_sqlite(path: Path, note: AuditEntry | None = None) -> AsyncIterator[CredentialTables]:
    """Those of the file at ``path``, which a server may have; ``note`` is written down with what is changed, if it is.

    Raises StartRefused.
    """
    with refusing(f"use {path}"), closing(await asyncio.to_thread(_open, path)) as connection:
        transactions = _OnSqlite(connection, note)
        yield CredentialTables(SqliteIdentities(transactions), SqliteApiKeys(transactions))


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
        # The server looks after the write-ahead log.
        connection.wal_autocheckpoint(0)
    except BaseException:
        connection.close()
        raise
    return connection


class _OnSqlite:
    def __init__(self, connection: apsw.Connection, note: AuditEntry | None) -> None:
        self._connection = connection
        self._note = note

    def read(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        return asyncio.to_thread(work, self._connection)

    def write(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        def write() -> T:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                value = work(self._connection)
                if self._note is not None and value is not False:
                    self._connection.execute(load_queries("sqlite")["insert_audit"], audit_bindings(self._note))
                self._connection.execute("COMMIT")
                return value
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

        return asyncio.to_thread(write)


@asynccontextmanager
async def beside_postgres(url: str, note: AuditEntry | None = None) -> AsyncIterator[CredentialTables]:
    """Those of the database at ``url``, which servers may have; ``note`` as above. Raises StartRefused."""
    from syncline.storage.postgres_administration import connected
    from syncline.storage.postgres_identities import PostgresApiKeys, PostgresIdentities
    from syncline.storage.postgres_migrations import known_schema

    async with connected(url) as connection:
        known = load_migrations("postgres")
        found = await known_schema(connection, known)
        if found < len(known):
            raise StartRefused(f"the database has schema {found}, not {len(known)}: run `syncline migrate` first")
        transactions = _OnPostgres(connection, note)
        yield CredentialTables(PostgresIdentities(transactions), PostgresApiKeys(transactions))


class _OnPostgres:
    def __init__(self, connection: Connection, note: AuditEntry | None) -> None:
        self._connection = connection
        self._note = note

    async def select(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        return await self._connection.fetch(statement, *arguments)

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._connection.transaction():
            value = await work(self._connection)
            if self._note is not None and value is not False:
                insert = load_queries("postgres")["insert_audit"]
                await self._connection.execute(insert, *audit_bindings(self._note).values())
            return value

"""A database as a store and as a command see it at once, and what of a text is anywhere in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import msgspec

from syncline.core.ids import IdentityId
from syncline.ports import CompleteStore
from syncline.service.identity_export import export_lines
from syncline.storage.auditing import AuditFilter, entries
from syncline.storage.beside import Beside, beside_sqlite
from syncline.storage.beside_postgres import beside_postgres
from syncline.storage.erasing import Removed, erase
from syncline.storage.exporting import held
from syncline.storage.postgres import PostgresStore
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import NOW
from tests.support.postgres import PostgresServer

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Of each table its rows, by column, in an order of their own."""


@dataclass(frozen=True, slots=True)
class Database:
    """One database: how to open a store on it, how a command opens it, and all that is in its tables."""

    open: Callable[[], Awaitable[CompleteStore]]
    beside: Callable[[], AbstractAsyncContextManager[Beside]]
    rows: Callable[[], Awaitable[Rows]]
    name: str


def on_sqlite(folder: Path) -> Database:
    path = folder / "syncline.db"
    return Database(lambda: SqliteStore.open(path), lambda: beside_sqlite(path), lambda: _sqlite_rows(path), "sqlite")


def on_postgres(server: PostgresServer) -> Database:
    url = server.url(server.empty_database())

    async def open_store() -> CompleteStore:
        return await PostgresStore.open(url, connections=5)

    return Database(open_store, lambda: beside_postgres(url), lambda: _postgres_rows(url), "postgres")


async def _sqlite_rows(path: Path) -> Rows:
    connection = apsw.Connection(str(path))
    connection.row_trace = lambda cursor, row: dict(
        zip([each[0] for each in cursor.get_description()], row, strict=True)
    )
    try:
        names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        tables = [name for name in names if not name.startswith("sqlite_")]
        return {table: sorted(connection.execute(f'SELECT * FROM "{table}"'), key=repr) for table in tables}  # noqa: S608
    finally:
        connection.close()


async def _postgres_rows(url: str) -> Rows:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'syncline'")
        return {
            table: sorted(map(dict, await connection.fetch(f'SELECT * FROM syncline."{table}"')), key=repr)  # noqa: S608
            for (table,) in found
        }
    finally:
        await connection.close()


def places_of(text: str, rows: Rows) -> list[str]:
    """Where the text stands, as a part of whatever value."""
    wanted = text.encode()
    return [
        f"{table}: {row}"
        for table, found in rows.items()
        for row in found
        if any(
            text in value if isinstance(value, str) else isinstance(value, bytes) and wanted in value
            for value in row.values()
        )
    ]


async def exported(beside: Beside, identity: IdentityId) -> list[Mapping[str, Any]]:
    """The lines of an export."""
    async with aclosing(held(beside, identity)) as found:
        lines = [line async for line in export_lines(found, identity, version="0", now=NOW)]
    return [msgspec.json.decode(line) for line in b"".join(lines).splitlines()]


async def audit_log(beside: Beside, wanted: AuditFilter | None = None) -> list[dict[str, Any]]:
    async with aclosing(entries(beside, wanted or AuditFilter())) as found:
        return [msgspec.json.decode(msgspec.json.encode(entry)) async for entry in found]


async def erased(beside: Beside, identity: IdentityId) -> Removed:
    """By a command, whose clock is the tests'."""
    return await erase(beside, identity, operator="cli", now=NOW)

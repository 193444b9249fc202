"""A PostgreSQL database as commands use it beside the servers that have it. See ``beside.py``."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from syncline.errors import StartRefused
from syncline.storage.beside import BATCH_ROWS, Beside, Scrubbed, Snapshot, Steps
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.postgres_administration import connected
from syncline.storage.postgres_connections import refuse_half_copied
from syncline.storage.postgres_errors import CONTENDED
from syncline.storage.postgres_migrations import Connection, known_schema
from syncline.storage.rows import Bindings, Row

_STATEMENT_SECONDS = 600.0
_ATTEMPTS = 5
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")

T = TypeVar("T")


@asynccontextmanager
async def beside_postgres(url: str) -> AsyncGenerator[Beside, None]:
    """The database at ``url``, which servers may have. Raises StartRefused."""
    known = load_migrations("postgres")
    async with connected(url, statement_seconds=_STATEMENT_SECONDS) as connection:
        found = await known_schema(connection, known)
        if found < len(known):
            raise StartRefused(f"the database has schema {found}, not {len(known)}: run `syncline migrate` first")
        await refuse_half_copied(connection, load_queries("postgres"))
        # Acknowledged means durable here as well, and a server is not to wait for long.
        await connection.execute("SET synchronous_commit = on; SET lock_timeout = '5s'")
        yield _Postgres(connection, url)


class _Statements:
    """Named statements with their parameters by number, as PostgreSQL wants them."""

    def __init__(self, connection: Connection, sql: Mapping[str, str]) -> None:
        self._connection = connection
        self._sql = sql

    def _numbered(self, query: str, bindings: Bindings) -> tuple[str, list[object]]:
        names: list[str] = []

        def number(match: re.Match[str]) -> str:
            if match[1] not in names:
                names.append(match[1])
            return f"${names.index(match[1]) + 1}"

        statement = _PARAMETER.sub(number, self._sql[query])
        return statement, [bindings[name] for name in names]


class _PostgresSteps(_Statements):
    async def rows(self, query: str, bindings: Bindings) -> list[Row]:
        statement, arguments = self._numbered(query, bindings)
        return [tuple(row) for row in await self._connection.fetch(statement, *arguments)]

    async def change(self, query: str, bindings: Bindings) -> int:
        statement, arguments = self._numbered(query, bindings)
        return int((await self._connection.execute(statement, *arguments)).rpartition(" ")[2])


class _PostgresSnapshot(_Statements):
    async def rows(self, query: str, bindings: Bindings) -> AsyncGenerator[list[Row], None]:
        statement, arguments = self._numbered(query, bindings)
        cursor = await self._connection.cursor(statement, *arguments)
        while batch := await cursor.fetch(BATCH_ROWS):
            yield [tuple(row) for row in batch]

    async def same(self, table: str, column: str, text: str) -> int:
        query = (
            f'SELECT count(*) FROM syncline."{table}"'  # noqa: S608 # the schema's own names
            f" WHERE \"{column}\"::text IN ($1, '\\x' || encode(convert_to($1, 'UTF8'), 'hex'))"
        )
        return int(await self._connection.fetchval(query, text))

    async def texts(self) -> list[tuple[str, str]]:
        rows = await self._connection.fetch(
            "SELECT table_name::text, column_name::text FROM information_schema.columns"
            " WHERE table_schema = 'syncline' AND data_type IN ('text', 'bytea') ORDER BY 1, ordinal_position"
        )
        return [(table, column) for table, column in rows]


class _Postgres:
    locks: Sequence[str] = ("lock_datasets", "raise_owner")
    own: Sequence[str] = ("forget_owner",)

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url
        self._sql = load_queries("postgres", "privacy")

    async def transaction(self, work: Callable[[Steps], Awaitable[T]]) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._once(work)
            except CONTENDED:
                # A server was in the way, and nothing was done.
                continue
        return await self._once(work)

    async def _once(self, work: Callable[[Steps], Awaitable[T]]) -> T:
        async with self._connection.transaction():
            return await work(_PostgresSteps(self._connection, self._sql))

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        # A connection of its own: what it finds may be worked on meanwhile.
        async with (
            connected(self._url, statement_seconds=_STATEMENT_SECONDS) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield _PostgresSnapshot(connection, self._sql)

    async def scrub(self, text: str, *, rewrite: bool) -> Scrubbed | None:
        # Dead rows are autovacuum's, and the files the server's.
        return None

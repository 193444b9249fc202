"""Leading a PostgreSQL database to the schema that this code knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import asyncpg

from syncline.errors import StartRefused, StoreTooNew
from syncline.storage.migrations import Migration

_LOCK = 0x53594E43_0001
"""Held while migrating, so that of nodes that start at once one does it and the others wait."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def migrate(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Apply what the database lacks, each step wholly or not at all. Waits for another node that is at it.

    Raises StoreTooNew for a database of a newer Syncline, and StartRefused if the schema ``syncline`` is somebody
    else's.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        found = await found_schema(connection)
        if found > len(migrations):
            raise StoreTooNew(path="the database", found=found, known=len(migrations))
        for migration in migrations[found:]:
            async with connection.transaction():
                if migration.number == 1:
                    await connection.execute(
                        "CREATE SCHEMA IF NOT EXISTS syncline;"
                        "CREATE TABLE syncline.migrations"
                        " (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
                    )
                await connection.execute(migration.sql)
                await connection.execute("INSERT INTO syncline.migrations (number) VALUES ($1)", migration.number)
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def found_schema(connection: Connection) -> int:
    """The schema that the database has; 0 for none. Raises StartRefused if ``syncline`` is not ours."""
    if await connection.fetchval("SELECT to_regclass('syncline.migrations')::text") is not None:
        found: int = await connection.fetchval("SELECT coalesce(max(number), 0) FROM syncline.migrations")
        return found
    if await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'syncline'"):
        raise StartRefused("the database has a schema named syncline, but not one of Syncline's")
    return 0

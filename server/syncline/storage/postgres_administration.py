"""What an operator does to the database at an address, outside of any server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from syncline.core.audit import AuditAct
from syncline.core.ids import Epoch
from syncline.errors import StartRefused
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.postgres_connections import CONNECT_SECONDS, lineage_of, refuse_half_copied
from syncline.storage.postgres_errors import refusing, refusing_address
from syncline.storage.postgres_migrations import Connection, known_schema, migrate

_STATEMENT_SECONDS = 60.0
_CLOSE_SECONDS = 10.0


@asynccontextmanager
async def connected(url: str, *, statement_seconds: float | None = _STATEMENT_SECONDS) -> AsyncIterator[Connection]:
    """A connection to the database at ``url``. Raises StartRefused for whatever the database does not do."""
    with refusing_address():
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds,
            target_session_attrs=SessionAttribute.read_write,
            server_settings={"application_name": "syncline tool"},
        )
    with refusing():
        try:
            yield connection
            await connection.close(timeout=_CLOSE_SECONDS)
        finally:
            connection.terminate()


async def schema_of(url: str) -> int:
    """The schema that the database has; 0 for none. Nothing is written. Raises as ``migrate_database``."""
    async with connected(url) as connection:
        return await known_schema(connection, load_migrations("postgres"))


async def migrate_database(url: str) -> int:
    """Lead the database to the schema this code knows; from which one it came. Waits for another that is at it.

    Raises StartRefused if it cannot be used, StoreTooNew for one of a newer Syncline.
    """
    async with connected(url, statement_seconds=None) as connection:
        return await migrate(connection, load_migrations("postgres"))


async def renew_epoch(url: str, act: AuditAct = AuditAct.RENEW_EPOCH) -> Epoch:
    """Give the log of a restored database a new identity, so that every device resyncs.

    Servers that run take it up with what they read next. Raises as ``migrate_database``.
    """
    sql = load_queries("postgres")
    async with connected(url) as connection:
        if await known_schema(connection, load_migrations("postgres")) == 0:
            raise StartRefused("database_url: the database has nothing of Syncline's")
        await refuse_half_copied(connection, sql)
        lineage = await lineage_of(connection)
        async with connection.transaction():
            await connection.fetch(sql["lock_meta"])
            epoch: str = await connection.fetchval(sql["renew_epoch"])
            # Or the next server to start would find that it has another past, and renew the epoch once more.
            await connection.execute(sql["keep_lineage"], lineage)
            # An older schema has no place for it.
            if await connection.fetchval(sql["has_audit"]):
                await connection.execute(sql["audit_of_command"], act.value)
        return Epoch(epoch)

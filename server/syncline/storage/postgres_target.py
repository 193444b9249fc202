"""A PostgreSQL database to copy into. Until it has everything, its ``meta`` says how far the copy is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import asyncpg
import msgspec

from syncline.core.ids import Epoch
from syncline.errors import StartRefused
from syncline.storage.copied_tables import DATASETS, TABLES, CopiedTable, Sum, Summing
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.postgres_administration import connected
from syncline.storage.postgres_connections import APPLICATION_NAME, COPYING, lineage_of
from syncline.storage.postgres_migrations import Connection, migrate
from syncline.storage.rows import Row

_LOCK = 0x53594E43_0002
"""Held while copying."""
_LOCK_SECONDS = 10
"""How long to wait for it: the server may not have noticed yet that an earlier copy was killed."""
_STATEMENT_SECONDS = 600.0
_ROWS_PER_TRIP = 500
_FIRST_STAMP = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What is there: of the source in this state all tables before ``table``, of that one ``rows`` up to ``after``."""

    source: str
    table: CopiedTable
    after: Row
    rows: int

    def text(self) -> str:
        """As it is kept."""
        after = [part.hex() if isinstance(part, bytes) else part for part in self.after]
        kept = {"source": self.source, "table": self.table.name, "after": after, "rows": self.rows}
        return msgspec.json.encode(kept).decode()

    @classmethod
    def of(cls, text: str) -> Progress:
        kept = msgspec.json.decode(text)
        (table,) = (table for table in TABLES if table.name == kept["table"])
        first, *others = kept["after"]
        after = (bytes.fromhex(first) if table.by_id else first, *others)
        return cls(source=kept["source"], table=table, after=after, rows=kept["rows"])


class PostgresTarget:
    """One connection that copies."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = load_queries("postgres", "copying")
        self._meta = load_queries("postgres")

    async def begin(self, source: str, *, restart: bool) -> Progress:
        """Where the copy of the source in this state goes on. ``restart``: forget what an earlier one left.

        Raises StartRefused if there is anything but an unfinished copy of it, or if servers use the database.
        """
        await self._lock()
        await migrate(self._connection, load_migrations("postgres"))
        async with self._connection.transaction():
            meta = {row["name"]: row["value"] for row in await self._connection.fetch(self._meta["lock_meta"])}
            if COPYING not in meta:
                if await self._connection.fetchval(self._sql["holds_data"]):
                    raise StartRefused("the target holds data already; copy into an empty database")
            elif restart:
                await self._connection.execute(self._sql["empty"])
            else:
                progress = Progress.of(meta[COPYING])
                if progress.source != source:
                    raise StartRefused(
                        "the target holds an unfinished copy of something else, or the source has changed since: "
                        "--restart drops it and begins anew"
                    )
                return progress
            if await self._connection.fetchval(self._sql["servers"], APPLICATION_NAME):
                raise StartRefused("a server is using the target; stop it first")
            progress = Progress(source=source, table=TABLES[0], after=TABLES[0].before_all, rows=0)
            await self._keep(progress)
        return progress

    async def write(self, rows: Sequence[Row], progress: Progress) -> Progress:
        """Write the rows that come next in ``progress.table``; all of them and where they end, or nothing."""
        table = progress.table
        now = replace(progress, after=table.key_of(rows[-1]), rows=progress.rows + len(rows))
        columns, records = table.columns, rows
        async with self._connection.transaction():
            if table is DATASETS:
                columns, records = (*columns, "stamp"), [(*row, _FIRST_STAMP) for row in rows]
                owner = table.columns.index("owner")
                await self._connection.execute(self._sql["add_owners"], [row[owner] for row in rows])
            await self._connection.copy_records_to_table(
                table.name, schema_name="syncline", columns=columns, records=records
            )
            await self._keep(now)
        return now

    async def sum(self, table: CopiedTable, seen: Callable[[int], None]) -> Sum:
        """What is stored, read anew; ``seen`` is told how many rows were, now and then."""
        summing = Summing()
        async with self._connection.transaction(readonly=True):
            # It was written in this order.
            await self._connection.execute("SET LOCAL enable_sort = off")
            cursor = await self._connection.cursor(self._sql[table.name])
            while rows := await cursor.fetch(_ROWS_PER_TRIP):
                summing.add(map(tuple, rows))
                seen(summing.rows)
        return summing.sum()

    async def finish(self, epoch: Epoch) -> None:
        """From now on this is the log, and a server may have it. When it returns, all is on disk."""
        await self._connection.execute(self._sql["analyze"])
        lineage = await lineage_of(self._connection)
        async with self._connection.transaction():
            # With this commit all those before it are on disk as well.
            await self._connection.execute("SET LOCAL synchronous_commit = on")
            await self._connection.execute(self._sql["adopt_epoch"], epoch)
            await self._connection.execute(self._sql["adopt_numbers"])
            await self._connection.execute(self._meta["keep_lineage"], lineage)
            await self._connection.execute(self._sql["forget_progress"], COPYING)

    async def _lock(self) -> None:
        await self._connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'; SET synchronous_commit = off")
        try:
            await self._connection.execute(self._sql["take_lock"], _LOCK)
        except asyncpg.LockNotAvailableError as error:
            raise StartRefused("another copy into the target is under way") from error

    async def _keep(self, progress: Progress) -> None:
        await self._connection.execute(self._sql["keep_progress"], COPYING, progress.text())


@asynccontextmanager
async def open_target(url: str) -> AsyncIterator[PostgresTarget]:
    """The database at ``url``. Raises StartRefused for whatever it does not do."""
    async with connected(url, statement_seconds=_STATEMENT_SECONDS) as connection:
        with _refusing_rows():
            yield PostgresTarget(connection)


@contextmanager
def _refusing_rows() -> Iterator[None]:
    try:
        yield
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise StartRefused(f"the target does not take what the source holds: {type(error).__name__}") from error

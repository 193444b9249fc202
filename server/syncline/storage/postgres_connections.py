"""Connections to PostgreSQL: a bounded pool, and what each must know of the server behind it.

The log's epoch is bound to the server's lineage: the cluster's system identifier and timeline. Whoever finds another
lineage than the database remembers, as after a restore or when a replica was promoted, gives the log a new epoch:
commits may be missing that devices have seen, so they are told to resync.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Self, TypeVar

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from syncline.core.ids import Epoch
from syncline.errors import StartRefused, StoreUnavailable
from syncline.logs import get_logger
from syncline.metrics import Metrics
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.postgres_errors import CONTENDED, DISCONNECTED, FAILURES, refusing_address, unavailable
from syncline.storage.postgres_migrations import Connection, migrate

ACQUIRE_SECONDS = 1.0
"""How long a request waits for a connection."""
APPLICATION_NAME = "syncline"
"""By which ``pg_stat_activity`` has the connections of servers."""
COPYING = "copying"
"""What is in ``meta`` as long as not all of another database is there."""
CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.01
_SETTINGS = (
    # Acknowledged means durable, whatever the server's default is; to want more (remote_apply) is left to it.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local');"
    "SET jit = off;"
    # The statements take arrays of any length; a plan for each length would cost more than it saves.
    "SET plan_cache_mode = force_generic_plan;"
    "SET lock_timeout = '5s';"
    "SET idle_in_transaction_session_timeout = '30s'"
)
_LINEAGE = (
    "SELECT (SELECT system_identifier FROM pg_control_system())::text"
    " || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
)
_UNKNOWN_LINEAGE = "unknown"

_log = get_logger(__name__)
_random = random.Random()  # noqa: S311 # so that nodes do not meet again

T = TypeVar("T")


class Connections:
    """The pool. A connection is held for a statement or a transaction, never while a device is idle."""

    @classmethod
    async def open(cls, url: str, *, size: int, metrics: Metrics | None = None) -> Self:
        """Connect, and migrate the database. Raises StartRefused, StoreTooNew."""
        with refusing_address():
            connections = cls(url, size=size, metrics=metrics)
            await connections._prepare()
        return connections

    def __init__(self, url: str, *, size: int, metrics: Metrics | None = None) -> None:
        self.sql: Mapping[str, str] = load_queries("postgres")
        self.epoch = Epoch("")
        """The log's, as this node found it last."""
        self._lineage: str | None = None
        self._url = url
        self._metrics = metrics
        self._pool: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            init=self._init,
            reset=_keep,
            timeout=CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            target_session_attrs=SessionAttribute.read_write,
            server_settings={"application_name": APPLICATION_NAME},
        )
        if metrics is not None:
            metrics.read_off(metrics.store_pool_size, lambda: size)
            metrics.read_off(metrics.store_pool_in_use, lambda: self._pool.get_size() - self._pool.get_idle_size())

    async def close(self) -> None:
        """Wait for what is under way, then disconnect."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._pool.close()
        except FAILURES:
            self._pool.terminate()

    @asynccontextmanager
    async def acquired(self) -> AsyncIterator[Connection]:
        """A connection. Raises StoreUnavailable if none is free within ``ACQUIRE_SECONDS``."""
        asked_at = monotonic()
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        except TimeoutError as error:
            raise StoreUnavailable("all connections to the database are in use") from error
        except FAILURES as error:
            raise unavailable(error) from error
        finally:
            if self._metrics is not None:
                self._metrics.store_pool_wait_seconds.observe(monotonic() - asked_at)
        try:
            yield connection  # type: ignore[misc] # a proxy, which has all that a connection has
        finally:
            # Whoever is cancelled gives it back all the same.
            await self._pool.release(connection)

    async def read(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a named query that only reads. Raises StoreUnavailable."""
        return await self.select(self.sql[query], *arguments)

    async def select(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a statement that only reads. Raises StoreUnavailable."""
        return await self._again(lambda connection: connection.fetch(statement, *arguments))

    async def read_by(self, work: Callable[[Connection, Mapping[str, str]], Awaitable[T]]) -> T:
        """What ``work`` makes of what it reads. Raises StoreUnavailable."""
        return await self._again(lambda connection: work(connection, self.sql))

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What ``work`` returns, committed. Nothing is written if it raises. Raises StoreUnavailable."""

        async def run(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._again(run, retry=CONTENDED)

    def retries(self, error: BaseException) -> None:
        """To be told why something is tried again."""
        if self._metrics is not None:
            # Without one, the connection broke before the server could say why.
            self._metrics.store_retries.labels(sqlstate=getattr(error, "sqlstate", None) or "none").inc()

    def found_epoch(self, epoch: str) -> Epoch:
        """To be told each epoch that is read."""
        if epoch != self.epoch:
            self.epoch = Epoch(epoch)
        return self.epoch

    async def _again(
        self,
        run: Callable[[Connection], Awaitable[T]],
        *,
        retry: tuple[type[BaseException], ...] = (*CONTENDED, *DISCONNECTED),
    ) -> T:
        """What ``run`` returns; tried anew where that cannot do harm."""
        for attempt in range(_ATTEMPTS):
            try:
                async with self.acquired() as connection:
                    return await run(connection)
            except retry as error:
                if attempt == _ATTEMPTS - 1:
                    raise unavailable(error) from error
                self.retries(error)
                await backoff(attempt)
            except FAILURES as error:
                raise unavailable(error) from error
        raise AssertionError("unreachable")

    async def _prepare(self) -> None:
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            target_session_attrs=SessionAttribute.read_write,
            server_settings={"application_name": APPLICATION_NAME},
        )
        try:
            await migrate(connection, load_migrations("postgres"))
            await refuse_half_copied(connection, self.sql)
            await self._init(connection)
        finally:
            await connection.close()
        await self._pool

    async def _init(self, connection: Connection) -> None:
        """What every new connection goes through: its settings, and a look at who is at the other end."""
        await connection.execute(_SETTINGS)
        lineage = await lineage_of(connection)
        if lineage == self._lineage:
            return
        async with connection.transaction():
            await self._adopt(connection, lineage)
        self._lineage = lineage

    async def _adopt(self, connection: Connection, lineage: str) -> None:
        known = {row["name"]: row["value"] for row in await connection.fetch(self.sql["lock_meta"])}
        epoch = known["epoch"]
        if known.get("lineage") != lineage:
            if "lineage" in known and _UNKNOWN_LINEAGE not in (known["lineage"], lineage):
                epoch = await connection.fetchval(self.sql["renew_epoch"])
                _log.warning("epoch_renewed", reason="another server, or a promoted replica", epoch=epoch)
            await connection.execute(self.sql["keep_lineage"], lineage)
        self.found_epoch(epoch)


async def refuse_half_copied(connection: Connection, sql: Mapping[str, str]) -> None:
    """Raises StartRefused if only a part of another database is there."""
    if await connection.fetchval(sql["meta"], COPYING) is not None:
        raise StartRefused(
            "database_url: the database holds an unfinished copy; run `syncline copy` again, with the same --from"
        )


async def lineage_of(connection: Connection) -> str:
    """Which server is at the other end, and which of its pasts it has. Not to be called in a transaction."""
    try:
        found: str = await connection.fetchval(_LINEAGE)
    except (asyncpg.UndefinedFunctionError, asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError):
        _log.warning("lineage_unknown", consequence="a promoted replica is not noticed: renew the epoch yourself")
        return _UNKNOWN_LINEAGE
    return found


async def _keep(_connection: Connection) -> None:
    """No statement leaves anything behind that the next one would trip over: no trip to reset it."""


async def backoff(attempt: int) -> None:
    """Wait before the attempt after ``attempt``: twice as long each time, and never twice the same."""
    await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * _random.uniform(0.5, 1.5))

"""Syncs in groups: while one group is at the database the next one gathers.

A group is two trips, and one commit for all that it writes (``postgres_group.py``). There are a few lanes, each with
one group under way; the syncs of an identity share one, so that they never get in each other's way. Only other nodes
do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from zlib import crc32

from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId
from syncline.core.pages import PageRequest
from syncline.errors import Overloaded, StoreUnavailable, SynclineError
from syncline.logs import get_logger
from syncline.ports import Synced
from syncline.storage.postgres_connections import Connections, backoff
from syncline.storage.postgres_errors import CONTENDED, DISCONNECTED, unavailable
from syncline.storage.postgres_group import Decided, Group, Job, dataset_ids, load_arguments
from syncline.storage.postgres_migrations import Connection
from syncline.storage.rows import Row

LANES = 2
MAX_WAITING_SYNCS = 10_000
MAX_GROUP_SYNCS = 64
MAX_GROUP_CHANGES = 4_096
_MAX_CONTENTIONS = 5
_LOCK_AFTER_LOSSES = 3
_SETTLE_SECONDS = 15.0
"""How long the outcome of a write is looked for whose connection broke."""

_log = get_logger(__name__)


class Syncs:
    """Takes syncs, and settles each once it is durable, or for certain was not done."""

    def __init__(self, connections: Connections, *, lanes: int = LANES) -> None:
        self._lanes = [_Lane(connections) for _ in range(lanes)]

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        """What ``Store.sync`` promises. Cancelling the caller does not cancel the sync."""
        lane = self._lanes[crc32(request.viewer.identity.encode()) % len(self._lanes)]
        return await lane.put(Job(request, page))

    async def close(self) -> None:
        """Accept no more, and return when all that was accepted is done."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))


class _Lane:
    """Invariant: while jobs wait there is one task that serves them; every accepted job's future is settled."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._waiting: deque[Job] = deque()
        self._futures: dict[int, asyncio.Future[Synced | Resync]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, job: Job) -> asyncio.Future[Synced | Resync]:
        if self._closed:
            raise StoreUnavailable("it is closed")
        if len(self._waiting) >= MAX_WAITING_SYNCS:
            raise Overloaded("too many syncs are waiting")
        future = self._futures[id(job)] = asyncio.get_running_loop().create_future()
        self._waiting.append(job)
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="postgres syncs")
        return future

    async def close(self) -> None:
        self._closed = True
        if self._task is not None:
            await self._task

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._settle(self._next_group())
        finally:
            self._task = None

    def _next_group(self) -> list[Job]:
        group: list[Job] = []
        changes = 0
        while self._waiting and len(group) < MAX_GROUP_SYNCS:
            changes += len(self._waiting[0].request.changes)
            if group and changes > MAX_GROUP_CHANGES:
                break
            group.append(self._waiting.popleft())
        return group

    async def _settle(self, jobs: list[Job]) -> None:
        """Settle all of them. What one is to blame for does not befall the others."""
        try:
            await self._carry_out(jobs)
        except Exception as error:
            if len(jobs) == 1:
                self._failed(jobs, error)
                return
            for job in jobs:
                if id(job) in self._futures:
                    await self._settle([job])

    async def _carry_out(self, jobs: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_SECONDS
        contentions = losses = cuts = 0
        while jobs:
            try:
                async with self._connections.acquired() as connection:
                    jobs = await self._attempt(connection, jobs, lock=losses >= _LOCK_AFTER_LOSSES)
                losses += 1
            except CONTENDED as error:
                contentions += 1
                if contentions > _MAX_CONTENTIONS:
                    raise unavailable(error) from error
                self._connections.retries(error)
                await backoff(contentions)
            except (*DISCONNECTED, StoreUnavailable) as error:
                cuts += 1
                if cuts > 1 or isinstance(error, StoreUnavailable):
                    # What may have been written is found out; the others are their devices' to try again.
                    self._failed([job for job in jobs if not job.attempted], error)
                    jobs = [job for job in jobs if job.attempted]
                if loop.time() > deadline:
                    _log.error("sync_outcomes_unknown", syncs=len(jobs))
                    self._failed(jobs, error)
                    return
                if jobs:
                    self._connections.retries(error)
                await backoff(min(cuts, 6))

    async def _attempt(self, connection: Connection, jobs: list[Job], *, lock: bool) -> list[Job]:
        """Decide, write and settle; the jobs that somebody else got in the way of."""
        if lock:
            # Whoever loses again and again waits its turn instead.
            async with connection.transaction():
                ids = dataset_ids(await self._load(connection, jobs))
                await connection.execute(self._connections.sql["lock_heads"], ids)
                group, written = await self._decide_and_write(connection, jobs)
        else:
            group, written = await self._decide_and_write(connection, jobs)
        group.settled()
        left = []
        for decided in group.decided:
            if decided.depends_on <= written:
                self._done(decided)
            else:
                left.append(decided.job)
        return left

    async def _load(self, connection: Connection, jobs: Sequence[Job]) -> list[Row]:
        rows = await connection.fetch(self._connections.sql["load_syncs"], *load_arguments(jobs))
        return [tuple(row) for row in rows]

    async def _decide_and_write(self, connection: Connection, jobs: list[Job]) -> tuple[Group, set[DatasetId]]:
        group = Group(await self._load(connection, jobs), jobs)
        self._connections.found_epoch(group.epoch)
        if not group.changed:
            return group, set()
        group.sent()
        rows = await connection.fetch(self._connections.sql["write_syncs"], *group.write_arguments())
        return group, {DatasetId(row["id"].hex()) for row in rows}

    def _done(self, decided: Decided) -> None:
        future = self._futures.pop(id(decided.job))
        if future.done():
            # The caller was cancelled and waits no more; what it asked for is done all the same.
            return
        if isinstance(decided.outcome, SynclineError):
            future.set_exception(decided.outcome)
        else:
            future.set_result(decided.outcome)

    def _failed(self, jobs: Sequence[Job], error: BaseException) -> None:
        for job in jobs:
            future = self._futures.pop(id(job), None)
            if future is not None and not future.done():
                future.set_exception(error if isinstance(error, SynclineError) else unavailable(error))

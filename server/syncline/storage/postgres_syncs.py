"""Syncs in groups: while one group is at the database the next one gathers.

A group is two trips, and one commit for all that it writes (``postgres_group.py``). There are a few lanes, each with
one group under way. All syncs of one owner's datasets share a lane, whoever sends them, so that those of one node never
get in each other's way. Only other nodes do, and acts of sharing.

A name is its owner's, so the sender of a sync by name tells the lane. Whose dataset an id stands for is not known
before it is loaded: the sync of a member goes to the sender's lane at first. What a load finds to be another lane's is
moved there undecided, and where it belongs is remembered for the next ones. So a sync is two trips, and the first one
of a member to a dataset that this node does not know is three. A dataset that changes hands is found out the same way:
what was loaded decides about the lane, what is remembered only about detours.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from zlib import crc32

import asyncpg

from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId, IdentityId
from syncline.core.pages import PageRequest
from syncline.errors import Overloaded, StoreUnavailable, SynclineError
from syncline.logs import get_logger
from syncline.ports import Synced
from syncline.storage.postgres_connections import Connections, backoff
from syncline.storage.postgres_errors import CONTENDED, DISCONNECTED, unavailable
from syncline.storage.postgres_group import Decided, Group, Job, dataset_ids, in_order, load_arguments, owner_in
from syncline.storage.postgres_migrations import Connection
from syncline.storage.rows import Row

LANES = 2
MAX_WAITING_SYNCS = 10_000
MAX_GROUP_SYNCS = 64
MAX_GROUP_CHANGES = 4_096
MAX_ROUTES = 10_000
"""How many datasets' lanes are remembered; a sync of one that was forgotten takes a detour."""
_MAX_CONTENTIONS = 5
_LOCK_AFTER_LOSSES = 3
_SETTLE_SECONDS = 15.0
"""How long the outcome of a write is looked for whose connection broke."""

_log = get_logger(__name__)

_Future = asyncio.Future[Synced | Resync]


class Syncs:
    """Takes syncs, and settles each once it is durable, or for certain was not done."""

    def __init__(self, connections: Connections, *, lanes: int = LANES) -> None:
        self._routes = Routes(lanes)
        self._lanes = [_Lane(connections, self._move) for _ in range(lanes)]
        self._closed = False

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        """What ``Store.sync`` promises. Cancelling the caller does not cancel the sync."""
        if self._closed:
            raise StoreUnavailable("it is closed")
        lane = self._lanes[self._routes.lane_of(request)]
        return await lane.put(Job(request, page))

    async def close(self) -> None:
        """Accept no more, and return when all that was accepted is done."""
        self._closed = True
        # One that is done may still be given what another one finds to be its.
        while any([await lane.done() for lane in self._lanes]):
            continue

    def _move(self, lane: _Lane, job: Job, future: _Future, owner: IdentityId) -> bool:
        """Give the job, which was loaded in ``lane``, to the lane of the dataset's owner; false if it is there."""
        right = self._lanes[self._routes.found(job.request, owner)]
        if right is lane:
            return False
        # Another one to the lanes: the one it came from may still see the old one in its hands.
        right.take(replace(job), future)
        return True


class Routes:
    """Which lane syncs go to: that of their dataset's owner, as far as it is known."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._known: OrderedDict[DatasetId, int] = OrderedDict()
        """Of datasets that are not their sender's, the latest met last."""

    def lane_of(self, request: SyncRequest) -> int:
        own = self._of_owner(request.viewer.identity)
        return own if request.ref.id is None else self._known.get(request.ref.id, own)

    def found(self, request: SyncRequest, owner: IdentityId) -> int:
        """To be told who owns the dataset of a sync, as it was loaded; its lane."""
        lane, id_ = self._of_owner(owner), request.ref.id
        if id_ is not None and (id_ in self._known or owner != request.viewer.identity):
            self._known[id_] = lane
            self._known.move_to_end(id_)
            if len(self._known) > MAX_ROUTES:
                self._known.popitem(last=False)
        return lane

    def _of_owner(self, owner: IdentityId) -> int:
        return crc32(owner.encode()) % self._lanes


_Move = Callable[["_Lane", Job, _Future, IdentityId], bool]


class _Lane:
    """Invariant: while jobs wait there is one task that serves them; every accepted job's future is settled."""

    def __init__(self, connections: Connections, move: _Move) -> None:
        self._connections = connections
        self._move = move
        self._waiting: deque[Job] = deque()
        self._futures: dict[int, _Future] = {}
        self._task: asyncio.Task[None] | None = None

    def put(self, job: Job) -> _Future:
        if len(self._waiting) >= MAX_WAITING_SYNCS:
            raise Overloaded("too many syncs are waiting")
        future: _Future = asyncio.get_running_loop().create_future()
        self.take(job, future)
        return future

    def take(self, job: Job, future: _Future) -> None:
        """Take over a job that was accepted."""
        self._futures[id(job)] = future
        self._waiting.append(job)
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="postgres syncs")

    async def done(self) -> bool:
        """Return when nothing waits; whether anything did."""
        task = self._task
        if task is not None:
            await task
        return task is not None

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
        while jobs := [job for job in jobs if id(job) in self._futures]:
            try:
                async with self._connections.acquired() as connection:
                    jobs = await self._attempt(connection, jobs, lock=losses >= _LOCK_AFTER_LOSSES)
                losses += 1
            except (*CONTENDED, asyncpg.UniqueViolationError) as error:
                # Of a unique row: another node has just decided a sync with the same mutation id, of another dataset.
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
        if group is None:
            return []
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

    async def _decide_and_write(self, connection: Connection, jobs: list[Job]) -> tuple[Group | None, set[DatasetId]]:
        """What was decided of the jobs that belong here, if any do, and the datasets that were written."""
        loaded, jobs = self._ours(await self._load(connection, jobs), jobs)
        if not jobs:
            return None, set()
        group = Group(loaded, jobs)
        self._connections.found_epoch(group.epoch)
        if not group.changed:
            return group, set()
        group.sent()
        rows = await connection.fetch(self._connections.sql["write_syncs"], *group.write_arguments())
        return group, {DatasetId(row["id"].hex()) for row in rows}

    def _ours(self, rows: Sequence[Row], jobs: Sequence[Job]) -> tuple[list[Row], list[Job]]:
        """The jobs of datasets that are this lane's, each with its row; the others are moved."""
        ours: tuple[list[Row], list[Job]] = [], []
        for row, job in in_order(rows, jobs):
            owner = owner_in(row)
            if owner is not None and self._move(self, job, self._futures[id(job)], owner):
                del self._futures[id(job)]
            else:
                ours[0].append(row)
                ours[1].append(job)
        return ours

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

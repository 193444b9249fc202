"""The writer: one thread, and one fsync for all writes that wait.

While the disk is busy with one group of writes the next one gathers. Each job of a group is a savepoint of its own, so
that one that raises takes nothing of its neighbours with it; one COMMIT makes them all durable; only then does anyone
hear of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

import apsw

from syncline.errors import Overloaded, StoreUnavailable
from syncline.logs import get_logger
from syncline.metrics import Observe, unmeasured
from syncline.storage.sqlite_connections import BUSY_TIMEOUT_MILLISECONDS
from syncline.storage.sqlite_errors import unavailable
from syncline.storage.sqlite_writes import Writes

MAX_WAITING_JOBS = 10_000
MAX_GROUP_JOBS = 256
CHECKPOINT_PAGES = 1_000
"""Pages in the write-ahead log from which on it is copied into the database."""
RESTART_PAGES = 16_000
"""Pages in the write-ahead log from which on the writer waits for readers, so that the log can begin anew."""
_RESTART_WAIT_MILLISECONDS = 100
"""How long it waits for them: a back-up reads for as long as it takes, and no sync is to wait for that."""

_log = get_logger(__name__)

T = TypeVar("T")
Work = Callable[[Writes], T]


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    work: Work[T]
    future: asyncio.Future[T]
    accepted_at: float

    def returned(self, value: T) -> None:
        # A caller that was cancelled waits no more; what it asked for is done all the same.
        if not self.future.done():
            self.future.set_result(value)

    def raised(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


_Settle = Callable[[], None]


class Writer:
    """Runs jobs in write transactions, in the order they were accepted.

    Invariants: only the thread touches the connection; no future is settled before the COMMIT of its group returned or
    failed; every accepted job's future is settled.
    """

    def __init__(
        self,
        writes: Writes,
        *,
        max_waiting_jobs: int = MAX_WAITING_JOBS,
        max_group_jobs: int = MAX_GROUP_JOBS,
        checkpoint_pages: int = CHECKPOINT_PAGES,
        restart_pages: int = RESTART_PAGES,
        waited: Observe = unmeasured,
    ) -> None:
        """To be made on the event loop that will wait for the jobs. ``waited``: told, for each group,
        for how many seconds the first of it waited."""
        self._waited = waited
        self._writes = writes
        self._connection = writes.connection
        self._max_waiting_jobs = max_waiting_jobs
        self._max_group_jobs = max_group_jobs
        self._checkpoint_pages = checkpoint_pages
        self._restart_pages = restart_pages
        self._wal_pages = 0
        self._next_checkpoint = checkpoint_pages
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._waiting: deque[_Job[Any]] = deque()
        self._closed = False
        # In place of SQLite's own checkpoints, which would be paid for by whoever commits.
        self._connection.set_wal_hook(self._note_wal_pages)
        self._thread = threading.Thread(target=self._serve, name="syncline-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """What ``work`` returns, once it is durable; or what it raised, and then nothing of it was written.

        Cancelling the caller does not cancel the job. Raises Overloaded if too many wait, and StoreUnavailable if the
        database fails or the writer is closed.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        with self._changed:
            if self._closed:
                raise StoreUnavailable("it is closed")
            if len(self._waiting) >= self._max_waiting_jobs:
                raise Overloaded("too many writes are waiting")
            self._waiting.append(_Job(work, future, monotonic()))
            self._changed.notify()
        return await future

    def close(self) -> None:
        """Accept no more, and return when all that was accepted is done. Blocks; closing twice is harmless."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while group := self._next_group():
            self._waited(monotonic() - group[0].accepted_at)
            self._settle(self._commit(group))
            # Not before the callers have their answers: none of them needs to wait for it.
            self._checkpoint()

    def _next_group(self) -> Sequence[_Job[Any]]:
        """All jobs that wait, as many as a group may have; none: the writer is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_group_jobs))]

    def _commit(self, group: Sequence[_Job[Any]]) -> list[_Settle]:
        """Run the group in one transaction; how to settle each future now that its outcome is final."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            settles = [self._attempt(job) for job in group]
            self._connection.execute("COMMIT")
        except Exception as error:
            _log.warning("store_write_failed", error=type(error).__name__, jobs=len(group))
            self._roll_back()
            return [_raising(job, unavailable(error)) for job in group]
        return settles

    def _attempt(self, job: _Job[Any]) -> _Settle:
        self._connection.execute("SAVEPOINT job")
        try:
            value = job.work(self._writes)
        except Exception as error:
            if not self._connection.in_transaction:
                # The database gave up the whole group (a full disk, say): what the jobs before wrote is gone too.
                raise
            self._connection.execute("ROLLBACK TO job; RELEASE job")
            return _raising(job, unavailable(error) if isinstance(error, apsw.Error) else error)
        self._connection.execute("RELEASE job")
        return lambda: job.returned(value)

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            _log.error("store_rollback_failed", error=type(error).__name__)

    def _settle(self, settles: Sequence[_Settle]) -> None:
        def settle_all() -> None:
            for settle in settles:
                settle()

        try:
            self._loop.call_soon_threadsafe(settle_all)
        except RuntimeError:
            # The event loop is closed: nobody waits any more.
            return

    # --- the write-ahead log ------------------------------------------------------------------------------------------

    def _note_wal_pages(self, connection: apsw.Connection, database: str, pages: int) -> int:
        if pages < self._wal_pages:
            # The log began anew.
            self._next_checkpoint = self._checkpoint_pages
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        if self._wal_pages < self._next_checkpoint:
            return
        # Readers can keep the log from beginning anew; to try again with each commit would only cost.
        self._next_checkpoint = self._wal_pages + self._checkpoint_pages
        restart = self._wal_pages >= self._restart_pages
        self._connection.set_busy_timeout(_RESTART_WAIT_MILLISECONDS)
        try:
            self._connection.wal_checkpoint(
                mode=apsw.SQLITE_CHECKPOINT_RESTART if restart else apsw.SQLITE_CHECKPOINT_PASSIVE
            )
        except apsw.Error as error:
            # Nothing is lost: the log keeps what was not copied.
            _log.warning("store_checkpoint_failed", error=type(error).__name__)
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)


def _raising(job: _Job[Any], error: Exception) -> _Settle:
    return lambda: job.raised(error)

"""The readers: a few threads, each read a transaction of its own on a consistent snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from time import monotonic
from typing import TypeVar

import apsw

from syncline.errors import Overloaded, StoreUnavailable
from syncline.metrics import Observe, unmeasured
from syncline.storage.sqlite_errors import unavailable
from syncline.storage.sqlite_lookups import Lookups

MAX_WAITING_READS = 10_000

T = TypeVar("T")


class Readers:
    """As many reads at once as there are connections; the others wait."""

    def __init__(
        self,
        connections: Sequence[Lookups],
        *,
        max_waiting_reads: int = MAX_WAITING_READS,
        waited: Observe = unmeasured,
    ) -> None:
        """``waited``: told, in any thread, for how many seconds each read waited for its turn."""
        self.connections = len(connections)
        self._waited = waited
        self._idle: SimpleQueue[Lookups] = SimpleQueue()
        for lookups in connections:
            self._idle.put(lookups)
        self._pool = ThreadPoolExecutor(len(connections), thread_name_prefix="syncline-reader")
        self._max_reads = max_waiting_reads + len(connections)
        self._reads = 0
        self._closed = False

    @property
    def in_use(self) -> int:
        """Connections at work."""
        return min(self._reads, self.connections)

    async def run(self, read: Callable[[Lookups], T]) -> T:
        """What ``read`` returns, looking at what was committed before this was called, or later.

        Cancelling is safe. Raises Overloaded if too many wait, StoreUnavailable if the database fails or is closed.
        """
        if self._closed:
            raise StoreUnavailable("it is closed")
        if self._reads >= self._max_reads:
            raise Overloaded("too many reads are waiting")
        self._reads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, read, monotonic())
        finally:
            self._reads -= 1

    def stop_accepting(self) -> None:
        """Reads that begin from now on raise StoreUnavailable. To be called on the event loop."""
        self._closed = True

    def close(self) -> None:
        """Return when all reads that were accepted are done. Blocks; closing twice is harmless."""
        self._pool.shutdown(wait=True)

    def _read(self, read: Callable[[Lookups], T], asked_at: float) -> T:
        self._waited(monotonic() - asked_at)
        # There are as many connections as threads: this never waits.
        lookups = self._idle.get()
        try:
            return _in_snapshot(lookups, read)
        except apsw.Error as error:
            raise unavailable(error) from error
        finally:
            self._idle.put(lookups)


def _in_snapshot(lookups: Lookups, read: Callable[[Lookups], T]) -> T:
    lookups.connection.execute("BEGIN")
    try:
        return read(lookups)
    finally:
        if lookups.connection.in_transaction:
            lookups.connection.execute("ROLLBACK")

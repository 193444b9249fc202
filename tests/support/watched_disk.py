"""SQLite's way to the disk, with someone watching: what was synced when, and syncs that wait or fail on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import apsw

_names = count(1)


@dataclass(frozen=True, slots=True)
class Sync:
    """One fsync that returned. Times are those of ``time.perf_counter_ns``."""

    wal: bool
    began: int
    ended: int


class WatchedDisk(apsw.VFS):
    """To be given by its ``name`` to ``SqliteStore.open``. Everything goes to the real disk.

    Of a database's files the write-ahead log is the one whose sync makes a commit durable.
    """

    def __init__(self) -> None:
        self.name = f"watched-disk-{next(_names)}"
        self.syncs: list[Sync] = []
        self.failures = 0
        self.wal_sync_waits = threading.Event()
        self._wal_syncs_pass = threading.Event()
        self._wal_syncs_pass.set()
        self._wal_sync_error: apsw.Error | None = None
        self._wal_write_error: apsw.Error | None = None
        self._database_sync_error: apsw.Error | None = None
        super().__init__(self.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _WatchedFile:  # noqa: N802 - SQLite's name
        return _WatchedFile(self, name, flags)

    @property
    def wal_syncs(self) -> list[Sync]:
        return [sync for sync in self.syncs if sync.wal]

    @contextmanager
    def holding_wal_syncs(self) -> Iterator[None]:
        """Within it, syncs of the write-ahead log wait; ``wal_sync_waits`` is set once one does."""
        self.wal_sync_waits.clear()
        self._wal_syncs_pass.clear()
        try:
            yield
        finally:
            self.let_wal_syncs_pass()

    def let_wal_syncs_pass(self) -> None:
        self._wal_syncs_pass.set()

    @contextmanager
    def failing_wal_syncs(self, error: apsw.Error) -> Iterator[None]:
        """Within it, syncs of the write-ahead log fail."""
        self._wal_sync_error = error
        try:
            yield
        finally:
            self._wal_sync_error = None

    @contextmanager
    def failing_wal_writes(self, error: apsw.Error) -> Iterator[None]:
        """Within it, nothing can be written to the write-ahead log."""
        self._wal_write_error = error
        try:
            yield
        finally:
            self._wal_write_error = None

    @contextmanager
    def failing_database_syncs(self, error: apsw.Error) -> Iterator[None]:
        """Within it, the write-ahead log cannot be copied into the database for good."""
        self._database_sync_error = error
        try:
            yield
        finally:
            self._database_sync_error = None

    def sync_begins(self, *, wal: bool) -> None:
        if wal and not self._wal_syncs_pass.is_set():
            self.wal_sync_waits.set()
            if not self._wal_syncs_pass.wait(timeout=30):
                raise TimeoutError("nobody let the sync pass")
        error = self._wal_sync_error if wal else self._database_sync_error
        self._fail(error)

    def write_begins(self, *, wal: bool) -> None:
        self._fail(self._wal_write_error if wal else None)

    def _fail(self, error: apsw.Error | None) -> None:
        if error is not None:
            self.failures += 1
            raise error


class _WatchedFile(apsw.VFSFile):
    def __init__(self, disk: WatchedDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        began = time.perf_counter_ns()
        self._disk.sync_begins(wal=self._wal)
        super().xSync(flags)
        self._disk.syncs.append(Sync(self._wal, began, time.perf_counter_ns()))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.write_begins(wal=self._wal)
        super().xWrite(data, offset)

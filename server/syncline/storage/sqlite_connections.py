"""Connections to the database file, set so that what a COMMIT acknowledged is on disk."""

from __future__ import annotations

from pathlib import Path

import apsw

from syncline.errors import StartRefused

BUSY_TIMEOUT_MILLISECONDS = 5_000


def open_writable(path: Path, vfs: str | None, *, create: bool) -> apsw.Connection:
    """A connection that may write. Nothing is read from the file yet, and nothing written."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)
    return connection


def make_durable(connection: apsw.Connection, path: Path) -> None:
    """From here on a COMMIT returns only after its pages are on disk.

    Raises StartRefused if the file cannot have a write-ahead log.
    """
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StartRefused(f"{path} cannot have a write-ahead log: its folder's file system lacks what that needs")
    connection.pragma("synchronous", "full")
    # Apple's fsync does not reach the disk; elsewhere this changes nothing.
    connection.pragma("fullfsync", True)
    connection.pragma("foreign_keys", True)


def open_reader(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection that cannot write, to a file that has a write-ahead log."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)
    return connection

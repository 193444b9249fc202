"""The database file as this process holds it: locked, checked, migrated, and open."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from syncline.core.audit import AuditAct
from syncline.core.ids import Epoch
from syncline.errors import StartRefused
from syncline.storage.migrations import Migration, load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.sqlite_connections import make_durable, open_reader, open_writable
from syncline.storage.sqlite_lock import FileLock
from syncline.storage.sqlite_lookups import Lookups
from syncline.storage.sqlite_migrations import check_file, migrate
from syncline.storage.sqlite_writes import Writes

READERS = 3


@dataclass(frozen=True, slots=True)
class Database:
    """``close`` lets go of everything, the lock last."""

    writes: Writes
    readers: Sequence[Lookups]
    epoch: Epoch
    _open: ExitStack

    def close(self) -> None:
        self._open.close()


def open_database(
    path: Path, vfs: str | None, migrations: Sequence[Migration] | None = None, *, shared: bool = False
) -> Database:
    """Open the file, which may be new; ``shared`` with other processes that share it. Blocks.

    Raises StartRefused if another process has it, if it is no database of ours, or if it cannot be opened; StoreTooNew
    if it is a newer Syncline's.
    """
    path = path.resolve()
    sql = load_queries("sqlite")
    known = load_migrations("sqlite") if migrations is None else migrations
    try:
        with ExitStack() as stack:
            stack.enter_context(FileLock(path, shared=shared))
            writer = open_writable(path, vfs, create=True)
            stack.callback(writer.close)
            found = check_file(writer, path, known)
            make_durable(writer, path)
            migrate(writer, found, known)
            readers = [open_reader(path, vfs) for _ in range(READERS)]
            for reader in readers:
                stack.callback(reader.close)
            writes = Writes(writer, sql)
            return Database(
                writes=writes,
                readers=[Lookups(reader, sql) for reader in readers],
                epoch=writes.epoch(),
                _open=stack.pop_all(),
            )
    except apsw.Error as error:
        raise StartRefused(f"cannot open {path}: {type(error).__name__}: {error}") from error


def schema_of(path: Path) -> int:
    """The schema that the file has; 0 if there is none. Nothing is written, and a server may have it. Blocks.

    Raises StartRefused if it is no database of ours, StoreTooNew if it is a newer Syncline's.
    """
    path = path.resolve()
    if not path.exists():
        return 0
    try:
        with closing(open_writable(path, None, create=False)) as connection:
            connection.pragma("query_only", True)
            return check_file(connection, path, load_migrations("sqlite"))
    except apsw.Error as error:
        raise StartRefused(f"cannot open {path}: {type(error).__name__}: {error}") from error


def migrate_file(path: Path) -> int:
    """Lead the file, which may be new, to the schema this code knows; from which one it came. Blocks.

    Raises as ``open_database``.
    """
    path = path.resolve()
    known = load_migrations("sqlite")
    try:
        with FileLock(path), closing(open_writable(path, None, create=True)) as connection:
            found = check_file(connection, path, known)
            make_durable(connection, path)
            migrate(connection, found, known)
            return found
    except apsw.Error as error:
        raise StartRefused(f"cannot open {path}: {type(error).__name__}: {error}") from error


def renew(connection: apsw.Connection, act: AuditAct) -> Epoch:
    """Give the log a new identity, and note that an operator did; an older schema has no place for the note."""
    sql = load_queries("sqlite", "files")
    with connection:
        epoch = Epoch(str(connection.execute(load_queries("sqlite")["renew_epoch"]).get))
        if connection.execute(sql["has_audit"]).get:
            connection.execute(sql["audit_of_command"], {"act": act.value})
    return epoch


def renew_epoch(path: Path, vfs: str | None = None) -> Epoch:
    """Give the log of a restored file a new identity, so that every device resyncs instead of trusting its checkpoint.

    Blocks. Raises StartRefused while a server has the file, and if it is no database of ours.
    """
    path = path.resolve()
    if not path.is_file():
        raise StartRefused(f"there is no {path}")
    try:
        with FileLock(path), ExitStack() as stack:
            connection = open_writable(path, vfs, create=False)
            stack.callback(connection.close)
            if check_file(connection, path, load_migrations("sqlite")) == 0:
                raise StartRefused(f"{path} is empty")
            make_durable(connection, path)
            return renew(connection, AuditAct.RENEW_EPOCH)
    except apsw.Error as error:
        raise StartRefused(f"cannot open {path}: {type(error).__name__}: {error}") from error

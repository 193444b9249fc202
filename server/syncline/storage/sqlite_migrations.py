"""The numbered steps that lead an empty file, or an older one, to the schema this code knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw

from syncline.errors import StartRefused, StoreTooNew
from syncline.storage.migrations import Migration

APPLICATION_ID = 0x53594E43
"""Marks a file as ours in SQLite's header; reads "SYNC"."""

_LEAST_DATABASE_BYTES = 512


def check_file(connection: apsw.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    """The schema that the file has; 0 for a new one. Nothing is written.

    Raises StartRefused for a file that is no database of ours, StoreTooNew for one of a newer Syncline.
    """
    if path.is_file() and 0 < path.stat().st_size < _LEAST_DATABASE_BYTES:
        # SQLite would take it for an empty one, and overwrite it.
        raise StartRefused(f"{path} is not a database")
    try:
        # At one moment: another process that shares the file may just be making it.
        connection.execute("SAVEPOINT look")
        application = connection.pragma("application_id")
        found = connection.pragma("user_version")
        empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
        connection.execute("RELEASE look")
    except apsw.NotADBError as error:
        raise StartRefused(f"{path} is not a database") from error
    if application == 0 and found == 0 and empty:
        return 0
    if application != APPLICATION_ID or not isinstance(found, int) or found < 1:
        raise StartRefused(f"{path} is a database, but not one of Syncline's")
    if found > len(migrations):
        raise StoreTooNew(path=str(path), found=found, known=len(migrations))
    return found


def migrate(connection: apsw.Connection, found: int, migrations: Sequence[Migration]) -> None:
    """Apply the steps behind ``found``, each wholly or not at all."""
    for migration in migrations[found:]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if int(str(connection.pragma("user_version"))) >= migration.number:
                # Another process that shares the file was faster.
                continue
            connection.execute(migration.sql)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", migration.number)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

"""Backing up the database while a server has it, and putting a backup back in its place."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import apsw

from syncline.core.audit import AuditAct
from syncline.errors import StartRefused
from syncline.storage.sqlite_connections import open_writable
from syncline.storage.sqlite_database import renew
from syncline.storage.sqlite_files import (
    COMPANIONS,
    Contents,
    companion,
    copy_pages,
    file_to_be,
    finish_copy,
    put_in_place,
    reading,
    reading_copy,
    refusing,
)
from syncline.storage.sqlite_lock import FileLock


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """``kept``: where the database is now that was there before."""

    contents: Contents
    kept: Path | None


def back_up(database: Path, to: Path, *, force: bool) -> Contents:
    """Write all that is committed to the file ``to``, which then needs nothing beside it. Blocks.

    A server may have the database: it is not held up. Raises StartRefused, also for a file that is there, unless
    ``force``.
    """
    database, to = database.resolve(), to.resolve()
    if to in {database, *(companion(database, suffix) for suffix in COMPANIONS)}:
        raise StartRefused(f"{to} is the database itself")
    if to.is_dir():
        raise StartRefused(f"{to} is a folder; name a file")
    if to.exists() and not force:
        raise StartRefused(f"{to} is there already; --force overwrites it")
    with refusing(f"back up {database} to {to}"), file_to_be(to) as new:
        with reading(database) as source:
            copy_pages(source, new)
        contents = finish_copy(new, told_as=database)
        put_in_place(new, to)
    return contents


def restore(file: Path, database: Path, *, force: bool, now: datetime) -> Restored:
    """Put the backup ``file`` in the place of ``database``, with a new epoch. Blocks.

    No server may have the database. What is there is kept under another name, and only ``force`` allows that. Raises
    StartRefused and then has changed nothing; StoreTooNew for a backup of a newer Syncline.
    """
    database = database.resolve()
    if not database.parent.is_dir():
        # Made only for a backup that is worth it.
        with refusing(f"read {file}"), reading_copy(file):
            pass
    with refusing(f"restore {file} to {database}"):
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(database), file_to_be(database) as new:
            if database.exists():
                if file.exists() and file.samefile(database):
                    raise StartRefused(f"{file} is the database itself")
                if not force:
                    raise StartRefused(f"{database} is there already; --force sets it aside")
            try:
                with reading_copy(file) as source:
                    copy_pages(source, new)
            except apsw.CorruptError as error:
                raise StartRefused(f"{file} is damaged: {error}") from error
            contents = finish_copy(new, told_as=file, renew=lambda copy: renew(copy, AuditAct.RESTORE))
            kept = _set_aside(database, now)
            put_in_place(new, database)
    return Restored(contents=contents, kept=kept)


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Give the database another name beside the one it has, and leave nothing that SQLite would take for the new one's.

    Until the new file takes its name it is still there: there is no moment without a database.
    """
    kept = None
    if database.exists():
        kept = database.with_name(f"{database.name}.replaced-{now:%Y%m%dT%H%M%S.%fZ}")
        _take_in_log(database)
        os.link(database, kept)
    for suffix in COMPANIONS:
        beside = companion(database, suffix)
        if not beside.exists():
            continue
        if kept is None or suffix == "-shm" or beside.stat().st_size == 0:
            beside.unlink()
        else:
            beside.replace(companion(kept, suffix))
    return kept


def _take_in_log(database: Path) -> None:
    """Write what is in the write-ahead log into the database, and empty it."""
    try:
        with closing(open_writable(database, None, create=False)) as connection:
            # Closing would remove the log of a damaged database as well.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            # Not before it reads does it look for the log.
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error:
        # It may be damaged, which is why somebody restores: then the log is kept as it is, beside it.
        return

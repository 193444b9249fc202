"""A database file that is made from another: as of one moment, healthy, and on disk before it has its name."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from syncline.core.ids import Epoch
from syncline.errors import StartRefused
from syncline.storage.migrations import load_migrations
from syncline.storage.named_queries import load_queries
from syncline.storage.sqlite_connections import open_writable
from syncline.storage.sqlite_migrations import check_file

COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file while it has it open, or after it was killed."""
_PAGES_PER_STEP = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in a database file."""

    size_bytes: int
    epoch: Epoch
    datasets: int
    records: int
    """Without the removed ones."""


def companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """A look at the database as of now, whatever a server writes to it meanwhile; the server is not held up.

    Raises StartRefused if there is none of ours, StoreTooNew for one of a newer Syncline.
    """
    if not path.is_file():
        raise StartRefused(f"there is no {path}")
    with closing(open_writable(path, None, create=False)) as connection:
        connection.pragma("query_only", True)
        with _one_moment(connection, path):
            yield connection


@contextmanager
def reading_copy(path: Path) -> Iterator[apsw.Connection]:
    """A look at a file that no server has, and that may be where nothing can be written. Raises as ``reading``."""
    if not path.is_file():
        raise StartRefused(f"there is no file {path}")
    # Beside an immutable file SQLite looks for nothing, so it must not be one that was left behind by a crash.
    left = any(companion(path, suffix).exists() for suffix in COMPANIONS)
    name = path.resolve().as_uri() + ("" if left else "?immutable=1")
    with (
        closing(apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as connection,
        _one_moment(connection, path),
    ):
        yield connection


@contextmanager
def _one_moment(connection: apsw.Connection, path: Path) -> Iterator[None]:
    connection.execute("BEGIN")
    if check_file(connection, path, load_migrations("sqlite")) == 0:
        raise StartRefused(f"{path} is empty")
    yield
    connection.execute("COMMIT")


@contextmanager
def file_to_be(path: Path) -> Iterator[Path]:
    """An empty file beside ``path``, for its owner's eyes only; gone at the end unless it was put in place."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        yield new
    finally:
        for each in (new, *(companion(new, suffix) for suffix in COMPANIONS)):
            each.unlink(missing_ok=True)


def copy_pages(source: apsw.Connection, path: Path) -> None:
    """Make the empty file ``path`` what ``source`` reads. A transaction must be open on it.

    It sees one moment as long as that is open: no step has to begin anew because somebody writes.
    """
    with closing(open_writable(path, None, create=False)) as target:
        # Whoever finds half a copy after a crash finds it under a name that nobody uses.
        target.pragma("journal_mode", "off")
        target.pragma("synchronous", "off")
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(_PAGES_PER_STEP)


def finish_copy(path: Path, *, told_as: Path, renew: Callable[[apsw.Connection], Epoch] | None = None) -> Contents:
    """Check the copy, and let it need no other file beside it; ``renew``: gives it its epoch.

    Raises StartRefused if ``told_as`` is damaged.
    """
    sql = load_queries("sqlite")
    with closing(open_writable(path, None, create=False)) as connection:
        connection.pragma("journal_mode", "delete")
        fault = str(connection.execute("PRAGMA integrity_check(1)").get)
        if fault != "ok":
            raise StartRefused(f"{told_as} is damaged: {fault.splitlines()[-1]}")
        epoch = connection.execute(sql["epoch"]).get if renew is None else renew(connection)
        datasets, records = connection.execute(load_queries("sqlite", "files")["contents"]).get
    return Contents(size_bytes=path.stat().st_size, epoch=Epoch(epoch), datasets=datasets, records=records)


def put_in_place(new: Path, path: Path) -> None:
    """Give the file its name, once its content is on disk; what had the name is gone."""
    _sync(new)
    new.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Apple's fsync does not reach the disk.
        full = getattr(fcntl, "F_FULLFSYNC", None)
        if full is None or path.is_dir():
            os.fsync(descriptor)
        else:
            fcntl.fcntl(descriptor, full)
    finally:
        os.close(descriptor)


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """What the disk or SQLite refuses inside, as StartRefused."""
    try:
        yield
    except apsw.Error as error:
        raise StartRefused(f"cannot {what}: {type(error).__name__}: {error}") from error
    except OSError as error:
        raise StartRefused(f"cannot {what}: {error.strerror or type(error).__name__}") from error

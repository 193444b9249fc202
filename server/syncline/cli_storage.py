"""The commands that an operator uses on the data: ``migrate``, ``backup``, ``restore``, ``copy`` and ``epoch renew``.

All but ``copy`` are for the store that the settings name: PostgreSQL if there is an address, else the SQLite file.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from syncline import logs
from syncline.config import DATABASE_FILE, Settings, load, variable
from syncline.core.audit import AuditAct
from syncline.errors import StartRefused

NEEDED = 1
"""The exit code of ``migrate --check`` if there is something to do."""

_URL = variable("database_url")
_DOCUMENTED = "docs/operations.md"
_LINE_EVERY_SECONDS = 10.0

DataFolder = Annotated[str | None, typer.Option("--data", metavar="<folder>", help="The server's data folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (migrate, backup, restore, copy):
        app.command(command.__name__)(command)
    epoch = typer.Typer(help="The identity of a server's log.", rich_markup_mode=None)
    epoch.callback()(_epoch)
    epoch.command("renew")(renew_epoch)
    app.add_typer(epoch, name="epoch")


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if there is something to do.")
    ] = False,
    data: DataFolder = None,
) -> None:
    """Lead the database to the schema of this version, as the next start of a server would.

    It is the one at SYNCLINE_DATABASE_URL, else the SQLite file in the data folder, which no server may have.
    """
    from syncline.storage.migrations import load_migrations
    from syncline.storage.sqlite_database import migrate_file, schema_of

    settings = settings_of(data)
    url = url_of(settings)
    if url is not None:
        from syncline.storage import postgres_administration as postgres

        found = asyncio.run(postgres.schema_of(url) if check else postgres.migrate_database(url))
        place, known = "the PostgreSQL database", len(load_migrations("postgres"))
    else:
        if not check:
            _make_folder(settings.data)
        found = schema_of(settings.database) if check else migrate_file(settings.database)
        place, known = str(settings.database), len(load_migrations("sqlite"))
    if found == known:
        typer.echo(f"{place} is already at schema {known}")
    elif check:
        typer.echo(f"{place} is at schema {found}; this version needs {known}")
        raise typer.Exit(NEEDED)
    else:
        typer.echo(f"{place}: schema {found} to {known}")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it needs no other file beside it.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it is there.")] = False,
    data: DataFolder = None,
) -> None:
    """Write the SQLite database to one file as it is now. A server may have it, and is not held up.

    The copy is checked before it gets its name. PostgreSQL has tools of its own: pg_dump and pg_basebackup.
    """
    from syncline.storage.sqlite_backup import back_up

    settings = settings_of(data)
    if settings.database_url is not None:
        raise StartRefused(
            f"{_URL} is set: back up PostgreSQL with its own pg_dump or pg_basebackup, as {_DOCUMENTED} says"
        )
    contents = back_up(settings.database, file, force=force)
    typer.echo(f"{file}: {_counted(contents)}")
    typer.echo(f"epoch {contents.epoch}")


def restore(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="With SQLite: what `syncline backup` wrote.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Set a database aside that is there already.")] = False,
    data: DataFolder = None,
) -> None:
    """Put a backup in the place of the SQLite database. The log gets a new epoch, so that all devices resync.

    No server may have the database. With SYNCLINE_DATABASE_URL, restore with pg_restore first; then this command,
    without FILE, gives the log there its new epoch.
    """
    settings = settings_of(data)
    if settings.database_url is not None:
        if file is not None:
            raise StartRefused(
                f"{_URL} is set: restore PostgreSQL with its own pg_restore, then run this command without FILE"
            )
        typer.echo(f"epoch {_renewed(settings, AuditAct.RESTORE)}")
        return
    if file is None:
        raise StartRefused(f"name the FILE to restore; only with {_URL} there is none")
    from syncline.storage.sqlite_backup import restore as restore_file

    restored = restore_file(file, settings.database, force=force, now=datetime.now(UTC))
    typer.echo(f"{settings.database}: {_counted(restored.contents)}")
    if restored.kept is not None:
        typer.echo(f"what was there is now {restored.kept}")
    typer.echo(f"epoch {restored.contents.epoch}")


def copy(
    from_: Annotated[
        str, typer.Option("--from", metavar="sqlite:<path>", help="The SQLite file, or the data folder it is in.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="<url>",
            help="postgresql://user@host:port/name of an empty database. Without it, SYNCLINE_DATABASE_URL: command "
            "lines can be read by others, so a password is better off there.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop what an unfinished copy left, and begin anew.")
    ] = False,
) -> None:
    """Copy everything from SQLite to PostgreSQL, the epoch too, so that devices go on as if nothing had happened.

    No server may have either. If it is cut short, the same command goes on where it was. At the end both sides are
    read and compared; until then no server starts on the target.
    """
    source, url = _source(from_), _target(to)
    from syncline.storage.copying import copy as copy_database

    began = time.monotonic()
    with _Progress() as progress:
        copied = asyncio.run(copy_database(source, url, progress.report, restart=restart))
    seconds = time.monotonic() - began
    rows = ", ".join(f"{count:,} {name}" for name, count in copied.rows.items())
    typer.echo(f"{rows}: equal on both sides, checksum {copied.checksum}")
    typer.echo(f"{copied.written:,} rows written in {seconds:.1f} s")
    typer.echo(f"epoch {copied.epoch}")
    typer.echo(f"Should a server ever use {source} again, run `syncline epoch renew` on it first.", err=True)


def renew_epoch(data: DataFolder = None) -> None:
    """Give the log a new identity after a backup was restored, so that devices that knew more resync.

    The log is that at SYNCLINE_DATABASE_URL, else that of the SQLite file in the data folder, which no server may
    have. Prints the new epoch.
    """
    typer.echo(_renewed(settings_of(data), AuditAct.RENEW_EPOCH))


def _renewed(settings: Settings, act: AuditAct) -> str:
    url = url_of(settings)
    if url is not None:
        from syncline.storage.postgres_administration import renew_epoch as renew_in_postgres

        return asyncio.run(renew_in_postgres(url, act))
    from syncline.storage.sqlite_database import renew_epoch as renew_in_sqlite

    return renew_in_sqlite(settings.database)


def settings_of(data: str | None) -> Settings:
    """The settings of a command, whose logs are as they say."""
    settings = load({"data": data})
    logs.configure(level=settings.log_level, format=settings.log_format)
    return settings


def url_of(settings: Settings) -> str | None:
    """The address of the database; None: it is a SQLite file."""
    return None if settings.database_url is None else settings.database_url.get_secret_value()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"data: {folder} cannot be made a folder: {error.strerror}") from error


def _source(from_: str) -> Path:
    scheme, _, path = from_.partition(":")
    if scheme != "sqlite" or not path:
        raise StartRefused("--from: copies are made from sqlite:<path> to postgresql://…, and in no other direction")
    given = Path(path).expanduser()
    return given / DATABASE_FILE if given.is_dir() else given


def _target(to: str | None) -> str:
    if to is None:
        url = url_of(settings_of(None))
        if url is None:
            raise StartRefused(f"name the target with --to, or set {_URL}")
        return url
    if not to.startswith(("postgresql://", "postgres://")):
        raise StartRefused("--to: copies are made from sqlite:<path> to postgresql://…, and in no other direction")
    settings_of(None)
    return to


def _counted(contents: Any) -> str:
    return f"{contents.size_bytes:,} bytes, {contents.datasets:,} datasets, {contents.records:,} records"


def _epoch() -> None:
    """The identity of a server's log."""


class _Progress:
    """A bar on standard error if that is a terminal, else a line there now and then."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""
        self._said = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def report(self, stage: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self._draw(stage, done, total)
        elif time.monotonic() >= self._said + _LINE_EVERY_SECONDS:
            self._said = time.monotonic()
            typer.echo(f"{stage}: {done:,} of {total:,} rows", err=True)

    def _draw(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.__exit__()
            self._stage = stage
            self._bar = typer.progressbar(length=total, label=stage, file=sys.stderr).__enter__()
        self._bar.update(done - self._bar.pos)

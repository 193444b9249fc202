"""The commands ``identity export``, ``identity erase`` and ``audit``. Servers may use the store meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TypeVar

import msgspec
import typer

from syncline import __version__
from syncline.cli_storage import DataFolder, settings_of, url_of
from syncline.core.audit import AuditAct, AuditEntry
from syncline.core.ids import NO_TENANT, IdentityId, dataset_id, identity_id, shown, tenant, tenant_of
from syncline.errors import InvalidInput, StartRefused

if TYPE_CHECKING:
    from syncline.storage.beside import Beside

NOT_ALL = 1
"""The exit code of ``erase`` if something is left."""

OPERATOR = "cli"

T = TypeVar("T")

IdentityArgument = Annotated[str, typer.Argument(metavar="IDENTITY", help="The identity's id.")]
TenantOption = Annotated[str | None, typer.Option(help="The tenant, where tenants are told apart.")]


def register(app: typer.Typer) -> None:
    """Add the command ``audit`` to ``app``."""
    app.command("audit")(audit)


def add_to(identity: typer.Typer) -> None:
    """Add the commands about one identity to their group."""
    identity.command("export")(export)
    identity.command("erase")(erase)


def export(
    identity: IdentityArgument,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; without it, to standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it is there.")] = False,
    tenant: TenantOption = None,
    data: DataFolder = None,
) -> None:
    """Write all that is held about an identity, as lines of JSON. A server may have the store, and is not held up.

    It is as of one moment. FILE gets its name when all of it is there, and only its owner may read it. The audit log
    has an entry of it.
    """
    from syncline.storage.sqlite_files import file_to_be, put_in_place, refusing

    whose = _whose(identity, tenant)
    if output is not None:
        if output.is_dir():
            raise StartRefused(f"{output} is a folder; name a file")
        if output.exists() and not force:
            raise StartRefused(f"{output} is there already; --force overwrites it")

    async def write(beside: Beside) -> int:
        if output is None:
            return await _export(beside, whose, sys.stdout.buffer)
        with file_to_be(output.resolve()) as new:
            with new.open("wb") as to:
                count = await _export(beside, whose, to)
            put_in_place(new, output.resolve())
        return count

    with refusing(f"write {output or 'to standard output'}"):
        count = _run(data, write)
    if output is not None:
        typer.echo(f"{output}: {count:,} bytes")


def erase(
    identity: IdentityArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option(
            help="With SQLite: write the file anew if the identity is in it yet, in space that is free or in what "
            "others wrote. A server's writes wait for that."
        ),
    ] = True,
    tenant: TenantOption = None,
    data: DataFolder = None,
) -> None:
    """Remove all that is held about an identity, and look whether nothing is left. It cannot be undone.

    Servers may use the store: they refuse the identity's credentials from then on, and close its WebSockets within a
    second. If it is cut short, the same command goes on. Exit code 1: something is left; call it again.
    """
    whose = _whose(identity, tenant)
    if not yes:
        if not sys.stdin.isatty():
            raise StartRefused("erasing cannot be undone: say --yes, there is no terminal to ask on")
        typer.confirm(f"Remove all that is held about {shown(whose)}? It cannot be undone.", abort=True, err=True)

    async def remove(beside: Beside) -> bool:
        from syncline.storage.erasing import erase as erase_all

        removed = await erase_all(beside, whose, operator=OPERATOR, now=datetime.now(UTC))
        counts = ", ".join(f"{count:,} {what}" for what, count in removed.counts.items() if count)
        typer.echo(f"removed: {counts or 'nothing was held'}")
        if removed.left:
            typer.echo(f"not all is gone: it is yet in {', '.join(removed.left)}; call this again", err=True)
            return False
        typer.echo("verified: the identity is in no table any more")
        return await _scrub(beside, whose, vacuum=vacuum)

    if not _run(data, remove):
        raise typer.Exit(NOT_ALL)


def audit(
    since: Annotated[
        str | None, typer.Option(metavar="<time>", help="Only what was done from then on: ISO 8601, UTC by default.")
    ] = None,
    identity: Annotated[str | None, typer.Option(help="Only what it did, or what was done to it.")] = None,
    dataset: Annotated[str | None, typer.Option(metavar="<id>", help="Only what was done to it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    tenant: TenantOption = None,
    data: DataFolder = None,
) -> None:
    """Print the audit log: acts of sharing and administration, the oldest first."""
    from syncline.storage.auditing import AuditFilter, entries

    wanted = AuditFilter(
        since=None if since is None else _time(since),
        identity=None if identity is None else _whose(identity, tenant),
        dataset=None if dataset is None else dataset_id(dataset),
    )

    async def show(beside: Beside) -> None:
        async with aclosing(entries(beside, wanted)) as found:
            async for entry in found:
                typer.echo(msgspec.json.encode(entry).decode() if as_json else _sentence(entry))

    _run(data, show)


async def _export(beside: Beside, identity: IdentityId, to: BinaryIO) -> int:
    from syncline.service.identity_export import export_lines
    from syncline.storage.auditing import note
    from syncline.storage.exporting import held

    now, count = datetime.now(UTC), 0
    await note(
        beside,
        AuditEntry(
            at=now, tenant=tenant_of(identity), operator=OPERATOR, act=AuditAct.EXPORT_IDENTITY, subject=identity
        ),
    )
    async with aclosing(held(beside, identity)) as rows:
        lines: AsyncIterator[bytes] = export_lines(rows, identity, version=__version__, now=now)
        async for line in lines:
            to.write(line)
            count += len(line)
    to.flush()
    return count


async def _scrub(beside: Beside, identity: IdentityId, *, vacuum: bool) -> bool:
    """Whether nothing of it is in the files either, as far as they are ours."""
    scrubbed = await beside.scrub(identity, rewrite=vacuum)
    if scrubbed is None:
        typer.echo("dead rows, the write-ahead log and backups are PostgreSQL's: see docs/privacy.md")
    elif not scrubbed.places:
        typer.echo("verified: it is nowhere in the database's files")
    elif scrubbed.live:
        typer.echo(f"its text stands in the database's file {scrubbed.places} times, in what others wrote")
    else:
        typer.echo(
            f"its text stands in the database's files {scrubbed.places} times yet, in space that is free or in what "
            "others wrote; call this again, with --vacuum",
            err=True,
        )
        return False
    return True


def _run(data: str | None, work: Callable[[Beside], Awaitable[T]]) -> T:
    settings = settings_of(data)
    url = url_of(settings)

    def opened() -> AbstractAsyncContextManager[Beside]:
        if url is None:
            from syncline.storage.beside import beside_sqlite

            return beside_sqlite(settings.database)
        from syncline.storage.beside_postgres import beside_postgres

        return beside_postgres(url)

    async def run() -> T:
        async with opened() as beside:
            return await work(beside)

    return asyncio.run(run())


def _whose(identity: str, of: str | None) -> IdentityId:
    return identity_id(identity, NO_TENANT if of is None else tenant(of))


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("--since", "must be a time like 2026-03-01 or 2026-03-01T12:30:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _sentence(entry: dict[str, Any]) -> str:
    who = f"operator {entry['operator']}" if entry["actor"] is None else str(entry["actor"])
    if entry["actorDevice"] is not None:
        who += f" on {entry['actorDevice']}"
    parts = [str(entry["at"]), f"tenant {entry['tenant']}" if entry["tenant"] else "", who, str(entry["act"])]
    parts.append("" if entry["dataset"] is None else f"dataset {entry['dataset']}")
    parts.append("" if entry["subject"] is None else f"identity {entry['subject']}")
    details = msgspec.json.decode(bytes(entry["details"]))
    parts += [f"{name} {value}" for name, value in details.items()]
    return "  ".join(filter(None, parts))

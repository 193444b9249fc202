"""The device's own commands: ``get``, ``put``, ``remove``, ``sync``, ``watch`` and ``export``.

Data goes to stdout, remarks to stderr. Exit codes: 0 done; 1 ``get`` found no record; 2 failed; 3 a decision is needed:
conflicts remain, or edits were parked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from syncline.client.command_options import (
    DEFAULT_SERVER,
    CacheFile,
    Caller,
    Data,
    DeviceOption,
    Identity,
    Offline,
    Server,
    Token,
)
from syncline.client.dataset import Dataset, canonical
from syncline.client.errors import ServerUnreachable
from syncline.client.handlers import OnConflict
from syncline.client.models import KEEP_MINE, KEEP_THEIRS, DatasetGone, Disconnected, Ready, RecordChange, SyncReport
from syncline.core.json_values import json_text, parsed, same_value
from syncline.errors import InvalidInput

NOT_FOUND = 1
UNDECIDED = 3
_DEVICE = "cli"
_MISSING: Any = object()
_T = TypeVar("_T")


class OnConflictOption(StrEnum):
    """What to do about an edit whose record someone else changed."""

    MINE = "mine"
    THEIRS = "theirs"
    REPORT = "report"


DatasetName = Annotated[str, typer.Argument(metavar="DATASET")]
Key = Annotated[str, typer.Argument(metavar="KEY")]
ConflictOption = Annotated[
    OnConflictOption,
    typer.Option("--on-conflict", help="Whose state stays when others changed a record; report: exit code 3."),
]


def register(app: typer.Typer) -> None:
    """Add the device's commands to ``app``."""
    for command in (get, put, remove, sync, watch, export):
        app.command(command.__name__)(command)


def get(
    dataset: DatasetName,
    key: Key,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    identity: Identity = None,
    device: DeviceOption = _DEVICE,
    data: Data = None,
    cache: CacheFile = None,
    offline: Offline = False,
) -> None:
    """Print a record's value as JSON. Exit code 1: there is no such record."""

    async def run(local: Dataset) -> Any:
        if not offline:
            try:
                await local.synchronize()
            except ServerUnreachable as error:
                _remark(f"{error.message}; this is what the device has")
        return local.get(key, _MISSING)

    value = _with_dataset(_caller(server, token, identity, device, data, cache), dataset, run)
    if value is _MISSING:
        _remark(f"no record {key!r} in {dataset!r}")
        raise typer.Exit(NOT_FOUND)
    typer.echo(canonical(value))


def put(
    dataset: DatasetName,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="JSON")],
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    identity: Identity = None,
    device: DeviceOption = _DEVICE,
    data: Data = None,
    cache: CacheFile = None,
    offline: Offline = False,
    on_conflict: ConflictOption = OnConflictOption.REPORT,
) -> None:
    """Put a record. If the server cannot be reached, the edit is kept and sent by the next command that reaches it."""
    new = _json(value.encode(), "JSON")

    async def run(local: Dataset) -> None:
        await _edit(local, lambda: local.put(key, new), offline=offline, on_conflict=on_conflict)

    _with_dataset(_caller(server, token, identity, device, data, cache), dataset, run)


def remove(
    dataset: DatasetName,
    key: Key,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    identity: Identity = None,
    device: DeviceOption = _DEVICE,
    data: Data = None,
    cache: CacheFile = None,
    offline: Offline = False,
    on_conflict: ConflictOption = OnConflictOption.REPORT,
) -> None:
    """Remove a record. If the server cannot be reached, the edit is kept, as with `put`."""

    async def run(local: Dataset) -> None:
        await _edit(local, lambda: local.remove(key), offline=offline, on_conflict=on_conflict)

    _with_dataset(_caller(server, token, identity, device, data, cache), dataset, run)


def sync(
    dataset: Annotated[str, typer.Option("--dataset", metavar="<name>", help="The dataset.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE.json]", help="An object of key to value, or an array of {key, value}."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    identity: Identity = None,
    device: DeviceOption = _DEVICE,
    data: Data = None,
    cache: CacheFile = None,
    on_conflict: ConflictOption = OnConflictOption.REPORT,
    wait: Annotated[
        float, typer.Option("--wait", metavar="<seconds>", help="Keep trying this long to reach the server.")
    ] = 10.0,
) -> None:
    """Push what is pending, and the records of FILE.json that differ; pull what is missing. Prints what was done."""
    wanted = {} if file is None else _records(file)

    async def run(local: Dataset) -> SyncReport:
        deadline = time.monotonic() + wait
        try:
            pulled = await _synchronized(local, on_conflict, deadline)
        except ServerUnreachable:
            _put_differing(local, wanted)
            raise
        if not _put_differing(local, wanted):
            return pulled
        return _joined(pulled, await _synchronized(local, on_conflict, deadline))

    report = _with_dataset(_caller(server, token, identity, device, data, cache), dataset, run)
    typer.echo(
        canonical(
            {
                "dataset": report.dataset,
                "pushed": report.pushed,
                "pulled": report.pulled,
                "merged": report.merged,
                "resolved": report.resolved,
                "conflicts": [conflict.key for conflict in report.conflicts],
                "parked": [{"key": edit.key, "code": edit.code} for edit in report.parked],
            }
        )
    )
    _require_decided(report)


def watch(
    dataset: DatasetName,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    identity: Identity = None,
    device: DeviceOption = _DEVICE,
    data: Data = None,
    cache: CacheFile = None,
) -> None:
    """Print each record that changes as a line of JSON, those missed first. Connects again by itself; Ctrl-C ends."""

    async def run(local: Dataset) -> None:
        async with aclosing(local.events()) as events:
            async for event in events:
                match event:
                    case Ready():
                        _line({"ready": True, "resumed": event.resumed})
                    case RecordChange():
                        author = event.author
                        _line(
                            {
                                "key": event.key,
                                "value": event.value,
                                "deleted": event.deleted,
                                "version": event.version,
                                "identity": None if author is None else author.identity,
                                "device": None if author is None else author.device,
                            }
                        )
                    case DatasetGone():
                        _line({"datasetDeleted": event.name})
                    case Disconnected():
                        _remark(f"{event.reason}; connecting again")

    try:
        _with_dataset(_caller(server, token, identity, device, data, cache), dataset, run)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def export(
    dataset: DatasetName,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    identity: Identity = None,
    device: DeviceOption = _DEVICE,
    data: Data = None,
    cache: CacheFile = None,
    offline: Offline = False,
    indent: Annotated[int, typer.Option("--indent", min=0, max=16, metavar="<spaces>", help="0: one line.")] = 0,
) -> None:
    """Print all records as one JSON object, names sorted: the same bytes on all devices that are in sync."""

    async def run(local: Dataset) -> str:
        if not offline:
            await local.synchronize()
        return local.export(indent=indent)

    typer.echo(_with_dataset(_caller(server, token, identity, device, data, cache), dataset, run))


# --- what they share --------------------------------------------------------------------------------------------------


def _caller(
    server: str, token: str | None, identity: str | None, device: str, data: str | None, cache: Path | None
) -> Caller:
    return Caller(server=server, token=token, identity=identity, device=device, data=data, cache=cache)


def _with_dataset(caller: Caller, name: str, run: Callable[[Dataset], Awaitable[_T]]) -> _T:
    async def main() -> _T:
        async with caller.open() as device:
            return await run(device.dataset(name))

    return asyncio.run(main())


async def _edit(local: Dataset, edit: Callable[[], None], *, offline: bool, on_conflict: OnConflictOption) -> None:
    """Edit what the server holds now, if it can be reached; else what this device holds."""
    if offline:
        edit()
        return
    handler = _handler(on_conflict)
    try:
        await local.synchronize(on_conflict=handler)
    except ServerUnreachable as error:
        edit()
        _remark(f"{error.message}; the edit is kept and will be sent later")
        return
    edit()
    try:
        report = await local.synchronize(on_conflict=handler)
    except ServerUnreachable as error:
        _remark(f"{error.message}; the edit is kept and will be sent later")
        return
    _require_decided(report)


async def _synchronized(local: Dataset, on_conflict: OnConflictOption, deadline: float) -> SyncReport:
    while True:
        try:
            return await local.synchronize(on_conflict=_handler(on_conflict))
        except ServerUnreachable as error:
            if time.monotonic() >= deadline:
                raise ServerUnreachable(
                    str(error.facts["server"]), f"{error.facts['reason']}; edits are kept"
                ) from error


def _handler(option: OnConflictOption) -> OnConflict | None:
    match option:
        case OnConflictOption.MINE:
            return lambda _: KEEP_MINE
        case OnConflictOption.THEIRS:
            return lambda _: KEEP_THEIRS
        case OnConflictOption.REPORT:
            return None


def _put_differing(local: Dataset, wanted: dict[str, Any]) -> bool:
    """Put what is not there yet; whether there was any."""
    held = local.records()
    differing = {key: value for key, value in wanted.items() if key not in held or not same_value(held[key], value)}
    for edit in local.parked():
        if edit.key in differing:
            local.discard(edit)  # the new edit takes its place
    local.update(differing)
    return bool(differing)


def _joined(first: SyncReport, second: SyncReport) -> SyncReport:
    return SyncReport(
        dataset=second.dataset,
        pulled=first.pulled + second.pulled,
        pushed=first.pushed + second.pushed,
        merged=first.merged + second.merged,
        unchanged=first.unchanged + second.unchanged,
        resolved=first.resolved + second.resolved,
        conflicts=second.conflicts,
        parked=(*first.parked, *second.parked),
        resyncs=(*first.resyncs, *second.resyncs),
        deleted=first.deleted or second.deleted,
    )


def _require_decided(report: SyncReport) -> None:
    for conflict in report.conflicts:
        _remark(f"conflict on {conflict.key!r}: sync again with --on-conflict mine or theirs")
    for edit in report.parked:
        _remark(f"{edit.operation} of {edit.key!r} was parked: {edit.code} {canonical(dict(edit.details))}")
    if not report.clean:
        raise typer.Exit(UNDECIDED)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: Any


def _records(file: Path) -> dict[str, Any]:
    try:
        content = _json(file.read_bytes(), str(file))
    except OSError as error:
        raise InvalidInput(str(file), error.strerror or "cannot be read") from None
    if isinstance(content, dict):
        return content
    try:
        entries = msgspec.convert(content, list[_Entry])
    except msgspec.ValidationError as error:
        raise InvalidInput(str(file), f"must be an object, or an array of {{key, value}}: {error}") from None
    return {entry.key: entry.value for entry in entries}


def _json(data: bytes, name: str) -> Any:
    try:
        return parsed(json_text(msgspec.json.decode(data), field=name))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(name, f"is not JSON: {error}") from None


def _line(value: dict[str, Any]) -> None:
    print(canonical(value), flush=True)  # noqa: T201 (stdout is where data goes; a pipe must see each line at once)


def _remark(text: str) -> None:
    typer.echo(f"syncline: {text}", err=True)

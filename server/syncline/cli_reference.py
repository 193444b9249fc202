"""``docs/configuration.md``, made from the settings and the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_group

from syncline.cli_settings import facts, kind, shown, shown_default
from syncline.config import SECRETS, Settings, flag, variable

_HEAD = """\
# Configuration and commands

<!-- Made by `make docs` from server/syncline/config.py and the commands; edit those. -->

A setting is given as a flag of `syncline serve` or as an environment variable; the flag wins over the variable, the
variable over the default. An empty variable counts as not set. Switches take `true` or `false` as a variable, and
`--name` or `--no-name` as a flag. There is no settings file.

A bad value stops the start, with the setting's name, the value and the reason. So does a `SYNCLINE_` variable that is
no setting but looks like a misspelt one. `syncline config` prints what is in force and where each value is from; it
takes the same flags as `syncline serve`.

On Kubernetes, a service named `syncline` makes the cluster set `SYNCLINE_PORT` to an address: give the pod
`enableServiceLinks: false`, or the service another name.
"""


def markdown(app: typer.Typer) -> str:
    """The whole page."""
    return "\n".join([_HEAD, "## Settings", "", *_settings(), "## Commands", "", *_commands(app)])


def command_names(app: typer.Typer) -> list[str]:
    """All commands that are shown, those inside of groups as ``group command``."""
    return [name for name, _ in _walk(get_group(app))]


def _settings() -> list[str]:
    lines: list[str] = []
    for group, fields in groupby(Settings.model_fields.items(), key=lambda item: facts(item[1])["group"]):
        lines += [f"### {group}", "", "| flag, variable | type | default | what it is |", "| --- | --- | --- | --- |"]
        for name, field in fields:
            spelt = f"`{variable(name)}`" if name in SECRETS else f"`{flag(name)}`<br>`{variable(name)}`"
            unit = facts(field)["unit"] or kind(field).replace("|", " \\| ")
            lines.append(f"| {spelt} | {unit} | {shown_default(name, field)} | {field.description} |")
        lines.append("")
    return lines


def _commands(app: typer.Typer) -> list[str]:
    lines: list[str] = []
    for name, command in _walk(get_group(app)):
        lines += [f"### `syncline {name}`", "", (command.help or "").strip(), ""]
        names = {parameter.name for parameter in command.params}
        # What takes every setting is not told every one of them again.
        told = Settings.model_fields.keys() if {"host", "port", "data"} <= names else set[str]()
        rows = [
            _row(parameter) for parameter in command.params if parameter.name not in told and not _hidden(parameter)
        ]
        if rows:
            lines += ["| parameter | default | what it is |", "| --- | --- | --- |", *rows, ""]
    return lines


def _walk(group: TyperGroup, prefix: str = "") -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _walk(command, f"{prefix}{name} ")
        elif isinstance(command, TyperCommand) and not command.hidden:
            yield prefix + name, command


def _hidden(parameter: object) -> bool:
    return bool(getattr(parameter, "hidden", True))


def _row(parameter: object) -> str:
    match parameter:
        case TyperArgument():
            spelt = f"`{parameter.metavar or (parameter.name or '').upper()}`"
        case TyperOption():
            variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []
            spelt = "<br>".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts, *variables])
        case _:
            raise TypeError(f"{parameter!r} is neither an argument nor an option")
    default = "required" if parameter.required else "" if parameter.default is None else shown(parameter.default)
    return f"| {spelt} | {default} | {parameter.help or ''} |"

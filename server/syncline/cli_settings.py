"""Settings on the command line: flags made from the fields, and the table that ``syncline config`` prints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from syncline.auth.keys import find_secret
from syncline.config import SECRETS, Settings, flag, sources, variable

Flags = Mapping[str, object]
"""What was given on the command line, by the setting's name; None: not given."""

_HIDDEN = "********"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveSetting:
    """A setting as it is in force; a secret's value is never in it."""

    name: str
    value: str | int | float | bool | None
    unit: str | None
    source: str


def flags_of_settings() -> list[inspect.Parameter]:
    """A parameter for each setting that may be a flag; None means that it was not given.

    Values stay texts: ``config.load`` checks flags and variables alike.
    """
    return [_parameter(name, field) for name, field in Settings.model_fields.items() if name not in SECRETS]


def taking_settings(command: Callable[..., None], *own: inspect.Parameter) -> Callable[..., None]:
    """``command(flags, **own)`` as one whose signature has all flags of the settings, and its ``own`` parameters."""
    names = {parameter.name for parameter in own}

    def run(**given: object) -> None:
        command(
            {name: value for name, value in given.items() if name not in names},
            **{name: value for name, value in given.items() if name in names},
        )

    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature([*flags_of_settings(), *own])  # type: ignore[attr-defined] # read by typer
    return run


def effective(settings: Settings, flags: Flags) -> list[EffectiveSetting]:
    """All settings in force with where each is from. Raises StartRefused for a secret that must not be used."""
    found = sources(flags)
    rows = []
    for name, field in Settings.model_fields.items():
        value, source = getattr(settings, name), found[name]
        if name == "token_secret":
            value, source = _token_secret(settings)
        elif isinstance(value, SecretStr):
            value = _HIDDEN
        elif isinstance(value, Path):
            value = str(value)
        elif name == "graphiql" and source == "default" and settings.dev:
            source = "default with dev"
        rows.append(EffectiveSetting(name=name, value=value, unit=facts(field).get("unit"), source=source))
    return rows


def facts(field: FieldInfo) -> dict[str, str | None]:
    """Group, unit and shown default of a setting."""
    return cast("dict[str, str | None]", field.json_schema_extra)


def shown_default(name: str, field: FieldInfo) -> str:
    """A setting's default for people."""
    told = facts(field)["shown_default"]
    if told is not None:
        return told
    if field.default is None:
        return "none"
    return shown(field.default)


def shown(value: object) -> str:
    """A setting's value for people."""
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case None:
            return "not set"
        case _:
            return str(value)


def kind(field: FieldInfo) -> str:
    """The type of a setting for people."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    return {bool: "on|off", int: "whole number", float: "number", str: "text", Path: "folder"}.get(annotation, "text")


def _token_secret(settings: Settings) -> tuple[str | None, str]:
    configured = settings.token_secret.get_secret_value() if settings.token_secret else None
    secret = find_secret(configured=configured, folder=settings.data)
    return (None, "default") if secret is None else (_HIDDEN, secret.source)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    unit = facts(field).get("unit")
    notes = [*([unit] if unit else []), f"default {shown_default(name, field)}", variable(name)]
    text = f"{field.description} [{'; '.join(notes)}]".replace("`", "")
    is_switch = field.annotation is bool
    option = typer.Option(
        None,
        f"{flag(name)}/--no-{flag(name)[2:]}" if is_switch else flag(name),
        help=text,
        show_default=False,
        metavar=None if is_switch else f"<{kind(field)}>",
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option,
        annotation=bool | None if is_switch else str | None,
    )

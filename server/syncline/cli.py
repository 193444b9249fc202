"""The command ``syncline``. What goes wrong for a reason we know is one line on stderr and exit code 2.

Commands import what they need when they run, so that ``syncline token`` need not read the server.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer

from syncline import __version__, cli_credentials, cli_privacy, cli_storage
from syncline.auth.keys import existing_secret
from syncline.auth.tokens import mint
from syncline.cli_settings import EffectiveSetting, Flags, effective, shown, taking_settings
from syncline.config import load
from syncline.core.ids import NO_TENANT, device_id, identity_id
from syncline.core.ids import tenant as tenant_id
from syncline.core.model import Viewer
from syncline.errors import SynclineError

FAILED = 2


def main() -> None:
    """Run the command line of this process."""
    try:
        build()()
    except SynclineError as error:
        typer.echo(f"syncline: {error.message}", err=True)
        sys.exit(FAILED)


def build() -> typer.Typer:
    """The whole command line."""
    from syncline.client import commands as device

    # No rich: its tables cut off the names of many settings, and its tracebacks show what the variables hold.
    app = typer.Typer(
        name="syncline",
        help="Syncline: a self-hosted, real-time GraphQL sync server, and a device for it.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
    )
    app.callback()(_options)
    app.command("serve")(taking_settings(serve))
    app.command("worker", hidden=True)(worker)
    app.command("token")(token)
    app.command("config")(taking_settings(config, *_CONFIG_PARAMETERS))
    app.command("schema")(schema)
    cli_storage.register(app)
    cli_credentials.register(app)
    cli_privacy.register(app)
    device.register(app)
    return app


def serve(flags: Flags) -> None:
    """Run a server until SIGTERM or Ctrl-C. Takes every setting as a flag."""
    settings = load(flags)
    from syncline.start import run

    raise typer.Exit(run(settings))


def worker(listening: int, parent: int) -> None:
    """One of the processes of `serve --workers`, which starts it with these descriptors."""
    from syncline.workers import work

    raise typer.Exit(work(listening, parent))


def token(
    identity: Annotated[str, typer.Option(help="Whom the token stands for.")],
    device: Annotated[str | None, typer.Option(help="Which of their devices; without it, of no device.")] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Of which tenant; needed if SYNCLINE_TENANT_CLAIM is set, and only then.")
    ] = None,
    data: cli_storage.DataFolder = None,
    lifetime_days: Annotated[
        str | None,
        typer.Option(
            "--lifetime-days",
            "--token-lifetime-days",
            metavar="<days>",
            help="How long it is valid; without it, as the setting says.",
        ),
    ] = None,
) -> None:
    """Print a token, signed with SYNCLINE_TOKEN_SECRET or the secret in the data folder."""
    settings = load({"data": data, "token_lifetime_days": lifetime_days})
    viewer = Viewer(
        identity=identity_id(identity, NO_TENANT if tenant is None else tenant_id(tenant)),
        device=None if device is None else device_id(device),
    )
    configured = settings.token_secret.get_secret_value() if settings.token_secret else None
    secret = existing_secret(configured=configured, folder=settings.data)
    lifetime = timedelta(days=settings.token_lifetime_days)
    typer.echo(mint(secret.value, viewer, lifetime, datetime.now(UTC), tenant_claim=settings.tenant_claim))


def config(flags: Flags, *, as_json: bool, as_markdown: bool) -> None:
    """Print the settings in force and where each is from. Takes the flags of `serve`; secrets are not shown."""
    if as_markdown:
        from syncline.cli_reference import markdown

        typer.echo(markdown(build()), nl=False)
        return
    rows = effective(load(flags), flags)
    if as_json:
        fields = [asdict(row) for row in rows]
        typer.echo(msgspec.json.format(msgspec.json.encode(fields), indent=2))
    else:
        typer.echo(_table(rows))


def schema() -> None:
    """Print the GraphQL schema in its schema language."""
    from syncline.api.schema import schema_sdl

    typer.echo(schema_sdl(), nl=False)


_CONFIG_PARAMETERS = (
    inspect.Parameter(
        "as_json",
        inspect.Parameter.KEYWORD_ONLY,
        default=typer.Option(False, "--json", help="Print a JSON array instead of a table."),
        annotation=bool,
    ),
    inspect.Parameter(
        "as_markdown",
        inspect.Parameter.KEYWORD_ONLY,
        default=typer.Option(False, "--markdown", hidden=True),
        annotation=bool,
    ),
)


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda asked: _print_version(asked), help="Print it.")
    ] = False,
) -> None:
    """Syncline: a self-hosted, real-time GraphQL sync server, and a device for it."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def _table(rows: list[EffectiveSetting]) -> str:
    cells = [(row.name, " ".join(filter(None, [shown(row.value), row.unit])), row.source) for row in rows]
    cells.insert(0, ("setting", "value", "from"))
    widths = [max(len(cell[column]) for cell in cells) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {source}" for name, value, source in cells)

"""The one place where Syncline is put together, and runs from start to drain."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uvloop
from starlette.types import ASGIApp

from syncline import __version__, logs
from syncline.api.context import Services
from syncline.api.documents import Documents
from syncline.api.engine import Engine
from syncline.api.guard import DocumentLimits
from syncline.api.schema import graphql_schema
from syncline.auth.keys import server_secret
from syncline.auth.tokens import TokenAuthenticator, mint
from syncline.bus.local import LocalBus
from syncline.collector import short_collections
from syncline.config import Settings
from syncline.core.ids import DeviceId, IdentityId
from syncline.core.model import Viewer
from syncline.errors import StartRefused
from syncline.metrics import Metrics
from syncline.service.channels import Channels
from syncline.service.datasets import Datasets
from syncline.service.housekeeping import Housekeeping
from syncline.service.memberships import Memberships
from syncline.service.subscriptions import Subscriptions
from syncline.service.sync import Syncs
from syncline.storage.sqlite import SqliteStore
from syncline.web.connection import Backend
from syncline.web.flush_tick import FlushTick
from syncline.web.limits import WebLimits
from syncline.web.mutations import Mutations
from syncline.web.routes import web_app
from syncline.web.server import BACKLOG, make_server

_log = logs.get_logger(__name__)

_DEV_IDENTITY = IdentityId("dev")
_DEV_DEVICE = DeviceId("terminal")
_SWITCH_INTERVAL_SECONDS = 0.0001


def utc_now() -> datetime:
    """The server's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A server that is put together: what to serve, and what to do beside."""

    asgi: ASGIApp
    housekeeping: Housekeeping
    dev_token: str | None


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Everything behind the sockets, open until the context ends. Raises StartRefused."""
    secret = server_secret(
        configured=None if settings.token_secret is None else settings.token_secret.get_secret_value(),
        folder=settings.data,
        host=settings.host,
        dev=settings.dev,
    )
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"data: {settings.data} cannot be made a folder: {error.strerror}") from error

    def bus_is_up() -> bool:
        # There is nothing between it and this process.
        return True

    def dev_token(device: DeviceId) -> str:
        viewer = Viewer(identity=_DEV_IDENTITY, device=device)
        return mint(secret.value, viewer, timedelta(days=settings.token_lifetime_days), utc_now())

    metrics = Metrics()
    store = await SqliteStore.open(settings.database, metrics=metrics)
    bus = LocalBus()
    channels = Channels(store, bus, metrics)
    memberships = Memberships(store, bus)
    datasets = Datasets(store, bus, utc_now, settings.limits, metrics)
    web_limits = WebLimits.from_settings(settings)
    mutations = Mutations(max_pending=web_limits.max_pending_mutations)
    schema = graphql_schema()
    backend = Backend(
        engine=Engine(schema, Documents(schema, _document_limits(settings), **_document_cache(settings))),
        services=Services(
            datasets=datasets,
            syncs=Syncs(store, bus, utc_now, datasets, metrics),
            subscriptions=Subscriptions(store, memberships, channels),
        ),
        authenticator=TokenAuthenticator(secret.value, utc_now),
        mutations=mutations,
        limits=web_limits,
        clock=utc_now,
        tick=FlushTick(),
        metrics=metrics,
    )
    metrics.read_off(metrics.subscriptions, lambda: channels.feeds)
    metrics.read_off(metrics.bus_up, bus_is_up)
    try:
        yield App(
            asgi=web_app(
                backend,
                store,
                bus_is_up=bus_is_up,
                with_metrics=settings.metrics,
                with_pages=settings.graphiql,
                mint=dev_token if settings.dev else None,
                loopback_only=settings.dev,
            ),
            housekeeping=Housekeeping(
                store,
                channels,
                memberships,
                utc_now,
                settings.retention,
                sweep_every=timedelta(seconds=settings.sweep_interval_seconds),
                metrics=metrics,
            ),
            dev_token=dev_token(_DEV_DEVICE) if settings.dev else None,
        )
    finally:
        await mutations.drain()
        await channels.close()
        await bus.close()
        await store.close()


def _document_limits(settings: Settings) -> DocumentLimits:
    return DocumentLimits(
        tokens=settings.max_document_tokens,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        fields=settings.max_fields,
    )


def _document_cache(settings: Settings) -> dict[str, int]:
    return {"entries": settings.document_cache_entries, "source_bytes": settings.document_cache_bytes}


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain; the exit code. Raises StartRefused."""
    logs.configure(level=settings.log_level, format=settings.log_format)
    # A busy event loop drops the interpreter's lock and takes it back at each poll, faster than the default interval of
    # 5 ms lets the store's threads insist on their turn: commits then wait for seconds.
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    async with build(settings) as app:
        listening = _listen(settings.host, settings.port)
        server = make_server(app.asgi, settings)
        housekeeping = asyncio.create_task(app.housekeeping.run(), name="housekeeping")

        def stop_if_it_failed(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                _log.critical("housekeeping_failed", exc_info=task.exception())
                server.should_exit = True

        housekeeping.add_done_callback(stop_if_it_failed)
        _announce(app, settings, listening)
        if not settings.dev:
            # Whoever tries it out has just read it.
            host, port = listening.getsockname()[:2]
            _log.info("started", version=__version__, host=host, port=port)
        try:
            with short_collections():
                await server.serve(sockets=[listening])
        finally:
            failed = housekeeping.done()
            housekeeping.cancel()
            await asyncio.gather(housekeeping, return_exceptions=True)
    _log.info("stopped")
    return 1 if failed else 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartRefused(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _announce(app: App, settings: Settings, listening: socket.socket) -> None:
    """Say on standard output where the server is. It accepts connections already, and answers in a moment."""
    host, port = listening.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [f"Syncline {__version__}, data in {settings.data}", f"  GraphQL   {address}/graphql (HTTP and WebSocket)"]
    if settings.graphiql:
        lines += [f"  GraphiQL  {address}/graphiql", f"  Demo      {address}/demo"]
    if app.dev_token is not None:
        lines += [f"  Token of identity {_DEV_IDENTITY!r}:", app.dev_token]
    print("\n".join(lines), flush=True)  # noqa: T201 # this is what the command says, not a log

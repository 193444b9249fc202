"""The web layer on a real port, over the real store and services, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from syncline.addresses import networks
from syncline.api.documents import Documents
from syncline.api.engine import Engine
from syncline.api.guard import DocumentLimits
from syncline.api.schema import graphql_schema
from syncline.auth.guest_tokens import GuestAuthenticator
from syncline.auth.tokens import TokenAuthenticator, mint
from syncline.bus.local import LocalBus
from syncline.core.ids import DeviceId, IdentityId, identity_id
from syncline.core.limits import Limits
from syncline.core.model import Viewer
from syncline.metrics import Metrics
from syncline.ports import CompleteStore, SharedLimits
from syncline.storage.sqlite import SqliteStore
from syncline.web.admission import Admission
from syncline.web.connection import Backend
from syncline.web.flush_tick import FlushTick
from syncline.web.http_protocol import HttpProtocol
from syncline.web.limits import WebLimits
from syncline.web.mutations import Mutations
from syncline.web.pages import STATIC
from syncline.web.routes import web_app
from syncline.web.server_protocol import WebSocketProtocol
from syncline.wiring import Node, assemble
from tests.support.world import guest_tokens

SECRET = b"a secret of the tests, 32 bytes or more"
PATIENCE_SECONDS = 20.0

T = TypeVar("T")
WrapStore = Callable[[CompleteStore], CompleteStore]


def now() -> datetime:
    return datetime.now(UTC)


def a_token(
    identity: str = "alice",
    device: str = "phone",
    *,
    lifetime: timedelta = timedelta(hours=1),
    at: datetime | None = None,
) -> str:
    return mint(SECRET, Viewer(identity=IdentityId(identity), device=DeviceId(device)), lifetime, at or now())


@dataclass(kw_only=True)
class WebOptions:
    """How a test's server differs from the usual one."""

    limits: WebLimits = field(default_factory=WebLimits)
    data_limits: Limits = field(default_factory=Limits)
    guests: bool = False
    with_pages: bool = False
    bus_is_up: bool = True
    trusted_proxies: str = ""
    origins: frozenset[str] = frozenset()
    shared_limits: SharedLimits | None = None
    dev: bool = False
    static: Path = STATIC
    wrap_store: WrapStore = lambda store: store
    ws: type[asyncio.Protocol] = WebSocketProtocol


class WebServer:
    """A running server. ``errors`` are what it logged as errors, each with its traceback if it had one."""

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop, backend: Backend, server: uvicorn.Server) -> None:
        self.port = port
        self.loop = loop
        self.backend = backend
        self.errors: list[str] = []
        self._server = server

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """The outcome of ``work`` on the server's event loop."""

        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_SECONDS)

    def sockets_open(self) -> int:
        """How many WebSockets are open."""
        return sum(isinstance(each, WebSocketProtocol) for each in list(self._server.server_state.connections))

    def begin_shutdown(self) -> None:
        """What SIGTERM does."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[uvicorn.Server], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start(self)


class _Errors(logging.Handler):
    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        formatter = logging.Formatter("%(name)s %(message)s")
        self._errors.append(formatter.format(record))


@contextmanager
def web_server(folder: Path, options: WebOptions | None = None) -> Iterator[WebServer]:
    """A server on a port of its own. At the end it is shut down as by SIGTERM, and must come to an end."""
    options = options or WebOptions()
    started = threading.Event()
    made: list[WebServer] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        metrics = Metrics()
        store = options.wrap_store(await SqliteStore.open(folder / "syncline.db", metrics=metrics))
        bus = LocalBus()
        admission = Admission(
            options.limits, metrics, trusted=networks(options.trusted_proxies), shared=options.shared_limits
        )
        node = assemble(
            store,
            bus,
            now,
            metrics,
            limits=options.data_limits,
            guest_tokens=guest_tokens(SECRET),
            guest_admission=admission if options.guests else None,
        )
        node.measure(metrics)
        backend = _backend(options, node, metrics, admission)
        app = web_app(
            backend,
            store,
            bus_is_up=lambda: options.bus_is_up,
            with_metrics=True,
            with_pages=options.with_pages,
            mint=_minted if options.dev else None,
            loopback_only=options.dev,
            origins=options.origins,
            static=options.static,
        )
        loop = asyncio.get_running_loop()

        def on_start(server: uvicorn.Server) -> None:
            port = server.servers[0].sockets[0].getsockname()[1]
            made.append(WebServer(port, loop, backend, server))
            started.set()

        await _Server(_config(app, options), on_start).serve()
        await backend.mutations.drain()
        await node.close()
        await bus.close()
        await store.close()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvicorn.Config("none").get_loop_factory()) as runner:
                runner.run(serve())
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="web server", daemon=True)
    thread.start()
    assert started.wait(PATIENCE_SECONDS)
    if failures:
        raise failures[0]
    running = made[0]
    handler = _Errors(running.errors)
    logging.getLogger().addHandler(handler)
    try:
        yield running
    finally:
        logging.getLogger().removeHandler(handler)
        running.begin_shutdown()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the server did not come to an end"
        if failures:
            raise failures[0]


def _backend(options: WebOptions, node: Node, metrics: Metrics, admission: Admission) -> Backend:
    return Backend(
        engine=Engine(graphql_schema(), Documents(graphql_schema(), DocumentLimits(), entries=100, source_bytes=10**6)),
        services=node.services,
        authenticator=GuestAuthenticator(
            guest_tokens(SECRET), now, node.guests.check, otherwise=TokenAuthenticator(SECRET, now)
        ),
        mutations=Mutations(max_pending=options.limits.max_pending_mutations),
        limits=options.limits,
        admission=admission,
        clock=now,
        tick=FlushTick(),
        metrics=metrics,
    )


def _config(app: Any, options: WebOptions) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=HttpProtocol,
        ws=options.ws,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        ws_max_size=options.limits.message_bytes,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=15,
    )


def _minted(identity: str | None, device: DeviceId) -> str:
    return a_token(identity_id(identity or "alice"), device)

"""The web application: which path is served by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncline.ports import Store
from syncline.web.connection import Backend
from syncline.web.graphql_http import GraphqlHttp
from syncline.web.graphql_ws import GraphqlWs
from syncline.web.health import MetricsPage, Readiness, livez
from syncline.web.hosts import LoopbackOnly
from syncline.web.pages import STATIC, MintToken, landing, pages

GRAPHQL_PATH = "/graphql"

_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class SecurityHeaders:
    """Middleware that adds what browsers need to be told, unless a page says otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def web_app(
    backend: Backend,
    store: Store,
    *,
    bus_is_up: Callable[[], bool] = lambda: True,
    with_metrics: bool = False,
    with_pages: bool = False,
    mint: MintToken | None = None,
    loopback_only: bool = False,
    static: Path = STATIC,
) -> ASGIApp:
    """The ASGI app.

    ``with_metrics``: the figures, for whoever asks. ``with_pages``: GraphiQL and the demo. For development: ``mint``,
    tokens for whoever asks; ``loopback_only``, no answer to requests that do not name a loopback address.
    """
    sockets = GraphqlWs(backend)
    backend.metrics.read_off(backend.metrics.connections, lambda: sockets.open)
    routes: list[BaseRoute] = [
        Route(GRAPHQL_PATH, GraphqlHttp(backend)),
        Route("/livez", livez),
        Route("/readyz", Readiness(store, lambda: sockets.draining, bus_is_up).check),
        landing(with_pages=with_pages),
    ]
    if with_metrics:
        routes.append(Route("/metrics", MetricsPage(backend.metrics).page))
    if with_pages:
        routes += pages(mint, static=static)
    requests = Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Each layer between the server and a socket costs memory for as long as the socket is open.
        if scope["type"] == "websocket" and scope["path"] == GRAPHQL_PATH:
            await sockets(scope, receive, send)
        else:
            await requests(scope, receive, send)

    return LoopbackOnly(app) if loopback_only else app

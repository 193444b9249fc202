"""The web application: which path is served by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from syncline.ports import IdentityData, Store
from syncline.web.connection import Backend
from syncline.web.graphql_http import GraphqlHttp
from syncline.web.graphql_ws import GraphqlWs
from syncline.web.guests import guest_routes
from syncline.web.health import MetricsPage, Readiness, livez
from syncline.web.hosts import LoopbackOnly
from syncline.web.identities import identity_routes
from syncline.web.origins import with_cors
from syncline.web.pages import STATIC, MintToken, landing, pages
from syncline.web.security_headers import SecurityHeaders

GRAPHQL_PATH = "/graphql"


def web_app(
    backend: Backend,
    store: Store,
    *,
    bus_is_up: Callable[[], bool] = lambda: True,
    with_metrics: bool = False,
    with_pages: bool = False,
    mint: MintToken | None = None,
    loopback_only: bool = False,
    origins: frozenset[str] = frozenset(),
    identity_data: IdentityData | None = None,
    static: Path = STATIC,
) -> ASGIApp:
    """The ASGI app.

    ``identity_data``: what backends may export and erase. ``origins``: those of pages that may use it, besides its own.
    ``with_metrics``: the figures, for whoever asks.
    ``with_pages``: GraphiQL and the demo. For development: ``mint``, tokens for whoever asks; ``loopback_only``, no
    answer to requests that do not name a loopback address.
    """
    sockets = GraphqlWs(backend, origins)
    backend.metrics.read_off(backend.metrics.connections, lambda: sockets.open)
    routes: list[BaseRoute] = [
        Route(GRAPHQL_PATH, GraphqlHttp(backend)),
        Route("/livez", livez),
        Route("/readyz", Readiness(store, lambda: sockets.draining, bus_is_up).check),
        *guest_routes(backend),
    ]
    if identity_data is not None:
        routes += identity_routes(backend, identity_data)
    if with_metrics:
        routes.append(Route("/metrics", MetricsPage(backend.metrics).page))
    if with_pages:
        routes += pages(mint, static=static)
    else:
        routes.append(landing())
    # Around all of it, so that no answer goes without them, an unexpected failure's neither.
    requests = SecurityHeaders(with_cors(Starlette(routes=routes), origins))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Each layer between the server and a socket costs memory for as long as the socket is open.
        if scope["type"] == "websocket" and scope["path"] == GRAPHQL_PATH:
            await sockets(scope, receive, send)
        else:
            await requests(scope, receive, send)

    return LoopbackOnly(app) if loopback_only else app

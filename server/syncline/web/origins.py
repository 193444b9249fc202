"""Which web pages may use the API: those of the server's own origin, and those that the operator names.

Whatever has no ``Origin`` is no browser's request for a page, and may.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from syncline.addresses import normal_origin

_HEADERS = ("authorization", "content-type", "x-request-id")
_EXPOSED = ("retry-after", "x-request-id")
_REMEMBERED_SECONDS = 600


def may_connect(headers: Iterable[tuple[bytes, bytes]], allowed: frozenset[str]) -> bool:
    """Whether a WebSocket may be opened by the page that these headers tell of: browsers let any page try."""
    given = [(name, value.decode("latin-1")) for name, value in headers if name in (b"origin", b"host")]
    origins = [value for name, value in given if name == b"origin"]
    if not origins or "*" in allowed:
        return True
    if len(origins) > 1:
        return False
    origin = normal_origin(origins[0])
    # The scheme is not compared: behind a proxy with TLS this server does not know its own.
    hosts = [value.strip().lower() for name, value in given if name == b"host"]
    own = {normal_origin(f"{scheme}://{host}") for host in hosts for scheme in ("http", "https")}
    return origin in own or origin in allowed


def with_cors(app: ASGIApp, allowed: frozenset[str]) -> ASGIApp:
    """The app, whose answers the pages of the allowed origins may read, too."""
    if not allowed:
        return app
    return CORSMiddleware(
        app,
        allow_origins=sorted(allowed),
        allow_methods=("GET", "POST"),
        allow_headers=_HEADERS,
        expose_headers=_EXPOSED,
        max_age=_REMEMBERED_SECONDS,
    )

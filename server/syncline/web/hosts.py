"""Only loopback names in development: a page of another site must not reach it through a name of its own."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from syncline.web.security_headers import SecurityHeaders


@lru_cache(maxsize=256)
def is_loopback(host: str | None) -> bool:
    """Whether a ``Host`` header names this machine, with or without a port."""
    if host is None:
        return False
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name.rstrip(".") == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class LoopbackOnly:
    """Middleware that refuses requests whose ``Host`` is not a loopback name (DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not is_loopback(hosts[0]):
                refusal = SecurityHeaders(
                    PlainTextResponse("With --dev, Syncline answers only to localhost, 127.0.0.1 and [::1].\n", 403)
                )
                # Starlette's response speaks `websocket.http.response` to a WebSocket.
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

"""What browsers need to be told with every answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_CACHE_CONTROL = "no-store"
"""Unless an answer says otherwise: it may be somebody's own."""

_RAW: Final = tuple(
    (name.encode("latin-1"), value.encode("latin-1"))
    for name, value in {**SECURITY_HEADERS, "cache-control": _CACHE_CONTROL}.items()
)
"""As ASGI has them: every answer gets them, so nothing is left to be done for each."""


class SecurityHeaders:
    """Middleware that adds them to what an app answers over HTTP, unless a page says otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = list(message.get("headers", ()))
                said = {name for name, _ in headers}
                message["headers"] = headers + [header for header in _RAW if header[0] not in said]
            await send(message)

        await self._app(scope, receive, send_with_headers)

"""The WebSocket endpoint: which sockets are accepted, and who looks after them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from syncline.api.errors import error_body
from syncline.errors import OriginNotAllowed, Overloaded, RateLimited, SynclineError
from syncline.web.admission import Place
from syncline.web.close_codes import CloseCode
from syncline.web.connection import Backend, Connection
from syncline.web.origins import may_connect
from syncline.web.outlets import AsgiOutlet, Outlet, Receive, Scope, Send, server_transport
from syncline.web.protocol import SUBPROTOCOL, close_reason
from syncline.web.request_ids import request_id
from syncline.web.security_headers import SECURITY_HEADERS

_encode = msgspec.json.Encoder().encode

_STATUSES: Mapping[type[SynclineError], tuple[int, int | None]] = {
    OriginNotAllowed: (403, None),
    Overloaded: (503, 5),
    RateLimited: (429, None),
}
"""With the seconds after which to try again, if the error does not say."""


class GraphqlWs:
    """The ASGI app for WebSockets at ``/graphql``."""

    def __init__(self, backend: Backend, origins: frozenset[str] = frozenset()) -> None:
        self._backend = backend
        self._origins = origins
        self.open = 0
        """Sockets."""
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            place = await self._admitted(scope)
        except SynclineError as error:
            await _refuse(error, scope, send)
            return
        self.open += 1
        try:
            await self._serve(scope, receive, send)
        except OSError:
            # The peer went away while the handshake was answered.
            return
        finally:
            self.open -= 1
            self._backend.admission.leave(place)

    async def _admitted(self, scope: Scope) -> Place | None:
        """The place of a socket that may be opened. Raises OriginNotAllowed, Overloaded, RateLimited."""
        if not may_connect(scope["headers"], self._origins):
            raise OriginNotAllowed
        if self.open >= self._backend.limits.connections:
            self._backend.metrics.over_limit("connections")
            raise Overloaded("too many connections")
        return await self._backend.admission.enter_from(scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if SUBPROTOCOL not in scope["subprotocols"]:
            # Only an accepted socket can be told a close code.
            await send({"type": "websocket.accept"})
            code = CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE
            await send({"type": "websocket.close", "code": int(code), "reason": code.meaning})
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        transport = server_transport(scope)
        outlet: Outlet = AsgiOutlet(send) if transport is None else transport
        connection = Connection(self._backend, scope, receive, send, outlet)
        if transport is not None:
            transport.on_shutdown(lambda: self._drain(connection))
        await connection.run()

    def _drain(self, connection: Connection) -> None:
        self.draining = True
        connection.drain(within=self._backend.limits.drain_spread_of(self.open))


async def _refuse(error: SynclineError, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        status, retry_after = _STATUSES[type(error)]
        if isinstance(error, RateLimited):
            retry_after = math.ceil(error.retry_after_seconds)
        headers = {"content-type": "application/json", "cache-control": "no-store", **SECURITY_HEADERS}
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        body = _encode({"errors": [error_body(error, request_id())]})
        await send({"type": "websocket.http.response.start", "status": status, "headers": encoded})
        await send({"type": "websocket.http.response.body", "body": body})
    elif error.retryable:
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        code = CloseCode.TRY_AGAIN_LATER
        await send({"type": "websocket.close", "code": int(code), "reason": close_reason(error.message)})
    else:
        # Before it is accepted, that is a 403.
        await send({"type": "websocket.close"})

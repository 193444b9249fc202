"""The WebSocket endpoint: which sockets are accepted, and who looks after them."""

from __future__ import annotations

from syncline.web.close_codes import CloseCode
from syncline.web.connection import Backend, Connection
from syncline.web.outlets import AsgiOutlet, Outlet, Receive, Scope, Send, server_transport
from syncline.web.protocol import SUBPROTOCOL


class GraphqlWs:
    """The ASGI app for WebSockets at ``/graphql``."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.open = 0
        """Sockets."""
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if self.open >= self._backend.limits.connections:
            self._backend.metrics.over_limit("connections")
            await _refuse(scope, send)
            return
        self.open += 1
        try:
            await self._serve(scope, receive, send)
        except OSError:
            # The peer went away while the handshake was answered.
            return
        finally:
            self.open -= 1

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


async def _refuse(scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        code = CloseCode.TRY_AGAIN_LATER
        await send({"type": "websocket.close", "code": int(code), "reason": "too many connections"})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"5")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"Too many connections.\n"})

"""uvicorn's HTTP protocol, made to leave nothing behind."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from syncline.web.server_protocol import WebSocketProtocol


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection, until it is closed or becomes a WebSocket.

    The parser holds the protocol's methods. A connection that has ended would wait for the cyclic collector, and behind
    every WebSocket there would be one.
    """

    parser: Any

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.parser = None

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self.parser = None
        protocol = self.transport.get_protocol()
        if isinstance(protocol, WebSocketProtocol):
            protocol.read_only_frames()

"""A plain client of graphql-transport-ws: it queues what comes, so that no message is missed."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.web_server import PATIENCE_SECONDS, WebServer, a_token

GRAPHQL_TRANSPORT_WS = Subprotocol("graphql-transport-ws")


class WsClient:
    """One socket. ``init`` says ``connection_init`` with a token and waits for the acknowledgement."""

    def __init__(self, server: WebServer, *, init: bool = True, token: str | None = None, **options: Any) -> None:
        self._server = server
        self._init = init
        self._token = token
        self._options: dict[str, Any] = {"subprotocols": [GRAPHQL_TRANSPORT_WS], "compression": None, **options}
        self.socket: ClientConnection

    async def __aenter__(self) -> Self:
        self.socket = await connect(
            self._server.ws_url, max_size=None, ping_interval=None, close_timeout=5, **self._options
        )
        if self._init:
            await self.send(
                {"type": "connection_init", "payload": {"authorization": f"Bearer {self._token or a_token()}"}}
            )
            assert (await self.receive())["type"] == "connection_ack"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def send(self, message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def subscribe(self, operation_id: str, query: str, **variables: Any) -> None:
        await self.send(
            {"type": "subscribe", "id": operation_id, "payload": {"query": query, "variables": variables or None}}
        )

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message: dict[str, Any] = json.loads(await self.socket.recv())
            return message

    async def receive_until_closed(self) -> tuple[list[dict[str, Any]], int, str]:
        """The messages that still came, the code of the close frame (1006: there was none) and its reason."""
        messages: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while True:
                    messages.append(json.loads(await self.socket.recv()))
            except ConnectionClosed as closed:
                received = closed.rcvd
                return (
                    messages,
                    1006 if received is None else received.code,
                    "" if received is None else received.reason,
                )

    async def closed_with(self) -> int:
        return (await self.receive_until_closed())[1]

    async def execute(self, query: str, *, operation_id: str = "execute", **variables: Any) -> dict[str, Any]:
        """The payload of a query or mutation that nothing else runs beside."""
        await self.subscribe(operation_id, query, **variables)
        result = await self.receive()
        assert result["type"] == "next", result
        assert await self.receive() == {"type": "complete", "id": operation_id}
        payload: dict[str, Any] = result["payload"]
        return payload

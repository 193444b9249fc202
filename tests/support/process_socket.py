"""A graphql-transport-ws socket to a server that is a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PATIENCE_SECONDS = 20.0


class ProcessSocket:
    """Messages as objects."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, **message: Any) -> None:
        await self._socket.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message: dict[str, Any] = json.loads(await self._socket.recv())
            return message

    async def closed_with(self) -> tuple[int, str]:
        """Code and reason of the close frame; what comes before is skipped."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionClosed):
                while True:
                    await self._socket.recv()
        return self._socket.close_code or 0, self._socket.close_reason or ""

    async def execute(self, query: str, operation: str = "1", **variables: Any) -> dict[str, Any]:
        """The answer's ``next`` or ``error``."""
        await self.send(type="subscribe", id=operation, payload={"query": query, "variables": variables})
        answer = await self.receive()
        if answer["type"] == "next":
            assert (await self.receive())["type"] == "complete"
        return answer


@asynccontextmanager
async def process_socket(url: str, payload: dict[str, Any] | None = None) -> AsyncIterator[ProcessSocket]:
    """A socket that was acknowledged, with this payload of ``connection_init``."""
    async with connect(
        url,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        ping_interval=None,
        proxy=None,
    ) as socket:
        each = ProcessSocket(socket)
        await each.send(type="connection_init", payload=payload)
        answer = await each.receive()
        assert answer == {"type": "connection_ack"}, answer
        yield each

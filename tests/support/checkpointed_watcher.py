"""A device that watches one dataset through all outages, and checks that its feed misses and repeats nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.graphql_socket import PATIENCE_SECONDS, GraphqlSocket, SocketCut
from tests.support.ledger import HeldRecord
from tests.support.server import RunningServer

_WATCH = """
subscription($name: String!, $since: Checkpoint) {
  datasetChanges(dataset: {name: $name}, since: $since) {
    __typename
    ... on Ready { checkpoint resumed }
    ... on Commit { previous checkpoint version records { key value version } }
  }
}
"""


class CheckpointedWatcher:
    """Holds what it was told. ``run`` reconnects from the last checkpoint whenever the server is up."""

    def __init__(self, server: RunningServer, dataset: str, device: str, *, server_is_up: asyncio.Event) -> None:
        self.records: dict[str, HeldRecord] = {}
        self.version = 0
        self.deliveries: dict[str, int] = {}
        """How often each key was in an event."""
        self.connections = 0
        self._server = server
        self.dataset = dataset
        self._device = device
        self._server_is_up = server_is_up
        self._checkpoint = "start"
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._server_is_up.wait()
            try:
                token = self._server.token(self._device)
                async with GraphqlSocket(self._server.socket_url, token) as socket:
                    self.connections += 1
                    await self._follow(socket)
            except SocketCut as cut:
                if cut.code != 1006:
                    # A killed server says no goodbye: this one had a reason.
                    raise

    async def reached(self, version: int) -> None:
        """Wait until it was told of this version."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._moved:
            await self._moved.wait_for(lambda: self.version >= version)

    async def _follow(self, socket: GraphqlSocket) -> None:
        operation = await socket.start(_WATCH, {"name": self.dataset, "since": self._checkpoint})
        payloads = socket.payloads(operation)
        ready = (await anext(payloads))["data"]["datasetChanges"]
        assert ready["__typename"] == "Ready", ready
        assert ready["resumed"] is True
        assert self._checkpoint in ("start", ready["checkpoint"])
        self._checkpoint = ready["checkpoint"]
        async for payload in payloads:
            await self._apply(payload["data"]["datasetChanges"])

    async def _apply(self, event: dict[str, Any]) -> None:
        assert event["__typename"] == "Commit", event
        first = self._checkpoint == "start"
        assert first or event["previous"] == self._checkpoint, "the event does not follow on what was told before"
        assert self.version <= event["version"]
        for record in event["records"]:
            assert self.version <= record["version"] <= event["version"]
            key = record["key"]
            self.deliveries[key] = self.deliveries.get(key, 0) + 1
            self.records[key] = HeldRecord(value=record["value"], version=record["version"])
        self._checkpoint = event["checkpoint"]
        async with self._moved:
            self.version = event["version"]
            self._moved.notify_all()

"""Devices that write and watch, on whichever node they find."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from tests.faults.environment import Node
from tests.support.checkpointed_watcher import CheckpointedWatcher
from tests.support.graphql_socket import GraphqlSocket, SocketCut
from tests.support.ledger import Ledger, PlannedSync, plans
from tests.support.plain_sync import SYNC, committed_version

_TO_BE_TRIED_AGAIN = {1006, 1012, 1013}
"""Close codes after which a device comes back."""
_REQUEST_SECONDS = 15.0


class RoamingWatcher(CheckpointedWatcher):
    """Watches a dataset; after each cut on a node of its choice."""

    def __init__(self, nodes: Sequence[Node], identity: str, dataset: str, device: str, dice: random.Random) -> None:
        super().__init__(nodes[0].server, dataset, device, server_is_up=asyncio.Event())
        self.identity = identity
        self._nodes = nodes
        self._dice = dice
        self._socket: GraphqlSocket | None = None

    async def run(self) -> None:
        while True:
            node = self._dice.choice(self._nodes)
            try:
                token = node.server.token(self._device, self.identity)
                async with GraphqlSocket(node.socket_url, token) as socket:
                    self.connections += 1
                    self._socket = socket
                    await self._follow(socket)
            except SocketCut as cut:
                if cut.code not in _TO_BE_TRIED_AGAIN:
                    raise
            await asyncio.sleep(self._dice.uniform(0.02, 0.2))

    def cut(self) -> None:
        """Lose the network, if there is a socket."""
        if self._socket is not None:
            self._socket.abort()


class Writer:
    """Sends one sync after the other, each until it is acknowledged, to a node of its choice at every try."""

    def __init__(
        self, nodes: Sequence[Node], ledger: Ledger, identity: str, device: str, datasets: Sequence[str], seed: int
    ) -> None:
        self.retries = 0
        self._nodes = nodes
        self._ledger = ledger
        self._identity = identity
        self._device = device
        self._datasets = datasets
        self._dice = random.Random(seed)  # noqa: S311 # no secret

    async def run(self, stop: asyncio.Event) -> None:
        """Return when told to stop, and the last sync is acknowledged."""
        async with httpx.AsyncClient(timeout=_REQUEST_SECONDS) as http:
            for sync in plans(self._device, self._device, self._datasets, self._choices()):
                if stop.is_set():
                    return
                self._ledger.enter(sync)
                answer = await self._send(http, sync)
                first = answer is not None
                while answer is None:
                    self.retries += 1
                    await asyncio.sleep(self._dice.uniform(0.01, 0.1))
                    answer = await self._send(http, sync)
                version = committed_version(answer)
                self._ledger.acknowledge(sync, version=version if first else None)
                await asyncio.sleep(self._dice.uniform(0, 0.02))

    async def _send(self, http: httpx.AsyncClient, sync: PlannedSync) -> dict[str, Any] | None:
        """The answer; None: there was none, or one that says to try again."""
        node = self._dice.choice(self._nodes)
        try:
            response = await http.post(
                f"http://127.0.0.1:{node.devices.port}/graphql",
                json={"query": SYNC, "variables": sync.variables()},
                headers={"authorization": f"Bearer {node.server.token(self._device, self._identity)}"},
            )
        except httpx.TransportError:
            return None
        if response.status_code == 503:
            return None
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        if "errors" in body:
            extensions = body["errors"][0]["extensions"]
            assert extensions["retryable"], body
            assert extensions["code"] in ("UNAVAILABLE", "OVERLOADED"), body
            return None
        return body

    def _choices(self) -> Iterator[float]:
        while True:
            yield self._dice.random()

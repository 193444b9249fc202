"""What a schedule plays out on: two nodes, PostgreSQL and Valkey as processes, and a proxy on every line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.ledger import HeldRecord
from tests.support.lossy_proxy import LossyProxy, lossy_proxy
from tests.support.postgres import PostgresServer
from tests.support.server import RunningServer
from tests.support.valkey import Valkey, valkey

_TOKEN_SECRET = "a secret that both nodes have, of more than 32 bytes"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Node:
    """A server, and the lines that lead to it, from it to PostgreSQL and from it to Valkey."""

    server: RunningServer
    devices: LossyProxy
    postgres: LossyProxy
    valkey: FaultProxy

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.devices.port}/graphql"

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        self.devices.lead_to(self.server.port)

    async def restart(self) -> None:
        """As after ``kill -9``."""
        await asyncio.to_thread(self.server.kill)
        await self.start()


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that can break."""

    nodes: Sequence[Node]
    postgres: PostgresServer
    valkey: Valkey
    database: str

    async def held(self, identity: str, dataset: str) -> tuple[int, dict[str, HeldRecord]]:
        """Version and records, as the database has them."""
        connection = await asyncpg.connect(self.postgres.url(self.database))
        try:
            head = await connection.fetchrow(
                "SELECT id, version FROM syncline.datasets WHERE owner = $1 AND name = $2", identity, dataset
            )
            if head is None:
                return 0, {}
            rows = await connection.fetch(
                "SELECT key, value, version FROM syncline.records WHERE dataset = $1 AND value IS NOT NULL", head["id"]
            )
        finally:
            await connection.close()
        return head["version"], {
            row["key"]: HeldRecord(value=json.loads(row["value"]), version=row["version"]) for row in rows
        }


@asynccontextmanager
async def environment(folder: Path) -> AsyncIterator[Environment]:
    """Two nodes that are ready; the clock of the second is ahead."""
    async with AsyncExitStack() as stack:
        postgres = PostgresServer()
        stack.callback(postgres.close)
        await asyncio.to_thread(postgres.start)
        database = await asyncio.to_thread(postgres.create_database)
        bus = await stack.enter_async_context(valkey(folder / "valkey"))
        nodes = []
        for number, module in enumerate(("syncline", "tests.faults.fast_clock")):
            to_postgres = await stack.enter_async_context(lossy_proxy(postgres.port))
            to_valkey = await stack.enter_async_context(fault_proxy(bus.port))
            to_node = await stack.enter_async_context(lossy_proxy(0))
            server = RunningServer(
                folder / f"node{number}",
                *("--max-records", "1000000", "--max-dataset-bytes", "1000000000"),
                settings={
                    "SYNCLINE_DATABASE_URL": postgres.url(database, port=to_postgres.port),
                    "SYNCLINE_REDIS_URL": to_valkey.url,
                    "SYNCLINE_TOKEN_SECRET": _TOKEN_SECRET,
                },
                module=module,
            )
            stack.callback(server.kill)
            nodes.append(Node(server, to_node, to_postgres, to_valkey))
        await asyncio.gather(*(node.start() for node in nodes))
        yield Environment(nodes, postgres, bus, database)

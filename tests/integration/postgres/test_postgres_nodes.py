"""Several nodes on one database."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from syncline.core.changes import Increment
from syncline.core.ids import RecordKey
from syncline.core.pages import PageRequest
from syncline.errors import StartRefused, StoreTooNew, StoreUnavailable
from syncline.storage.postgres import PostgresStore
from tests.support.builders import ALICE, a_request, named, put
from tests.support.postgres import PostgresServer
from tests.support.stores import synced

NODES = 2


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.empty_database())


async def test_conflicts_between_transactions_are_tried_again(postgres_server: PostgresServer) -> None:
    name = postgres_server.create_database()
    # What read committed lets pass, serializable refuses: with 40001, which a client is to try again.
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    nodes = [await PostgresStore.open(postgres_server.url(name), connections=4) for _ in range(NODES)]
    try:
        outcomes = await asyncio.gather(
            *(synced(nodes[n % NODES], a_request(Increment(key=RecordKey("counter"), by=1))) for n in range(40))
        )
        values = sorted(int(outcome.records[RecordKey("counter")].value or 0) for outcome in outcomes)
        assert values == list(range(1, 41))
    finally:
        for node in nodes:
            await node.close()


async def test_nodes_that_start_at_once_migrate_once(url: str) -> None:
    stores = await asyncio.gather(*(PostgresStore.open(url, connections=2) for _ in range(5)))

    assert len({await store.epoch() for store in stores}) == 1
    for store in stores:
        await store.close()
    connection = await asyncpg.connect(url)
    applied = [row[0] for row in await connection.fetch("SELECT number FROM syncline.migrations ORDER BY number")]
    await connection.close()
    assert applied == list(range(1, len(applied) + 1))


async def test_a_database_of_a_newer_syncline_is_refused(url: str) -> None:
    store = await PostgresStore.open(url, connections=2)
    await store.close()
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO syncline.migrations (number) VALUES (99)")
    await connection.close()

    with pytest.raises(StoreTooNew) as raised:
        await PostgresStore.open(url, connections=2)

    assert raised.value.facts["found"] == 99


async def test_a_schema_of_somebody_else_is_refused_and_left_alone(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE SCHEMA syncline; CREATE TABLE syncline.cats (name text)")

    with pytest.raises(StartRefused, match="not one of Syncline's"):
        await PostgresStore.open(url, connections=2)

    tables = [row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'syncline'")]
    await connection.close()
    assert tables == ["cats"]


@pytest.mark.parametrize(
    "bad",
    [
        "postgresql://nobody@127.0.0.1:1/x",
        "postgresql://127.0.0.1:99999/x",
        "postgresql://[::1/x",
        "postgresql:///?port=x",
    ],
)
async def test_an_address_without_a_database_is_refused(bad: str) -> None:
    with pytest.raises(StartRefused, match="database_url"):
        await PostgresStore.open(bad, connections=2)


async def test_when_all_connections_are_in_use_the_answer_is_unavailable_with_a_time_to_try_again(url: str) -> None:
    store = await PostgresStore.open(url, connections=2)
    connection = await asyncpg.connect(url)
    try:
        await synced(store, a_request(put("a")))
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE syncline.datasets IN ACCESS EXCLUSIVE MODE")
        held = [asyncio.create_task(store.dataset(ALICE, named())) for _ in range(2)]
        await asyncio.sleep(0.05)  # until both wait for the lock

        with pytest.raises(StoreUnavailable) as raised:
            await store.sync(a_request(put("b")), PageRequest())

        assert raised.value.retryable
        assert raised.value.facts["retryAfter"] == 1.0
        await transaction.rollback()
        assert all(head is not None for head in await asyncio.gather(*held))
        await synced(store, a_request(put("b")))
    finally:
        await connection.close()
        await store.close()

"""What the store on PostgreSQL tells of its pool and of what it had to try again."""

from __future__ import annotations

import asyncio

import pytest

from syncline.core.changes import Increment
from syncline.core.ids import RecordKey
from syncline.metrics import Metrics
from syncline.storage.postgres import PostgresStore
from syncline.storage.postgres_connections import Connections
from tests.support.builders import a_request
from tests.support.figures import Figures
from tests.support.lossy_proxy import lossy_proxy
from tests.support.postgres import PostgresServer
from tests.support.stores import synced

NODES = 4
SYNCS = 20


def figures_of(metrics: Metrics) -> Figures:
    return Figures(metrics.page("")[0].decode())


async def test_the_pool_tells_how_large_it_is_how_busy_and_how_long_one_waited(postgres_server: PostgresServer) -> None:
    metrics = Metrics()
    url = postgres_server.url(postgres_server.empty_database())
    connections = await Connections.open(url, size=2, metrics=metrics)
    before = figures_of(metrics)
    async with connections.acquired(), connections.acquired():
        during = figures_of(metrics)
    after = figures_of(metrics)
    await connections.close()

    assert [figures.of("store_pool_size") for figures in (before, during, after)] == [2, 2, 2]
    assert [figures.of("store_pool_in_use") for figures in (before, during, after)] == [0, 2, 0]
    assert [figures.of("store_pool_wait_seconds_count") for figures in (before, during, after)] == [0, 2, 2]


async def test_what_is_tried_again_is_counted_by_sqlstate(postgres_server: PostgresServer) -> None:
    name = postgres_server.create_database()
    # What read committed lets pass, serializable refuses: with 40001, which a client is to try again.
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    metrics = Metrics()
    url = postgres_server.url(name)
    nodes = [await PostgresStore.open(url, connections=4, metrics=metrics) for _ in range(NODES)]
    changes = Increment(key=RecordKey("n"), by=1)
    for number in range(SYNCS):
        requests = [a_request(changes, mutation_id=f"{number}-{node}") for node in range(NODES)]
        await asyncio.gather(*(synced(store, request) for store, request in zip(nodes, requests, strict=True)))
        if figures_of(metrics).families["syncline_store_retries"].samples:
            break
    await asyncio.gather(*(store.close() for store in nodes))

    assert figures_of(metrics).of("store_retries_total", sqlstate="40001") > 0


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_broken_connection_is_counted_as_that(postgres_server: PostgresServer, nth: int) -> None:
    metrics = Metrics()
    async with lossy_proxy(postgres_server.port) as proxy:
        url = postgres_server.url(postgres_server.empty_database(), port=proxy.port)
        store = await PostgresStore.open(url, connections=2, metrics=metrics)
        marker = "the one whose answer is lost"
        proxy.lose_answer_to(marker.encode(), nth=nth)
        await synced(store, a_request(Increment(key=RecordKey("n"), by=1), mutation_id=marker))
        await store.close()

    [retried] = figures_of(metrics).families["syncline_store_retries"].samples
    assert retried.value == 1
    assert retried.labels["sqlstate"] == "none" or retried.labels["sqlstate"].startswith("08")

"""Several nodes on one database."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import asyncpg
import pytest

from syncline.core.changes import Increment
from syncline.core.checkpoint import START
from syncline.core.ids import DatasetName, RecordKey
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy
from syncline.core.pages import PageRequest
from syncline.errors import DatasetExists, LimitExceeded, StartRefused, StoreTooNew, StoreUnavailable
from syncline.ports import Synced
from syncline.storage.postgres import PostgresStore
from tests.support.builders import ALICE, NOW, a_dataset_id, a_request, a_viewer, named, put
from tests.support.postgres import PostgresServer
from tests.support.stores import read, read_page, synced

NODES = 2


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.create_database())


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Sequence[PostgresStore]]:
    async with AsyncExitStack() as stack:
        stores = [await PostgresStore.open(url, connections=4) for _ in range(NODES)]
        for store in stores:
            stack.push_async_callback(store.close)
        yield stores


async def test_fifty_retries_over_two_nodes_have_one_effect_and_equal_answers(nodes: Sequence[PostgresStore]) -> None:
    request = a_request(Increment(key=RecordKey("counter"), by=1), put("a"), since=START)

    outcomes = await asyncio.gather(*(synced(nodes[n % NODES], request) for n in range(50)))

    assert Counter(outcome.replayed for outcome in outcomes) == {True: 49, False: 1}
    assert {(o.head.id, o.head.version, o.outcomes, o.page, tuple(sorted(o.records))) for o in outcomes} == {
        (outcomes[0].head.id, 1, outcomes[0].outcomes, outcomes[0].page, ("a", "counter"))
    }
    assert [(record.key, record.value) for record in (await read_page(nodes[1])).records] == [
        ("counter", "1"),
        ("a", "true"),
    ]


async def test_syncs_of_one_dataset_on_two_nodes_get_a_version_each(nodes: Sequence[PostgresStore]) -> None:
    requests = [
        a_request(Increment(key=RecordKey("counter"), by=1), put(f"k{n}"), viewer=a_viewer(device=f"device-{n}"))
        for n in range(120)
    ]

    outcomes = await asyncio.gather(*(synced(nodes[n % NODES], each) for n, each in enumerate(requests)))

    assert sorted(outcome.head.version for outcome in outcomes) == list(range(1, 121))
    assert sum(outcome.created for outcome in outcomes) == 1
    values = sorted(int(outcome.records[RecordKey("counter")].value or 0) for outcome in outcomes)
    assert values == list(range(1, 121))
    for outcome in outcomes:
        assert outcome.commit is not None
        assert outcome.commit.position.version == outcome.commit.previous.version + 1
    page = await read_page(nodes[0])
    assert len(page.records) == 121
    assert sum(record.version == 120 for record in page.records) == 2


async def test_two_nodes_together_keep_the_limit_of_datasets(nodes: Sequence[PostgresStore]) -> None:
    limits = Limits(datasets=5)

    async def by_sync(n: int) -> object:
        request = replace(a_request(put("a"), ref=named(f"s{n}")), limits=limits)
        return await nodes[n % NODES].sync(request, PageRequest())

    async def by_name(n: int) -> object:
        return await nodes[n % NODES].create_dataset(
            ALICE, DatasetName(f"c{n}"), ConflictPolicy.REJECT, new_id=a_dataset_id(), limits=limits, now=NOW
        )

    outcomes = await asyncio.gather(
        *(make(n) for n in range(20) for make in (by_sync, by_name)), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(error) for error in refused] == [LimitExceeded] * 35
    assert len(await nodes[0].datasets(ALICE.identity, first=100)) == 5


async def test_one_name_created_on_two_nodes_makes_one_dataset(nodes: Sequence[PostgresStore]) -> None:
    for round_ in range(10):
        name = DatasetName(f"notes-{round_}")
        outcomes = await asyncio.gather(
            *(
                nodes[n].create_dataset(
                    ALICE, name, ConflictPolicy.REJECT, new_id=a_dataset_id(), limits=Limits(), now=NOW
                )
                for n in range(NODES)
            ),
            *(synced(nodes[n], a_request(put(f"k{n}"), ref=named(name))) for n in range(NODES)),
            return_exceptions=True,
        )

        assert all(isinstance(o, DatasetExists) for o in outcomes if isinstance(o, BaseException)), outcomes
        made = sum(not isinstance(o, BaseException) and (not isinstance(o, Synced) or o.created) for o in outcomes)
        assert made == 1
        page = await read_page(nodes[0], ref=named(name))
        assert sorted(record.key for record in page.records) == ["k0", "k1"]
    assert len(await nodes[0].datasets(ALICE.identity, first=100)) == 10


async def test_a_policy_changed_on_one_node_decides_the_syncs_of_the_other(nodes: Sequence[PostgresStore]) -> None:
    await synced(nodes[0], a_request(put("a", 1)))
    policies = [ConflictPolicy.LAST_WRITER_WINS, ConflictPolicy.REJECT] * 10

    async def change_policies() -> None:
        for policy in policies:
            await nodes[1].update_dataset(ALICE, named(), policy, now=NOW)

    async def sync() -> None:
        for n in range(60):
            await synced(nodes[0], a_request(put(f"k{n}")))

    await asyncio.gather(change_policies(), sync())

    head = (await read(nodes[0])).head
    assert head is not None
    assert (head.version, head.conflict_policy) == (61, ConflictPolicy.REJECT)


async def test_nothing_is_written_to_a_dataset_that_another_node_deleted(nodes: Sequence[PostgresStore]) -> None:
    for round_ in range(10):
        ref = named(f"notes-{round_}")
        first = await synced(nodes[0], a_request(put("a"), ref=ref))
        syncs = [nodes[0].sync(a_request(put(f"k{n}"), ref=ref), PageRequest()) for n in range(5)]

        await asyncio.gather(*syncs, nodes[1].delete_dataset(ALICE, ref, now=NOW))

        assert await nodes[0].records(first.head.id, first=10) == []
        head = await nodes[0].dataset(ALICE, replace(ref, name=None, id=first.head.id))
        assert head is not None
        assert (head.record_count, head.size_bytes) == (0, 0)


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


async def test_callers_that_go_away_leave_nothing_half_done(nodes: Sequence[PostgresStore]) -> None:
    await synced(nodes[0], a_request(put("a")))
    chance = random.Random(1)  # noqa: S311

    async def abandon(n: int) -> None:
        task = asyncio.create_task(
            synced(nodes[n % NODES], a_request(put(f"{n}-one"), put(f"{n}-two"), viewer=a_viewer(device=f"d{n}")))
        )
        await asyncio.sleep(chance.random() * 0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*(abandon(n) for n in range(60)))
    last = await synced(nodes[0], a_request(put("last")))
    await synced(nodes[1], a_request(put("very last")))

    page = await read_page(nodes[0])
    halves = Counter(record.key.partition("-")[0] for record in page.records if "-" in record.key)
    assert set(halves.values()) <= {2}
    assert last.head.version <= len(halves) + 2

"""PostgreSQL that breaks off, dies, hangs, or is another one all of a sudden."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator

import pytest

from syncline.core.changes import Increment
from syncline.core.checkpoint import ResyncReason
from syncline.core.ids import RecordKey
from syncline.core.pages import PageRequest
from syncline.errors import StartRefused, StoreUnavailable
from syncline.ports import Synced
from syncline.storage.postgres import PostgresStore
from tests.support.builders import ALICE, a_request, a_viewer, put
from tests.support.lossy_proxy import LossyProxy, lossy_proxy
from tests.support.postgres import PostgresServer
from tests.support.stores import checkpoint, read, read_page, synced

MARKER = "mutation-to-watch"


@pytest.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[LossyProxy]:
    async with lossy_proxy(postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(postgres_server: PostgresServer, proxy: LossyProxy) -> AsyncIterator[PostgresStore]:
    url = postgres_server.url(postgres_server.empty_database(), port=proxy.port)
    store = await PostgresStore.open(url, connections=4)
    yield store
    await store.close()


async def test_a_sync_whose_commit_went_through_is_not_reported_as_failed_when_its_answer_is_lost(
    store: PostgresStore, proxy: LossyProxy
) -> None:
    await synced(store, a_request(Increment(key=RecordKey("n"), by=1)))
    # A sync's id is in what loads it, and then in what writes it.
    proxy.lose_answer_to(MARKER.encode(), nth=2)

    outcome = await synced(store, a_request(Increment(key=RecordKey("n"), by=1), mutation_id=MARKER))

    assert proxy.lost == 1
    assert (outcome.replayed, outcome.head.version) == (False, 2)
    assert outcome.commit is not None
    assert [record.value for record in (await read_page(store)).records] == ["2"]


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_sync_that_did_not_reach_the_database_is_sent_again(
    store: PostgresStore, proxy: LossyProxy, nth: int
) -> None:
    await synced(store, a_request(Increment(key=RecordKey("n"), by=1)))
    proxy.lose_request(MARKER.encode(), nth=nth)

    outcome = await synced(store, a_request(Increment(key=RecordKey("n"), by=1), mutation_id=MARKER))

    assert proxy.lost == 1
    assert (outcome.replayed, outcome.head.version) == (False, 2)
    assert [record.value for record in (await read_page(store)).records] == ["2"]


async def test_whatever_is_lost_of_a_group_each_sync_is_answered_and_done_once(
    store: PostgresStore, proxy: LossyProxy
) -> None:
    for round_ in range(4):
        name = f"mutation-{round_}-3"
        proxy.lose_answer_to(name.encode(), nth=2)
        requests = [
            a_request(
                Increment(key=RecordKey("n"), by=1),
                viewer=a_viewer(device=f"d{n}"),
                mutation_id=f"mutation-{round_}-{n}",
            )
            for n in range(8)
        ]

        outcomes = await asyncio.gather(*(synced(store, request) for request in requests))

        assert proxy.lost == round_ + 1
        assert not any(outcome.replayed for outcome in outcomes)
        assert sorted(outcome.head.version for outcome in outcomes) == list(range(round_ * 8 + 1, round_ * 8 + 9))
    assert [record.value for record in (await read_page(store)).records] == ["32"]


async def test_cut_connections_cost_no_acknowledged_sync_and_double_none(
    store: PostgresStore, proxy: LossyProxy
) -> None:
    acknowledged: list[int] = []
    chance = random.Random(7)  # noqa: S311

    async def write(device: int) -> None:
        for n in range(40):
            request = a_request(Increment(key=RecordKey("n"), by=1), viewer=a_viewer(device=f"d{device}"))
            while True:
                try:
                    outcome = await store.sync(request, PageRequest())
                except StoreUnavailable:
                    await asyncio.sleep(0.01)
                    continue
                assert isinstance(outcome, Synced)
                acknowledged.append(n)
                break

    async def cut() -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.01, 0.08))
            proxy.cut()

    cutting = asyncio.create_task(cut())
    await asyncio.gather(*(write(device) for device in range(6)))
    cutting.cancel()
    await asyncio.gather(cutting, return_exceptions=True)

    assert len(acknowledged) == 240
    head = (await read(store)).head
    assert head is not None
    assert head.version == 240
    assert [record.value for record in (await read_page(store)).records] == ["240"]


async def test_a_server_that_crashes_and_comes_back_has_all_that_was_acknowledged() -> None:
    with PostgresServer("fsync=off") as server:
        store = await PostgresStore.open(server.url(server.create_database()), connections=4)
        acknowledged: set[str] = set()
        acknowledgements = asyncio.Semaphore(0)
        stopped = asyncio.Event()

        async def wait_for(count: int) -> None:
            for _ in range(count):
                await acknowledgements.acquire()

        async def write(device: int) -> None:
            n = 0
            while not stopped.is_set():
                n += 1
                key = f"{device}-{n}"
                request = a_request(put(key), viewer=a_viewer(f"identity-{device % 3}", f"d{device}"))
                while not stopped.is_set():
                    try:
                        await store.sync(request, PageRequest())
                    except StoreUnavailable:
                        await asyncio.sleep(0.02)
                    else:
                        acknowledged.add(key)
                        acknowledgements.release()
                        break

        writers = [asyncio.create_task(write(device)) for device in range(6)]
        for _ in range(3):
            await wait_for(60)
            await asyncio.to_thread(server.stop, signal.SIGQUIT)
            await asyncio.to_thread(server.start)
        await wait_for(60)
        stopped.set()
        await asyncio.gather(*writers)

        found: set[str] = set()
        for identity in range(3):
            viewer = a_viewer(f"identity-{identity}")
            log = await read(store, viewer=viewer, page=PageRequest(first=100_000))
            assert log.page is not None
            assert log.head is not None
            assert sorted(record.version for record in log.page.records) == list(range(1, log.head.version + 1))
            found |= {record.key for record in log.page.records}
        await store.close()
    assert acknowledged <= found
    assert len(found - acknowledged) <= 6


async def test_a_server_that_is_gone_is_answered_as_unavailable() -> None:
    with PostgresServer() as server:
        store = await PostgresStore.open(server.url(server.create_database()), connections=4)
        await synced(store, a_request(put("a")))
        await asyncio.to_thread(server.stop)

        with pytest.raises(StoreUnavailable):
            await store.sync(a_request(put("b")), PageRequest())
        with pytest.raises(StoreUnavailable):
            await read(store)

        await asyncio.to_thread(server.start)
        assert [record.key for record in (await read_page(store)).records] == ["a"]
        await store.close()


async def test_devices_resync_when_a_replica_is_promoted_that_lost_commits() -> None:
    with PostgresServer() as primary, PostgresServer(initialised=False) as replica:
        name = primary.create_database()
        async with lossy_proxy(primary.port) as proxy:
            store = await PostgresStore.open(primary.url(name, port=proxy.port), connections=4)
            first = await synced(store, a_request(put("kept")))
            old_epoch = await store.epoch()
            await asyncio.to_thread(replica.copy_of, primary)
            await synced(store, a_request(put("lost")))
            since = await checkpoint(store, first.head.id)

            await asyncio.to_thread(primary.stop)
            await asyncio.to_thread(replica.promote)
            proxy.lead_to(replica.port)
            proxy.cut()

            log = await read(store, since, viewer=ALICE)
            assert log.reason is ResyncReason.EPOCH_CHANGED
            assert log.page is not None
            assert [record.key for record in log.page.records] == ["kept"]
            assert await store.epoch() == log.epoch != old_epoch
            await synced(store, a_request(put("new")))
            await store.close()

            again = await PostgresStore.open(primary.url(name, port=proxy.port), connections=2)
            assert await again.epoch() == log.epoch
            await again.close()


async def test_a_replica_is_not_written_to() -> None:
    with PostgresServer() as primary, PostgresServer(initialised=False) as replica:
        name = primary.create_database()
        await asyncio.to_thread(replica.copy_of, primary)

        with pytest.raises(StartRefused, match="cannot connect"):
            await PostgresStore.open(replica.url(name), connections=2)

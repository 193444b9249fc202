"""Several nodes on one database: what ``Store`` promises holds for all of them together."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from syncline.core.changes import Increment
from syncline.core.checkpoint import START
from syncline.core.ids import DatasetName, RecordKey
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetScope
from syncline.core.pages import PageRequest
from syncline.errors import DatasetExists, LimitExceeded
from syncline.ports import Store, Synced
from tests.support import stores
from tests.support.builders import ALICE, NOW, a_dataset_id, a_request, a_viewer, named, put
from tests.support.stores import head_of, read, read_page, synced

NODES = 2


@pytest.fixture(params=["sqlite", "postgres"])
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sequence[Store]]:
    open_store = (
        stores.sqlite(tmp_path, shared=True)
        if request.param == "sqlite"
        else stores.postgres(request.getfixturevalue("postgres_server"))
    )
    async with AsyncExitStack() as stack:
        opened = [await open_store() for _ in range(NODES)]
        for store in opened:
            stack.push_async_callback(store.close)
        yield opened


async def test_fifty_retries_over_two_nodes_have_one_effect_and_equal_answers(nodes: Sequence[Store]) -> None:
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


async def test_syncs_of_one_dataset_on_two_nodes_get_a_version_each(nodes: Sequence[Store]) -> None:
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


async def test_two_nodes_together_keep_the_limit_of_datasets(nodes: Sequence[Store]) -> None:
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
    assert len(await nodes[0].datasets(ALICE, DatasetScope.ALL, first=100)) == 5


async def test_the_last_dataset_that_an_owner_may_have_is_created_on_one_of_two_nodes(nodes: Sequence[Store]) -> None:
    for round_ in range(30):
        viewer = a_viewer(f"identity-{round_}")
        requests = [
            replace(a_request(put("a"), viewer=viewer, ref=named(f"notes-{n}")), limits=Limits(datasets=1))
            for n in range(NODES)
        ]

        outcomes = await asyncio.gather(
            *(node.sync(request, PageRequest()) for node, request in zip(nodes, requests, strict=True)),
            return_exceptions=True,
        )

        assert sum(isinstance(outcome, LimitExceeded) for outcome in outcomes) == NODES - 1, outcomes
        assert len(await nodes[0].datasets(viewer, DatasetScope.ALL, first=10)) == 1


async def test_one_name_created_on_two_nodes_makes_one_dataset(nodes: Sequence[Store]) -> None:
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
    assert len(await nodes[0].datasets(ALICE, DatasetScope.ALL, first=100)) == 10


async def test_a_policy_changed_on_one_node_decides_the_syncs_of_the_other(nodes: Sequence[Store]) -> None:
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


async def test_nothing_is_written_to_a_dataset_that_another_node_deleted(nodes: Sequence[Store]) -> None:
    for round_ in range(10):
        ref = named(f"notes-{round_}")
        first = await synced(nodes[0], a_request(put("a"), ref=ref))
        syncs = [nodes[0].sync(a_request(put(f"k{n}"), ref=ref), PageRequest()) for n in range(5)]

        await asyncio.gather(*syncs, nodes[1].delete_dataset(ALICE, ref, now=NOW))

        assert await nodes[0].records(ALICE, first.head.id, first=10) == []
        head = await head_of(nodes[0], replace(ref, name=None, id=first.head.id))
        assert head is not None
        assert (head.record_count, head.size_bytes) == (0, 0)


async def test_callers_that_go_away_leave_nothing_half_done(nodes: Sequence[Store]) -> None:
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

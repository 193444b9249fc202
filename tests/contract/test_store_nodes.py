"""Several nodes on one database: what ``Store`` promises holds for all of them together."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncpg import Connection

from syncline.core.changes import Increment
from syncline.core.checkpoint import START
from syncline.core.ids import DatasetName, RecordKey
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetScope, Role, Standing
from syncline.core.pages import PageRequest
from syncline.core.sharing import AcceptInvitation, ChangeRole, RemoveMember, TransferOwnership
from syncline.errors import (
    DatasetExists,
    DatasetIsDeleted,
    DatasetNotFound,
    Forbidden,
    InvitationNotFound,
    LimitExceeded,
    MutationIdReused,
)
from syncline.ports import Shared, Store, Synced
from tests.support import stores
from tests.support.builders import ALICE, BOB, NOW, a_dataset_id, a_request, a_viewer, by_id, named, put
from tests.support.postgres import PostgresServer
from tests.support.sharing import add_member, an_invitation, code_hash, share
from tests.support.stores import StoreFactory, create, head_of, read, read_page, synced

NODES = 2


@pytest.fixture(params=["sqlite", "postgres"])
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sequence[Store]]:
    open_store = (
        stores.sqlite(tmp_path, shared=True)
        if request.param == "sqlite"
        else stores.postgres(request.getfixturevalue("postgres_server"))
    )
    async with opened(open_store) as nodes:
        yield nodes


@asynccontextmanager
async def opened(open_store: StoreFactory) -> AsyncIterator[Sequence[Store]]:
    async with AsyncExitStack() as stack:
        nodes = [await open_store() for _ in range(NODES)]
        for store in nodes:
            stack.push_async_callback(store.close)
        yield nodes


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


# --- sharing ----------------------------------------------------------------------------------------------------------


async def test_a_sync_of_a_removed_editor_is_refused_on_the_other_node(nodes: Sequence[Store]) -> None:
    head = await create(nodes[0])
    for round_ in range(20):
        await add_member(nodes[0], head.id, BOB, Role.EDITOR)
        before = (await nodes[0].heads([head.id]))[head.id].version
        syncs = [
            asyncio.create_task(synced(nodes[1], a_request(put(f"{round_}-{n}"), viewer=BOB, ref=by_id(head.id))))
            for n in range(8)
        ]
        async with asyncio.timeout(20):
            while (await nodes[0].heads([head.id]))[head.id].version == before:
                continue

        await share(nodes[0], RemoveMember(identity=BOB.identity))
        at_removal = (await nodes[0].heads([head.id]))[head.id].version
        outcomes = await asyncio.gather(*syncs, return_exceptions=True)
        late = await asyncio.gather(
            synced(nodes[1], a_request(put("late"), viewer=BOB, ref=by_id(head.id))), return_exceptions=True
        )

        done = [outcome for outcome in outcomes if isinstance(outcome, Synced)]
        refused = [outcome for outcome in (*outcomes, *late) if isinstance(outcome, DatasetNotFound)]
        assert len(done) + len(refused) == 9, (outcomes, late)
        assert max(outcome.head.version for outcome in done) == at_removal
        assert (await nodes[0].heads([head.id]))[head.id].version == at_removal == before + len(done)


async def test_a_sync_that_was_decided_before_a_removal_and_comes_to_be_written_after_it_is_refused(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Connection.fetch
    removed = False

    async def fetch(self: Connection, query: str, *arguments: Any, **options: Any) -> Any:
        nonlocal removed
        if "locked AS MATERIALIZED" in query and not removed:
            # It is decided, and on its way.
            removed = True
            await share(both[1], RemoveMember(identity=BOB.identity))
        return await sound(self, query, *arguments, **options)

    monkeypatch.setattr(Connection, "fetch", fetch)
    async with opened(stores.postgres(postgres_server)) as both:
        head = await create(both[0])
        await add_member(both[0], head.id, BOB, Role.EDITOR)
        with pytest.raises(DatasetNotFound):
            await synced(both[0], a_request(put("a"), viewer=BOB, ref=by_id(head.id)))

        assert removed
        assert await both[0].records(ALICE, head.id, first=10) == []


@pytest.mark.parametrize("to_role", [Role.VIEWER, None])
async def test_an_editor_who_is_one_no_longer_writes_nothing_on_the_other_node(
    nodes: Sequence[Store], to_role: Role | None
) -> None:
    head = await create(nodes[0])
    await add_member(nodes[0], head.id, BOB, Role.EDITOR)
    await synced(nodes[1], a_request(put("a"), viewer=BOB, ref=by_id(head.id)))
    act = RemoveMember(identity=BOB.identity) if to_role is None else ChangeRole(identity=BOB.identity, role=to_role)
    await share(nodes[0], act)

    with pytest.raises(DatasetNotFound if to_role is None else Forbidden):
        await synced(nodes[1], a_request(put("b"), viewer=BOB, ref=by_id(head.id)))

    assert (await nodes[0].heads([head.id]))[head.id].version == 1


async def test_a_code_is_used_as_often_as_it_may_on_two_nodes_together(nodes: Sequence[Store]) -> None:
    head = await create(nodes[0])
    await share(nodes[0], an_invitation(uses=5))
    accept = AcceptInvitation(code_hash=code_hash("code"))

    outcomes = await asyncio.gather(
        *(share(nodes[n % NODES], accept, viewer=a_viewer(f"bearer-{n}"), ref=None) for n in range(20)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, InvitationNotFound) for outcome in outcomes) == 15, outcomes
    assert len(await nodes[1].members(ALICE, head.id, first=100)) == 1 + 5
    assert (await nodes[1].heads([head.id]))[head.id].scope == 5


async def test_who_gives_a_dataset_away_deletes_it_before_or_not_at_all(nodes: Sequence[Store]) -> None:
    for round_ in range(20):
        ref = named(f"notes-{round_}")
        head = await create(nodes[0], ref)
        await add_member(nodes[0], head.id, BOB, Role.EDITOR)
        by = by_id(head.id) if round_ % 2 else ref

        given, deleted = await asyncio.gather(
            share(nodes[0], TransferOwnership(identity=BOB.identity), ref=by_id(head.id), limits=Limits(datasets=99)),
            nodes[1].delete_dataset(ALICE, by, now=NOW),
            return_exceptions=True,
        )

        found = await nodes[0].dataset(BOB, by_id(head.id))
        assert found is not None
        if isinstance(given, BaseException):
            assert isinstance(given, DatasetIsDeleted)
            assert not isinstance(deleted, BaseException)
            assert found == Standing(head=deleted, role=Role.EDITOR)
        else:
            assert isinstance(deleted, Forbidden | DatasetNotFound), deleted
            assert (found.role, found.head.deleted_at) == (Role.OWNER, None)


async def test_two_nodes_together_keep_the_limit_of_datasets_of_who_is_given_some(nodes: Sequence[Store]) -> None:
    limits = Limits(datasets=3)
    givers = [a_viewer(f"giver-{n}") for n in range(6)]
    for n, giver in enumerate(givers):
        head = await create(nodes[0], named(f"given-{n}"), viewer=giver)
        await add_member(nodes[0], head.id, BOB, Role.EDITOR, owner=giver)

    async def give(n: int) -> object:
        act = TransferOwnership(identity=BOB.identity)
        return await share(nodes[n % NODES], act, viewer=givers[n], ref=named(f"given-{n}"), limits=limits)

    async def by_sync(n: int) -> object:
        return await synced(nodes[n % NODES], a_request(put("a"), viewer=BOB, ref=named(f"s{n}"), limits=limits))

    async def by_name(n: int) -> object:
        return await nodes[n % NODES].create_dataset(
            BOB, DatasetName(f"c{n}"), ConflictPolicy.REJECT, new_id=a_dataset_id(), limits=limits, now=NOW
        )

    outcomes = await asyncio.gather(
        *(make(n) for n in range(6) for make in (give, by_sync, by_name)), return_exceptions=True
    )

    assert sum(isinstance(outcome, LimitExceeded) for outcome in outcomes) == 15, outcomes
    assert len(await nodes[0].datasets(BOB, DatasetScope.OWNED, first=100)) == 3


async def test_a_name_is_given_to_somebody_or_made_by_it_on_another_node_once(nodes: Sequence[Store]) -> None:
    for round_ in range(10):
        taker = a_viewer(f"taker-{round_}")
        head = await create(nodes[0], named(f"notes-{round_}"))
        await add_member(nodes[0], head.id, taker, Role.EDITOR)

        given, made = await asyncio.gather(
            share(nodes[0], TransferOwnership(identity=taker.identity), ref=by_id(head.id), limits=Limits(datasets=99)),
            synced(nodes[1], a_request(put("theirs"), viewer=taker, ref=named(f"notes-{round_}"))),
            return_exceptions=True,
        )

        assert isinstance(made, Synced), made
        assert isinstance(given, DatasetExists) if made.created else isinstance(given, Shared), (given, made)
        [owned] = await nodes[1].datasets(taker, DatasetScope.OWNED, first=10)
        assert owned.head.id == made.head.id
        assert (made.head.id == head.id) == (not made.created)


async def test_a_transfer_under_syncs_of_two_nodes_loses_nothing(nodes: Sequence[Store]) -> None:
    head = await create(nodes[0])
    await add_member(nodes[0], head.id, BOB, Role.EDITOR)
    members = [ALICE, BOB]

    async def sync(n: int) -> Synced:
        viewer = a_viewer(members[n % 2].identity, f"device-{n}")
        return await synced(nodes[n // 2 % NODES], a_request(put(f"k{n:02}"), viewer=viewer, ref=by_id(head.id)))

    async def transfers() -> None:
        for n in range(6):
            act = TransferOwnership(identity=members[1 - n % 2].identity)
            await share(nodes[n // 3], act, viewer=members[n % 2], ref=by_id(head.id))

    outcomes, _ = await asyncio.gather(asyncio.gather(*(sync(n) for n in range(60))), transfers())

    assert sorted(outcome.head.version for outcome in outcomes) == list(range(1, 61))
    records = await nodes[1].records(BOB, head.id, first=100)
    assert [record.key for record in records] == [f"k{n:02}" for n in range(60)]
    assert (await nodes[1].heads([head.id]))[head.id].scope == 1 + 6


async def test_a_mutation_id_of_two_datasets_at_once_is_used_for_one(nodes: Sequence[Store]) -> None:
    refs = [by_id((await create(nodes[0], named(f"notes-{n}"))).id) for n in range(2)]
    for round_ in range(10):
        outcomes = await asyncio.gather(
            *(synced(nodes[n], a_request(put("a", round_), ref=refs[n], mutation_id=f"m-{round_}")) for n in range(2)),
            return_exceptions=True,
        )

        assert Counter(type(outcome) for outcome in outcomes) == {Synced: 1, MutationIdReused: 1}, outcomes

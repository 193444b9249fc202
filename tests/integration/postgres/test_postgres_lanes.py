"""Members of one node who write to one dataset: none is in another's way, and none waits for more trips than two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from zlib import crc32

import asyncpg
import pytest

from syncline.core.changes import Increment
from syncline.core.ids import RecordKey
from syncline.core.model import Role, Viewer
from syncline.core.sharing import RemoveMember, TransferOwnership
from syncline.errors import DatasetNotFound, SynclineError
from syncline.ports import Synced
from syncline.storage import postgres_syncs
from syncline.storage.postgres import PostgresStore
from syncline.storage.postgres_syncs import LANES, _Lane
from tests.support.builders import ALICE, a_request, a_viewer, by_id, put
from tests.support.postgres import PostgresServer
from tests.support.sharing import add_member, share
from tests.support.stores import create, synced

WRITERS = [a_viewer(f"writer-{n}") for n in range(20)]


@pytest.fixture
async def store(postgres_server: PostgresServer) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(postgres_server.url(postgres_server.empty_database()), connections=5)
    yield store
    await store.close()


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each group, how many syncs somebody got in the way of."""
    lost: list[int] = []
    sound = _Lane._attempt

    async def attempt(self: _Lane, *arguments: Any, **options: Any) -> Any:
        left = await sound(self, *arguments, **options)
        lost.append(len(left))
        return left

    monkeypatch.setattr(_Lane, "_attempt", attempt)
    return lost


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent, each in a trip of its own."""
    sent: list[str] = []
    sound = asyncpg.Connection.fetch

    async def fetch(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        sent.append(query)
        return await sound(self, query, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "fetch", fetch)
    return sent


def lane(viewer: Viewer) -> int:
    return crc32(viewer.identity.encode()) % LANES


def elsewhere(viewer: Viewer) -> Viewer:
    """One whose own datasets are in another lane."""
    return next(writer for writer in WRITERS if lane(writer) != lane(viewer))


OWNERS = [ALICE, elsewhere(ALICE)]
"""One in each lane."""


async def test_twenty_members_who_write_to_one_dataset_at_once_lose_no_sync_to_each_other(
    store: PostgresStore, lost: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many groups in each lane, and a connection for each from the start: they would meet.
    monkeypatch.setattr(postgres_syncs, "MAX_GROUP_SYNCS", 5)
    await asyncio.gather(*(store.usage(ALICE.identity) for _ in range(5)))
    head = await create(store)
    for writer in WRITERS:
        await add_member(store, head.id, writer, Role.EDITOR)

    for _ in range(3):
        syncs = [
            a_request(Increment(key=RecordKey("n"), by=1), viewer=writer, ref=by_id(head.id))
            for writer in (*WRITERS, ALICE)
            for _ in range(5)
        ]
        outcomes = await asyncio.gather(*(synced(store, sync) for sync in syncs))

    assert max(outcome.head.version for outcome in outcomes) == 3 * 5 * 21
    assert len({lane(writer) for writer in WRITERS}) == LANES
    assert sum(lost) == 0


async def test_a_sync_is_two_trips_and_a_members_first_one_of_an_unknown_dataset_three(
    store: PostgresStore, statements: list[str]
) -> None:
    head = await create(store)
    member = elsewhere(ALICE)
    await add_member(store, head.id, member, Role.EDITOR)

    trips: list[int] = []
    for viewer in (ALICE, member, member, ALICE):
        statements.clear()
        await synced(store, a_request(put("a", len(trips)), viewer=viewer, ref=by_id(head.id)))
        trips.append(len(statements))

    assert trips == [2, 3, 2, 2]


async def test_the_lane_of_a_dataset_that_changes_hands_changes_with_it(
    store: PostgresStore, statements: list[str]
) -> None:
    head = await create(store)
    member = elsewhere(ALICE)
    await add_member(store, head.id, member, Role.EDITOR)
    await synced(store, a_request(put("a"), viewer=member, ref=by_id(head.id)))
    await share(store, TransferOwnership(identity=member.identity))

    trips: list[int] = []
    for viewer in (ALICE, ALICE, member):
        statements.clear()
        await synced(store, a_request(put("a", len(trips)), viewer=viewer, ref=by_id(head.id)))
        trips.append(len(statements))

    assert trips == [3, 2, 2]


async def test_who_is_removed_is_refused_in_whatever_lane(store: PostgresStore, statements: list[str]) -> None:
    head = await create(store)
    member = elsewhere(ALICE)
    await add_member(store, head.id, member, Role.EDITOR)
    await synced(store, a_request(put("a"), viewer=member, ref=by_id(head.id)))
    await share(store, RemoveMember(identity=member.identity))
    statements.clear()

    with pytest.raises(DatasetNotFound):
        await synced(store, a_request(put("b"), viewer=member, ref=by_id(head.id)))

    assert len(statements) == 1


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.identity)
async def test_what_was_accepted_is_done_before_the_store_is_closed_also_what_has_to_change_lanes(
    postgres_server: PostgresServer, owner: Viewer
) -> None:
    url = postgres_server.url(postgres_server.empty_database())
    store = await PostgresStore.open(url, connections=5)
    head = await create(store, viewer=owner)
    # The owner's lane has nothing to do until it is given all of this.
    members = [writer for writer in WRITERS if lane(writer) != lane(owner)]
    for member in members:
        await add_member(store, head.id, member, Role.EDITOR, owner=owner)
    syncs = [
        asyncio.create_task(synced(store, a_request(put(f"{n}"), viewer=member, ref=by_id(head.id))))
        for n, member in enumerate(members)
    ]
    await asyncio.sleep(0)

    await store.close()
    outcomes = await asyncio.gather(*syncs, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Synced] * len(members)
    with pytest.raises(SynclineError, match="closed"):
        await synced(store, a_request(put("late")))

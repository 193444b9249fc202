"""A guest is linked by one node, in the middle of what another one does in its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from syncline.core.checkpoint import START
from syncline.core.ids import DatasetName
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest, LinkRule
from syncline.core.model import ConflictPolicy, DatasetRef, DatasetScope, Role, Viewer
from syncline.core.pages import PageRequest
from syncline.core.sharing import AcceptInvitation, Act, Share, SharingRequest
from syncline.errors import GuestLinked, InvalidInput
from syncline.storage import postgres_linking
from syncline.storage.postgres import PostgresStore
from syncline.storage.postgres_group import Job
from syncline.storage.postgres_migrations import Connection
from syncline.storage.postgres_syncs import _Lane
from syncline.storage.rows import Row
from tests.support.builders import ALICE, BOB, NOW, a_dataset_id, a_request, a_viewer, by_id, named, put
from tests.support.postgres import PostgresServer
from tests.support.stores import write

GUEST = a_viewer("guest-" + "0" * 32)
PATIENCE_SECONDS = 30.0


@pytest.fixture
async def nodes(postgres_server: PostgresServer) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    url = postgres_server.url(postgres_server.empty_database())
    stores = await PostgresStore.open(url, connections=4), await PostgresStore.open(url, connections=4)
    await stores[0].create_guest(GUEST.identity, now=NOW)
    yield stores
    for store in stores:
        await store.close()


def a_link() -> LinkRequest:
    return LinkRequest(guest=GUEST.identity, viewer=ALICE, rule=LinkRule.KEEP_BOTH, limits=Limits(), now=NOW)


def by(viewer: Viewer, act: Act, ref: DatasetRef | None = None) -> SharingRequest:
    return SharingRequest(viewer=viewer, ref=ref, act=act, limits=Limits(), now=NOW)


@pytest.mark.parametrize("where", ["a dataset of its own", "a new dataset", "somebody else's dataset"])
async def test_a_sync_that_was_decided_before_the_link_and_not_written_is_refused(
    nodes: tuple[PostgresStore, PostgresStore], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, linking = nodes
    bobs = (await write(linking, put("seed"), viewer=BOB)).head.id
    await linking.share(by(BOB, Share(identity=GUEST.identity, role=Role.EDITOR), by_id(bobs)))
    await write(linking, put("seed"), viewer=GUEST)
    ref = {"a dataset of its own": named(), "a new dataset": named("new")}.get(where, by_id(bobs))
    load = _Lane._load
    linked: list[object] = []

    async def then_link(self: _Lane, connection: Connection, jobs: Sequence[Job]) -> list[Row]:
        rows = await load(self, connection, jobs)
        if not linked:
            linked.append(await linking.link_guest(a_link()))
        return rows

    monkeypatch.setattr(_Lane, "_load", then_link)
    with pytest.raises(GuestLinked):
        await syncing.sync(a_request(put("late"), viewer=GUEST, ref=ref), PageRequest())
    monkeypatch.undo()
    assert linked
    for standing in await linking.datasets(ALICE, DatasetScope.ALL, first=100):
        read = await linking.read_log(ALICE, by_id(standing.head.id), START, PageRequest())
        assert read.page is not None
        assert [record.key for record in read.page.records] == ["seed"]
    assert await linking.datasets(GUEST, DatasetScope.ALL, first=100) == []


async def test_whatever_else_is_begun_in_a_guests_name_waits_for_the_link_and_is_refused(
    nodes: tuple[PostgresStore, PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    acting, linking = nodes
    bobs = (await write(linking, put("seed"), viewer=BOB)).head.id
    await write(linking, put("seed"), viewer=GUEST)
    under_way, go_on = asyncio.Event(), asyncio.Event()
    load = postgres_linking._load

    async def slowly(*arguments: Any) -> Any:
        state = await load(*arguments)
        under_way.set()
        await go_on.wait()
        return state

    monkeypatch.setattr(postgres_linking, "_load", slowly)
    async with asyncio.timeout(PATIENCE_SECONDS):
        link = asyncio.create_task(linking.link_guest(a_link()))
        await under_way.wait()
        new = {"new_id": a_dataset_id(), "limits": Limits(), "now": NOW}
        acts = [
            acting.create_dataset(GUEST, DatasetName("new"), ConflictPolicy.REJECT, **new),  # type: ignore[arg-type]
            acting.delete_dataset(GUEST, named(), now=NOW),
            acting.update_dataset(GUEST, named(), ConflictPolicy.MERGE, now=NOW),
            acting.share(by(GUEST, Share(identity=BOB.identity, role=Role.EDITOR), named())),
            acting.share(by(GUEST, AcceptInvitation(code_hash=b"none"))),
        ]
        waiting = [asyncio.create_task(act) for act in acts[:2]]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        assert not done
        go_on.set()
        await link
        outcomes = await asyncio.gather(*waiting, *acts[2:], return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [GuestLinked] * 5
        with pytest.raises(InvalidInput):
            await acting.share(by(BOB, Share(identity=GUEST.identity, role=Role.EDITOR), by_id(bobs)))
    assert [each.head.name for each in await acting.datasets(ALICE, DatasetScope.ALL, first=100)] == ["notes"]

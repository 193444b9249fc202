"""The audit log: each act of sharing that changes something is in it once, with the act."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.core.ids import identity_id, tenant
from syncline.core.model import DatasetRef, Role, Viewer
from syncline.core.sharing import (
    AcceptInvitation,
    Act,
    ChangeRole,
    Invite,
    Leave,
    RemoveMember,
    RevokeInvitation,
    Share,
    TransferOwnership,
)
from syncline.errors import DatasetNotFound, Forbidden, InvitationNotFound, MemberNotFound
from syncline.ports import Retention, Store
from syncline.storage.auditing import AuditFilter
from tests.support.builders import ALICE, BOB, NOW, a_viewer, named, put
from tests.support.privacy import Database, audit_log, on_postgres, on_sqlite
from tests.support.sharing import CAROL, an_invitation, code_hash, share
from tests.support.stores import create, write

A_DAY = timedelta(days=1)
TO_BOB = Share(identity=BOB.identity, role=Role.VIEWER)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return on_sqlite(tmp_path) if request.param == "sqlite" else on_postgres(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    store = await database.open()
    yield store
    await store.close()


async def log(database: Database, wanted: AuditFilter | None = None) -> list[dict[str, object]]:
    async with database.beside() as beside:
        return await audit_log(beside, wanted)


async def test_every_act_that_changes_something_leaves_one_entry_and_its_retry_none(
    database: Database, store: Store
) -> None:
    notes = (await create(store)).id
    invitation, revoked = an_invitation("code"), an_invitation("revoked")
    ref = DatasetRef(id=notes)
    acts: list[tuple[Viewer, Act, str, str | None, dict[str, object]]] = [
        (ALICE, TO_BOB, "shareDataset", "bob", {"role": "VIEWER"}),
        (ALICE, ChangeRole(identity=BOB.identity, role=Role.EDITOR), "changeRole", "bob", {"role": "EDITOR"}),
        (CAROL, AcceptInvitation(code_hash=code_hash("code")), "acceptInvitation", "carol", _invited(invitation)),
        (ALICE, RevokeInvitation(id=revoked.id), "revokeInvitation", None, {"invitation": revoked.id}),
        (CAROL, Leave(), "leaveDataset", "carol", {}),
        (ALICE, TransferOwnership(identity=BOB.identity), "transferOwnership", "bob", {}),
        (BOB, RemoveMember(identity=ALICE.identity), "removeMember", "alice", {}),
    ]
    for made in (invitation, revoked):
        await share(store, made, ref=ref)
    expected: list[tuple[object, ...]] = [("createInvitation", "alice", None)] * 2

    for viewer, act, name, subject, details in acts:
        to = None if isinstance(act, AcceptInvitation) else ref
        before = await log(database)
        await share(store, act, viewer=viewer, ref=to)
        after = await log(database)
        await _again(store, viewer, act, to)

        expected.append((name, viewer.identity, subject))
        assert await log(database) == after, name
        assert after[:-1] == before
        entry = after[-1]
        assert (entry["act"], entry["actor"], entry["actorDevice"]) == (name, viewer.identity, viewer.device)
        assert (entry["subject"], entry["details"], entry["dataset"]) == (subject, details, notes)
        assert (entry["operator"], entry["tenant"], entry["at"]) == (None, "", "2026-03-01T12:30:15.123456Z")

    assert [(each["act"], each["actor"], each["subject"]) for each in await log(database)] == expected


def _invited(invitation: Invite) -> dict[str, object]:
    return {"invitation": invitation.id, "role": "VIEWER"}


async def _again(store: Store, viewer: Viewer, act: Act, ref: DatasetRef | None) -> None:
    """Whoever lost the answer asks again; some of the acts end what it takes to ask."""
    try:
        await share(store, act, viewer=viewer, ref=ref)
    except (DatasetNotFound, Forbidden, InvitationNotFound, MemberNotFound):
        return


async def test_what_is_refused_and_what_is_no_act_of_sharing_leaves_no_entry(database: Database, store: Store) -> None:
    await write(store, put("a"))
    await store.delete_dataset(ALICE, named(), now=NOW)
    await create(store)
    with pytest.raises(DatasetNotFound):
        await share(store, TO_BOB, viewer=BOB)
    with pytest.raises(InvitationNotFound):
        await share(store, AcceptInvitation(code_hash=code_hash("guessed")), viewer=BOB, ref=None)

    assert await log(database) == []


async def test_the_log_tells_nothing_of_a_code(database: Database, store: Store) -> None:
    await create(store)
    await share(store, an_invitation("a-secret-code"))

    rows = (await database.rows())["audit"]

    assert len(rows) == 1
    assert "a-secret-code" not in repr(rows)
    assert code_hash("a-secret-code").hex() not in repr(rows)


async def test_the_log_is_filtered_by_time_identity_and_dataset(database: Database, store: Store) -> None:
    notes, other = await create(store), await create(store, named("other"), BOB)
    await share(store, TO_BOB)
    await share(store, Share(identity=CAROL.identity, role=Role.VIEWER), viewer=BOB, ref=named("other"))
    await share(store, RemoveMember(identity=BOB.identity), now=NOW + A_DAY)

    async def found(wanted: AuditFilter) -> list[object]:
        return [each["act"] for each in await log(database, wanted)]

    assert await found(AuditFilter(dataset=other.id)) == ["shareDataset"]
    assert await found(AuditFilter(dataset=notes.id)) == ["shareDataset", "removeMember"]
    assert await found(AuditFilter(identity=CAROL.identity)) == ["shareDataset"]
    assert await found(AuditFilter(identity=BOB.identity)) == ["shareDataset", "shareDataset", "removeMember"]
    assert await found(AuditFilter(since=NOW + A_DAY)) == ["removeMember"]
    assert await found(AuditFilter(since=NOW + 2 * A_DAY)) == []


async def test_identities_of_the_same_name_in_two_tenants_have_their_own_entries(
    database: Database, store: Store
) -> None:
    ours, theirs = (Viewer(identity=identity_id("alice", tenant(name)), device=None) for name in ("ours", "theirs"))
    for viewer in (ours, theirs):
        await create(store, viewer=viewer)
        await share(store, an_invitation(viewer.identity), viewer=viewer)

    entries = await log(database, AuditFilter(identity=ours.identity))

    assert [(each["tenant"], each["actor"]) for each in entries] == [("ours", "alice")]


async def test_entries_past_their_retention_are_forgotten_batch_by_batch(database: Database, store: Store) -> None:
    await create(store)
    for number in range(3):
        await share(store, Share(identity=a_viewer(f"m{number}").identity, role=Role.VIEWER))
    await share(store, Share(identity=BOB.identity, role=Role.VIEWER), now=NOW + A_DAY)
    retention = Retention(
        tombstones=A_DAY, tombstones_per_dataset=9, receipts=A_DAY, deleted_datasets=A_DAY, audit=A_DAY
    )

    first = await store.prune(retention, now=NOW + A_DAY + timedelta(hours=1), batch=2)
    left = await log(database)
    second = await store.prune(retention, now=NOW + A_DAY + timedelta(hours=1), batch=2)

    assert (first.audit, first.more, len(left)) == (2, True, 2)
    assert (second.audit, second.more) == (1, False)
    assert [each["subject"] for each in await log(database)] == ["bob"]

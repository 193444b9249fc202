"""``Store.share``, and who sees what: the owner all, members what their role allows, everybody else nothing at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.core.checkpoint import START
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import NO_TENANT, DatasetId, DatasetName, IdentityId, RecordKey, identity_id, tenant
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, DatasetScope, Role, Standing, Viewer
from syncline.core.pages import PageRequest
from syncline.core.sharing import (
    AcceptInvitation,
    Act,
    ChangeRole,
    Leave,
    Member,
    RemoveMember,
    RevokeInvitation,
    Share,
    TransferOwnership,
)
from syncline.errors import (
    DatasetExists,
    DatasetIsDeleted,
    DatasetNotFound,
    Forbidden,
    InvalidInput,
    InvitationNotFound,
    LimitExceeded,
    MemberNotFound,
    SynclineError,
)
from syncline.ports import Access, Retention, Store, Synced, Usage
from tests.support.builders import ALICE, BOB, NOW, a_dataset_id, a_request, a_viewer, by_id, named, put, remove
from tests.support.sharing import CAROL, DAVE, IN_A_DAY, add_member, an_invitation, code_hash, share
from tests.support.stores import create, head_of, keys, read, synced, write

OWNER, EDITOR, VIEWER = Role.OWNER, Role.EDITOR, Role.VIEWER
LATER = NOW + timedelta(hours=1)
DAY = timedelta(days=1)
ACCEPT = AcceptInvitation(code_hash=code_hash("code"))
A_RETENTION = Retention(tombstones=DAY, tombstones_per_dataset=10, receipts=DAY, deleted_datasets=DAY)


async def shared(store: Store) -> DatasetHead:
    """Alice's dataset with two records, one removed; bob may edit it and carol look at it, dave is a stranger."""
    head = (await write(store, put("a", 1), put("gone"))).head
    await write(store, remove("gone"))
    await add_member(store, head.id, BOB, EDITOR)
    await add_member(store, head.id, CAROL, VIEWER)
    found = await head_of(store)
    assert found is not None
    return found


async def roles(store: Store, dataset: DatasetId) -> dict[IdentityId, Role]:
    access = await store.access(NO_TENANT, dataset)
    assert access is not None
    return dict(access.roles)


async def scope(store: Store, dataset: DatasetId) -> int:
    return (await store.heads([dataset]))[dataset].scope


async def seen_ids(store: Store, viewer: Viewer, which: DatasetScope = DatasetScope.ALL) -> list[DatasetId]:
    return [standing.head.id for standing in await store.datasets(viewer, which, first=100)]


# --- acts -------------------------------------------------------------------------------------------------------------


async def test_a_member_is_added_with_its_role(store: Store) -> None:
    head = await create(store)

    done = await share(store, Share(identity=BOB.identity, role=EDITOR), now=LATER)

    assert done.epoch == await store.epoch()
    assert done.decision.role is OWNER
    assert done.decision.member == Member(identity=BOB.identity, role=EDITOR, since=LATER)
    assert done.decision.affected == {BOB.identity}
    assert done.decision.head == replace(head, scope=1) == await head_of(store)
    assert await store.access(NO_TENANT, head.id) == Access(
        scope=1, roles={ALICE.identity: OWNER, BOB.identity: EDITOR}
    )


@pytest.mark.parametrize("act", [Share, ChangeRole])
async def test_a_members_role_is_changed_and_since_when_it_is_one_stays(
    store: Store, act: type[Share] | type[ChangeRole]
) -> None:
    head = await shared(store)

    done = await share(store, act(identity=BOB.identity, role=VIEWER), now=LATER)

    assert done.decision.member == Member(identity=BOB.identity, role=VIEWER, since=NOW)
    assert await roles(store, head.id) == {ALICE.identity: OWNER, BOB.identity: VIEWER, CAROL.identity: VIEWER}
    assert await store.dataset(BOB, by_id(head.id)) == Standing(head=done.decision.head, role=VIEWER)


async def test_a_removed_member_finds_nothing_any_more(store: Store) -> None:
    head = await shared(store)

    done = await share(store, RemoveMember(identity=BOB.identity))

    assert done.decision.affected == {BOB.identity}
    assert await roles(store, head.id) == {ALICE.identity: OWNER, CAROL.identity: VIEWER}
    await nothing_is_found(store, BOB, head)


async def test_a_member_leaves(store: Store) -> None:
    head = await shared(store)

    done = await share(store, Leave(), viewer=CAROL, ref=by_id(head.id))

    assert done.decision.role is None
    assert await roles(store, head.id) == {ALICE.identity: OWNER, BOB.identity: EDITOR}
    await nothing_is_found(store, CAROL, head)


async def test_a_dataset_changes_hands_with_all_that_it_has(store: Store) -> None:
    before = await shared(store)
    await share(store, an_invitation(uses=3, role=EDITOR))

    done = await share(store, TransferOwnership(identity=BOB.identity), now=LATER)

    assert done.decision.role is EDITOR
    assert done.decision.affected == {ALICE.identity, BOB.identity}
    after = replace(before, owner=BOB.identity, scope=before.scope + 1)
    assert await store.dataset(BOB, named()) == Standing(head=after, role=OWNER)
    assert await store.dataset(ALICE, by_id(before.id)) == Standing(head=after, role=EDITOR)
    assert await store.dataset(ALICE, named()) is None
    assert await store.members(ALICE, before.id, first=10) == [
        Member(identity=BOB.identity, role=OWNER, since=before.created_at),
        Member(identity=ALICE.identity, role=EDITOR, since=LATER),
        Member(identity=CAROL.identity, role=VIEWER, since=NOW),
    ]
    assert [each.uses_left for each in await store.invitations(BOB, before.id, now=NOW)] == [3]
    assert await store.invitations(ALICE, before.id, now=NOW) == []
    for viewer in (ALICE, BOB, CAROL):
        assert keys((await read(store, viewer=viewer, ref=by_id(before.id))).page) == ["a", "gone"]
    await share(store, ACCEPT, viewer=DAVE, ref=None)
    assert (await roles(store, before.id))[DAVE.identity] is EDITOR


async def test_a_dataset_that_changed_hands_is_written_to_and_deleted_as_before(store: Store) -> None:
    head = await shared(store)
    await share(store, TransferOwnership(identity=BOB.identity))

    outcomes = [
        await write(store, put("a", 2), remove("b"), viewer=BOB),
        await write(store, put("a", 3), viewer=ALICE, ref=by_id(head.id)),
        await write(store, put("b", 3), viewer=BOB, ref=by_id(head.id)),
    ]

    assert [outcome.head.version for outcome in outcomes] == [3, 4, 5]
    assert [outcome.role for outcome in outcomes] == [OWNER, EDITOR, OWNER]
    assert {outcome.head.owner for outcome in outcomes} == {BOB.identity}
    found = await store.records(CAROL, head.id, first=10)
    assert [(record.key, record.value) for record in found] == [("a", "3"), ("b", "3")]
    with pytest.raises(Forbidden):
        await store.delete_dataset(ALICE, by_id(head.id), now=NOW)
    await store.delete_dataset(BOB, named(), now=NOW)
    assert await store.records(BOB, head.id, first=10) == []


async def test_a_name_that_was_given_away_is_free(store: Store) -> None:
    head = await shared(store)
    await share(store, TransferOwnership(identity=BOB.identity))

    again = await write(store, put("mine"))

    assert again.created
    assert again.head.id != head.id
    assert await seen_ids(store, ALICE, DatasetScope.OWNED) == [again.head.id]
    assert await seen_ids(store, ALICE, DatasetScope.SHARED) == [head.id]


async def test_an_invitation_lets_its_bearer_in(store: Store) -> None:
    head = await create(store)
    invite = an_invitation(role=EDITOR, uses=2)

    made = await share(store, invite, now=LATER)
    accepted = await share(store, ACCEPT, viewer=BOB, ref=None, now=LATER)

    assert made.decision.invitation is not None
    assert made.decision.invitation.id == invite.id
    assert made.decision.head.scope == 0
    assert accepted.decision.role is EDITOR
    assert accepted.decision.head.id == head.id
    assert accepted.decision.member == Member(identity=BOB.identity, role=EDITOR, since=LATER)
    assert await roles(store, head.id) == {ALICE.identity: OWNER, BOB.identity: EDITOR}
    assert await store.invitations(ALICE, head.id, now=NOW) == [replace(made.decision.invitation, uses_left=1)]


@pytest.mark.parametrize("why", ["unknown", "revoked", "expired", "used up", "its dataset is gone"])
async def test_an_invitation_that_is_no_longer_good_lets_nobody_in(store: Store, why: str) -> None:
    head = await create(store)
    invite = an_invitation("other" if why == "unknown" else "code")
    await share(store, invite)
    match why:
        case "revoked":
            await share(store, RevokeInvitation(id=invite.id))
        case "used up":
            await share(store, ACCEPT, viewer=BOB, ref=None)
        case "its dataset is gone":
            await store.delete_dataset(ALICE, named(), now=NOW)

    with pytest.raises(InvitationNotFound):
        await share(store, ACCEPT, viewer=DAVE, ref=None, now=IN_A_DAY if why == "expired" else NOW)

    assert await store.dataset(DAVE, by_id(head.id)) is None
    assert await store.visible([DAVE.identity]) == {DAVE.identity: {}}


async def test_only_what_is_still_good_is_listed_the_oldest_first(store: Store) -> None:
    head = await create(store)
    other = await create(store, named("other"))
    await share(store, an_invitation("to another dataset"), ref=by_id(other.id))
    await share(store, an_invitation("c"), now=LATER)
    await share(store, an_invitation("a"))
    await share(store, an_invitation("b", expires_at=LATER), now=NOW + timedelta(minutes=1))
    await share(store, an_invitation("used"))
    await share(store, AcceptInvitation(code_hash=code_hash("used")), viewer=BOB, ref=None)

    async def listed(viewer: Viewer, now: object = NOW) -> list[bytes]:
        assert now in (NOW, LATER)
        return [each.code_hash for each in await store.invitations(viewer, head.id, now=NOW if now == NOW else LATER)]

    assert await listed(ALICE) == [code_hash("a"), code_hash("b"), code_hash("c")]
    assert await listed(ALICE, LATER) == [code_hash("a"), code_hash("c")]
    assert await listed(BOB) == []
    assert await listed(DAVE) == []


async def test_who_is_in_already_uses_no_invitation(store: Store) -> None:
    head = await shared(store)
    await share(store, an_invitation(role=EDITOR))

    done = [await share(store, ACCEPT, viewer=viewer, ref=None) for viewer in (ALICE, BOB, CAROL)]

    assert [each.decision.role for each in done] == [OWNER, EDITOR, VIEWER]
    assert [each.uses_left for each in await store.invitations(ALICE, head.id, now=NOW)] == [1]
    assert await scope(store, head.id) == head.scope


async def test_twenty_who_accept_a_code_with_five_uses_at_once_are_five(store: Store) -> None:
    head = await create(store)
    await share(store, an_invitation(uses=5))
    bearers = [a_viewer(f"bearer-{n}") for n in range(20)]

    outcomes = await asyncio.gather(
        *(share(store, ACCEPT, viewer=bearer, ref=None) for bearer in bearers), return_exceptions=True
    )

    assert sum(isinstance(outcome, InvitationNotFound) for outcome in outcomes) == 15, outcomes
    members = await store.members(ALICE, head.id, first=100)
    assert len(members) == 1 + 5
    assert await scope(store, head.id) == 5
    assert await store.invitations(ALICE, head.id, now=NOW) == []


async def test_what_is_done_to_one_dataset_leaves_the_others_of_its_owner_alone(store: Store) -> None:
    ids = {}
    for name in ("removed-from", "handed-over", "deleted", "other"):
        ids[name] = (await write(store, put("k", name), put("gone"), ref=named(name))).head.id
        await write(store, remove("gone"), ref=named(name))
        await add_member(store, ids[name], BOB, EDITOR)
        await add_member(store, ids[name], CAROL, VIEWER)
        await share(store, an_invitation(f"to {name}", uses=5), ref=named(name))
    other = ids["other"]

    async def seen() -> list[object]:
        facts: list[object] = [await store.access(NO_TENANT, other), await store.invitations(ALICE, other, now=NOW)]
        for viewer in (ALICE, BOB, CAROL):
            facts += [
                await store.dataset(viewer, by_id(other)),
                (await read(store, viewer=viewer, ref=by_id(other))).page,
                await store.records(viewer, other, first=10),
                await store.members(viewer, other, first=10),
            ]
        return facts

    before = await seen()
    await share(store, RemoveMember(identity=CAROL.identity), ref=named("removed-from"))
    await share(store, Leave(), viewer=BOB, ref=by_id(ids["removed-from"]))
    await store.delete_dataset(ALICE, named("deleted"), now=NOW)
    await share(store, TransferOwnership(identity=BOB.identity), ref=named("handed-over"))
    await share(store, AcceptInvitation(code_hash=code_hash("to handed-over")), viewer=DAVE, ref=None)
    await store.prune(A_RETENTION, now=NOW, batch=10)

    assert await seen() == before
    assert (await write(store, put("k", "again"), viewer=BOB, ref=by_id(other))).head.version == 3


# --- again ------------------------------------------------------------------------------------------------------------


async def test_acts_that_are_done_again_change_nothing(store: Store) -> None:
    head = await shared(store)
    invite = an_invitation(uses=2)
    await share(store, invite)
    acts: list[tuple[Act, Viewer, DatasetRef | None]] = [
        (Share(identity=BOB.identity, role=VIEWER), ALICE, named()),
        (ChangeRole(identity=BOB.identity, role=EDITOR), ALICE, named()),
        (ACCEPT, DAVE, None),
        (RemoveMember(identity=CAROL.identity), ALICE, named()),
        (RevokeInvitation(id=invite.id), ALICE, named()),
    ]
    for act, viewer, ref in acts:
        first = await share(store, act, viewer=viewer, ref=ref, now=LATER)
        members, before = await store.members(ALICE, head.id, first=100), await scope(store, head.id)
        if act == ACCEPT:
            assert [each.uses_left for each in await store.invitations(ALICE, head.id, now=NOW)] == [1]

        again = await share(store, act, viewer=viewer, ref=ref, now=LATER + DAY if act != ACCEPT else LATER)

        assert again.decision.role == first.decision.role
        assert again.decision.affected == frozenset()
        assert await store.members(ALICE, head.id, first=100) == members
        assert await scope(store, head.id) == before
        if act == ACCEPT:
            assert [each.uses_left for each in await store.invitations(ALICE, head.id, now=NOW)] == [1]


async def test_who_used_the_last_of_an_invitation_may_ask_again(store: Store) -> None:
    head = await create(store)
    await share(store, an_invitation(role=EDITOR))
    await share(store, ACCEPT, viewer=BOB, ref=None)

    again = await share(store, ACCEPT, viewer=BOB, ref=None)

    assert again.decision.role is EDITOR
    assert again.decision.head.id == head.id


async def test_the_scope_is_raised_exactly_when_somebodys_standing_changes(store: Store) -> None:
    head = await create(store)
    invite = an_invitation()
    expected = 0
    acts: list[tuple[int, Act, Viewer, DatasetRef | None]] = [
        (1, Share(identity=BOB.identity, role=EDITOR), ALICE, named()),
        (0, Share(identity=BOB.identity, role=EDITOR), ALICE, named()),
        (1, ChangeRole(identity=BOB.identity, role=VIEWER), ALICE, named()),
        (0, invite, ALICE, named()),
        (1, ACCEPT, CAROL, None),
        (0, ACCEPT, CAROL, None),
        (0, RevokeInvitation(id=invite.id), ALICE, named()),
        (1, Leave(), CAROL, by_id(head.id)),
        (1, TransferOwnership(identity=BOB.identity), ALICE, named()),
        (0, TransferOwnership(identity=BOB.identity), BOB, named()),
        (1, RemoveMember(identity=ALICE.identity), BOB, named()),
        (0, RemoveMember(identity=ALICE.identity), BOB, named()),
    ]
    for more, act, viewer, ref in acts:
        expected += more
        done = await share(store, act, viewer=viewer, ref=ref)
        assert done.decision.head.scope == await scope(store, head.id) == expected, act
    await write(store, put("a"), viewer=BOB)
    await store.update_dataset(BOB, named(), ConflictPolicy.MERGE, now=NOW)
    assert await scope(store, head.id) == expected


async def test_commits_and_reads_say_the_scope(store: Store) -> None:
    head = await shared(store)

    outcome = await write(store, put("b"), viewer=BOB, ref=by_id(head.id))

    assert outcome.commit is not None
    assert outcome.commit.scope == outcome.head.scope == head.scope == 2
    log = await read(store, viewer=CAROL, ref=by_id(head.id))
    assert log.head is not None
    assert log.head.scope == 2


# --- roles ------------------------------------------------------------------------------------------------------------


OWNERS_ACTS: list[Act] = [
    Share(identity=DAVE.identity, role=VIEWER),
    Share(identity=BOB.identity, role=EDITOR),
    ChangeRole(identity=CAROL.identity, role=EDITOR),
    RemoveMember(identity=CAROL.identity),
    RemoveMember(identity=BOB.identity),
    TransferOwnership(identity=BOB.identity),
    an_invitation("by a member"),
    RevokeInvitation(id=an_invitation().id),
]


@pytest.mark.parametrize("act", OWNERS_ACTS, ids=lambda act: type(act).__name__)
async def test_only_its_owner_shares_a_dataset(store: Store, act: Act) -> None:
    head = await shared(store)
    members = await store.members(ALICE, head.id, first=10)

    for viewer in (BOB, CAROL):
        with pytest.raises(Forbidden):
            await share(store, act, viewer=viewer, ref=by_id(head.id))
        with pytest.raises(DatasetNotFound):
            await share(store, act, viewer=viewer, ref=named())
    with pytest.raises(DatasetNotFound):
        await share(store, act, viewer=DAVE, ref=by_id(head.id))

    assert await store.members(ALICE, head.id, first=10) == members
    assert await head_of(store) == head


async def test_only_its_owner_changes_or_deletes_a_dataset(store: Store) -> None:
    head = await shared(store)

    for viewer in (BOB, CAROL):
        with pytest.raises(Forbidden):
            await store.update_dataset(viewer, by_id(head.id), ConflictPolicy.MERGE, now=NOW)
        with pytest.raises(Forbidden):
            await store.delete_dataset(viewer, by_id(head.id), now=NOW)

    assert await head_of(store) == head


async def test_an_editor_writes_and_a_viewer_only_reads(store: Store) -> None:
    head = await shared(store)

    edited = await synced(store, a_request(put("b", "bobs"), viewer=BOB, ref=by_id(head.id), since=START))

    assert (edited.role, edited.head.owner, edited.head.version) == (EDITOR, ALICE.identity, 3)
    assert edited.records[RecordKey("b")].updated_by == BOB.author
    assert edited.page is not None
    assert keys(edited.page) == ["a", "gone", "b"]
    with pytest.raises(Forbidden):
        await store.sync(a_request(put("c"), viewer=CAROL, ref=by_id(head.id)), PageRequest())
    each = await synced(store, a_request(put("c"), viewer=CAROL, ref=by_id(head.id), atomic=False))
    assert [(outcome.status, outcome.code) for outcome in each.outcomes] == [(ChangeStatus.REJECTED, "FORBIDDEN")]
    pulled = await synced(store, a_request(viewer=CAROL, ref=by_id(head.id), since=START))
    assert pulled.role is VIEWER
    assert pulled.page is not None
    assert keys(pulled.page) == ["a", "gone", "b"]
    assert await store.record(ALICE, head.id, RecordKey("c")) is None


async def test_an_owner_cannot_leave_and_has_no_other_role(store: Store) -> None:
    await shared(store)
    acts: list[tuple[Act, type[SynclineError]]] = [
        (Leave(), Forbidden),
        (RemoveMember(identity=ALICE.identity), InvalidInput),
        (Share(identity=ALICE.identity, role=EDITOR), InvalidInput),
        (ChangeRole(identity=ALICE.identity, role=EDITOR), InvalidInput),
        (Share(identity=BOB.identity, role=OWNER), InvalidInput),
        (ChangeRole(identity=BOB.identity, role=OWNER), InvalidInput),
        (an_invitation(role=OWNER), InvalidInput),
    ]
    before = await head_of(store)

    for act, error in acts:
        with pytest.raises(error):
            await share(store, act)

    assert await head_of(store) == before


async def test_only_a_member_has_a_role_to_change_and_can_become_the_owner(store: Store) -> None:
    await shared(store)

    for act in (ChangeRole(identity=DAVE.identity, role=EDITOR), TransferOwnership(identity=DAVE.identity)):
        with pytest.raises(MemberNotFound):
            await share(store, act)


async def test_a_deleted_dataset_is_not_shared(store: Store) -> None:
    head = await shared(store)
    await store.delete_dataset(ALICE, named(), now=NOW)

    for viewer in (ALICE, BOB):
        with pytest.raises(DatasetIsDeleted):
            await share(store, Leave(), viewer=viewer, ref=by_id(head.id))
    with pytest.raises(DatasetNotFound):
        await share(store, Share(identity=DAVE.identity, role=VIEWER), ref=named())


async def test_a_retry_has_one_effect_for_each_member(store: Store) -> None:
    head = await shared(store)
    bobs = a_request(put("b"), viewer=BOB, ref=by_id(head.id), mutation_id="m-1")
    alices = a_request(put("c"), viewer=ALICE, ref=by_id(head.id), mutation_id="m-1")

    outcomes = [await synced(store, request) for request in (bobs, alices, bobs, alices)]

    assert [(outcome.replayed, outcome.head.version) for outcome in outcomes] == [
        (False, 3),
        (False, 4),
        (True, 4),
        (True, 4),
    ]
    assert [outcome.role for outcome in outcomes] == [EDITOR, OWNER, EDITOR, OWNER]


# --- what is seen -----------------------------------------------------------------------------------------------------


async def nothing_is_found(store: Store, stranger: Viewer, head: DatasetHead) -> None:
    """That neither a read nor a write tells the stranger that there is such a dataset."""
    ref = by_id(head.id)
    assert await store.dataset(stranger, ref) is None
    for which in DatasetScope:
        assert head.id not in await seen_ids(store, stranger, which)
    assert await store.deleted_datasets(stranger, [head.id]) == []
    assert await store.record(stranger, head.id, RecordKey("a")) is None
    assert await store.record(stranger, head.id, RecordKey("gone")) is None
    assert await store.records(stranger, head.id, first=10) == []
    for since in (START, None):
        log = await read(store, since, viewer=stranger, ref=ref)
        assert (log.head, log.role, log.page) == (None, None, None)
    assert await store.members(stranger, head.id, first=10) == []
    assert await store.invitations(stranger, head.id, now=NOW) == []
    assert head.id not in (await store.visible([stranger.identity]))[stranger.identity]
    for changes in ([put("mine")], []):
        with pytest.raises(DatasetNotFound):
            await store.sync(a_request(*changes, viewer=stranger, ref=ref), PageRequest())
    with pytest.raises(DatasetNotFound):
        await store.update_dataset(stranger, ref, ConflictPolicy.MERGE, now=NOW)
    with pytest.raises(DatasetNotFound):
        await store.delete_dataset(stranger, ref, now=NOW)
    for act in (Leave(), *OWNERS_ACTS):
        with pytest.raises(DatasetNotFound):
            await share(store, act, viewer=stranger, ref=ref)


@pytest.mark.parametrize("stranger", [DAVE, a_viewer("bob2"), a_viewer("Bob"), a_viewer("alice ")], ids=repr)
async def test_a_stranger_finds_nothing(store: Store, stranger: Viewer) -> None:
    head = await shared(store)
    await share(store, an_invitation())
    # Being somebody elsewhere makes no difference.
    own = await create(store, named("own"), viewer=stranger)
    await add_member(store, own.id, BOB, EDITOR, owner=stranger)
    before = await head_of(store)

    await nothing_is_found(store, stranger, head)

    assert await head_of(store) == before


async def test_nothing_of_a_deleted_dataset_is_told_to_strangers(store: Store) -> None:
    head = await shared(store)
    deleted = await store.delete_dataset(ALICE, named(), now=NOW)

    assert await store.dataset(DAVE, by_id(head.id)) is None
    assert await store.deleted_datasets(DAVE, [head.id]) == []
    assert (await read(store, viewer=DAVE, ref=by_id(head.id))).head is None
    with pytest.raises(DatasetNotFound):
        await store.sync(a_request(put("a"), viewer=DAVE, ref=by_id(head.id)), PageRequest())
    for viewer, role in ((ALICE, OWNER), (BOB, EDITOR), (CAROL, VIEWER)):
        assert await store.deleted_datasets(viewer, [head.id]) == [deleted]
        assert await store.dataset(viewer, by_id(head.id)) == Standing(head=deleted, role=role)
        assert await seen_ids(store, viewer) == []
        assert (await read(store, viewer=viewer, ref=by_id(head.id))).head == deleted
        assert await store.members(viewer, head.id, first=10) == []
        assert await store.visible([viewer.identity]) == {viewer.identity: {}}
        with pytest.raises(DatasetIsDeleted):
            await store.sync(a_request(put("a"), viewer=viewer, ref=by_id(head.id)), PageRequest())
    # Who is to be told of the deletion is still known.
    assert await roles(store, head.id) == {ALICE.identity: OWNER, BOB.identity: EDITOR, CAROL.identity: VIEWER}


async def test_who_was_removed_before_a_dataset_was_deleted_is_not_told(store: Store) -> None:
    head = await shared(store)
    await share(store, RemoveMember(identity=BOB.identity))
    await store.delete_dataset(ALICE, named(), now=NOW)

    assert await store.deleted_datasets(BOB, [head.id]) == []


@pytest.mark.parametrize(("viewer", "role"), [(ALICE, OWNER), (BOB, EDITOR), (CAROL, VIEWER)])
async def test_members_read_what_the_owner_reads(store: Store, viewer: Viewer, role: Role) -> None:
    head = await shared(store)
    ref = by_id(head.id)

    assert await store.dataset(viewer, ref) == Standing(head=head, role=role)
    assert await store.datasets(viewer, DatasetScope.ALL, first=10) == [Standing(head=head, role=role)]
    assert await seen_ids(store, viewer, DatasetScope.OWNED) == ([head.id] if role is OWNER else [])
    assert await seen_ids(store, viewer, DatasetScope.SHARED) == ([] if role is OWNER else [head.id])
    assert await store.deleted_datasets(viewer, [head.id]) == []
    record = await store.record(viewer, head.id, RecordKey("a"))
    assert record is not None
    assert record.value == "1"
    assert keys(list(await store.records(viewer, head.id, first=10))) == ["a"]
    log = await read(store, viewer=viewer, ref=ref)
    assert (log.head, log.role) == (head, role)
    assert keys(log.page) == ["a", "gone"]
    assert [(member.identity, member.role) for member in await store.members(viewer, head.id, first=10)] == [
        ("alice", OWNER),
        ("bob", EDITOR),
        ("carol", VIEWER),
    ]


async def test_a_members_name_for_a_dataset_is_not_the_owners(store: Store) -> None:
    head = await shared(store)

    assert await store.dataset(BOB, named()) is None
    bobs = await write(store, put("b"), viewer=BOB)

    assert bobs.created
    assert bobs.head.id != head.id
    assert keys((await read(store, viewer=BOB)).page) == ["b"]


async def test_own_and_shared_datasets_are_listed_together_page_by_page(store: Store) -> None:
    ids: list[tuple[str, DatasetId]] = []
    for owner, names in ((ALICE, "bd"), (CAROL, "ab"), (DAVE, "bc")):
        for name in names:
            head = await create(store, named(name), viewer=owner)
            ids.append((name, head.id))
            if owner is not ALICE:
                await add_member(store, head.id, ALICE, VIEWER, owner=owner)
    hidden = await create(store, named("b"), viewer=BOB)

    pages: list[tuple[str, DatasetId]] = []
    after: tuple[DatasetName, DatasetId] | None = None
    while page := await store.datasets(ALICE, DatasetScope.ALL, first=2, after=after):
        pages += [(standing.head.name, standing.head.id) for standing in page]
        after = (page[-1].head.name, page[-1].head.id)

    assert pages == sorted(ids)
    assert hidden.id not in dict(ids).values()
    shared_only = [standing.head.owner for standing in await store.datasets(ALICE, DatasetScope.SHARED, first=10)]
    assert sorted(shared_only) == ["carol", "carol", "dave", "dave"]


async def test_members_are_listed_page_by_page_the_owner_first(store: Store) -> None:
    head = await create(store, viewer=DAVE)
    for identity in ("é", "a", "z", "b"):
        await add_member(store, head.id, a_viewer(identity), VIEWER, owner=DAVE)

    pages, after = [], None
    while page := await store.members(DAVE, head.id, first=2, after=after):
        pages.append([member.identity for member in page])
        after = page[-1].identity

    assert pages == [["dave", "a"], ["b", "z"], ["é"]]
    assert [m.identity for m in await store.members(DAVE, head.id, first=2, after=IdentityId("aa"))] == ["b", "z"]


async def test_what_each_of_several_identities_sees_is_one_look(store: Store) -> None:
    head = await shared(store)
    bobs = await create(store, named("bobs"), viewer=BOB)
    gone = await create(store, named("gone"), viewer=BOB)
    await add_member(store, gone.id, CAROL, EDITOR, owner=BOB)
    await store.delete_dataset(BOB, named("gone"), now=NOW)

    assert await store.visible([ALICE.identity, BOB.identity, CAROL.identity, DAVE.identity]) == {
        ALICE.identity: {head.id: OWNER},
        BOB.identity: {head.id: EDITOR, bobs.id: OWNER},
        CAROL.identity: {head.id: VIEWER},
        DAVE.identity: {},
    }
    assert await store.visible([]) == {}


async def test_a_node_reads_for_all_whom_it_delivers_to(store: Store) -> None:
    head = await shared(store)

    log = await store.node_log(NO_TENANT, head.id, START, PageRequest())

    assert (log.head, log.role) == (head, None)
    assert keys(log.page) == ["a", "gone"]
    assert (await store.node_log(NO_TENANT, a_dataset_id(), START, PageRequest())).head is None
    assert await store.access(NO_TENANT, a_dataset_id()) is None


@pytest.mark.parametrize("viewer", [ALICE, BOB])
async def test_records_of_equal_keys_in_several_datasets_that_one_sees_are_not_mixed_up(
    store: Store, viewer: Viewer
) -> None:
    ids = []
    for name in ("one", "other"):
        head = (await write(store, put("k", name), ref=named(name))).head
        await add_member(store, head.id, BOB, EDITOR)
        ids.append((name, head.id))

    for name, id_ in ids:
        record = await store.record(viewer, id_, RecordKey("k"))
        assert record is not None
        assert record.value == f'"{name}"'
        assert [each.value for each in await store.records(viewer, id_, first=10)] == [f'"{name}"']
    for name, id_ in ids:
        outcome = await synced(store, a_request(put("k", f"{name} again"), viewer=viewer, ref=by_id(id_), since=START))
        assert outcome.page is not None
        assert [each.value for each in outcome.page.records] == [f'"{name} again"']


# --- tenants ----------------------------------------------------------------------------------------------------------


ACME, OTHER = tenant("acme"), tenant("other")


def of(tenant_: str, name: str) -> Viewer:
    return replace(a_viewer(), identity=identity_id(name, tenant(tenant_)))


async def test_tenants_never_meet(store: Store) -> None:
    owner, member, namesake = of("acme", "alice"), of("acme", "bob"), of("other", "alice")
    head = (await write(store, put("a"), viewer=owner)).head
    await add_member(store, head.id, member, VIEWER, owner=owner)
    await share(store, an_invitation(uses=9), viewer=owner)

    for stranger in (namesake, of("other", "bob"), a_viewer("alice"), a_viewer("bob"), of("acme2", "bob")):
        await nothing_is_found(store, stranger, head)
        with pytest.raises(InvitationNotFound):
            await share(store, ACCEPT, viewer=stranger, ref=None)
    for elsewhere in (OTHER, NO_TENANT, tenant("acm"), tenant("acme2")):
        assert await store.access(elsewhere, head.id) is None
        for since in (START, None):
            log = await store.node_log(elsewhere, head.id, since, PageRequest())
            assert (log.head, log.page) == (None, None)
    access = await store.access(ACME, head.id)
    assert access is not None
    assert access.roles == {owner.identity: OWNER, member.identity: VIEWER}
    assert keys((await store.node_log(ACME, head.id, START, PageRequest())).page) == ["a"]
    await share(store, ACCEPT, viewer=of("acme", "carol"), ref=None)
    assert [each.uses_left for each in await store.invitations(owner, head.id, now=NOW)] == [8]


async def test_one_name_in_two_tenants_is_two_datasets(store: Store) -> None:
    one = await write(store, put("a"), viewer=of("acme", "alice"))
    other = await write(store, put("b"), viewer=of("other", "alice"))

    assert one.head.id != other.head.id
    assert keys((await read(store, viewer=of("acme", "alice"))).page) == ["a"]
    assert await seen_ids(store, of("other", "alice")) == [other.head.id]


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_dataset_has_no_more_members_than_the_limit_says(store: Store) -> None:
    head = await shared(store)
    await share(store, an_invitation())
    limits = Limits(members=3)

    for act, viewer, ref in (
        (Share(identity=DAVE.identity, role=VIEWER), ALICE, named()),
        (ACCEPT, DAVE, None),
    ):
        with pytest.raises(LimitExceeded) as raised:
            await share(store, act, viewer=viewer, ref=ref, limits=limits)
        assert raised.value.facts == {"limit": "members", "maximum": 3, "actual": 4}

    assert DAVE.identity not in await roles(store, head.id)
    assert [each.uses_left for each in await store.invitations(ALICE, head.id, now=NOW)] == [1]
    await share(store, Share(identity=BOB.identity, role=VIEWER), limits=limits)


async def test_concurrent_shares_keep_the_limit_of_members(store: Store) -> None:
    head = await create(store)

    outcomes = await asyncio.gather(
        *(share(store, Share(identity=IdentityId(f"m-{n}"), role=VIEWER), limits=Limits(members=6)) for n in range(20)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, LimitExceeded) for outcome in outcomes) == 15, outcomes
    assert len(await roles(store, head.id)) == 6


async def test_a_dataset_has_no_more_invitations_than_the_limit_says_and_expired_ones_do_not_count(
    store: Store,
) -> None:
    head = await create(store)
    limits = Limits(invitations=2)
    await share(store, an_invitation("a", expires_at=LATER), limits=limits)
    await share(store, an_invitation("b"), limits=limits)

    with pytest.raises(LimitExceeded) as raised:
        await share(store, an_invitation("c"), limits=limits)

    assert raised.value.facts == {"limit": "invitations", "maximum": 2, "actual": 3}
    await share(store, an_invitation("c"), limits=limits, now=LATER)
    assert len(await store.invitations(ALICE, head.id, now=LATER)) == 2


async def test_who_is_to_own_a_dataset_must_have_room_for_it(store: Store) -> None:
    head = await shared(store)
    await create(store, named("own"), viewer=BOB)

    with pytest.raises(LimitExceeded) as raised:
        await share(store, TransferOwnership(identity=BOB.identity), limits=Limits(datasets=1))

    assert raised.value.facts == {"limit": "datasets", "maximum": 1, "actual": 2}
    assert await head_of(store) == head


async def test_who_is_to_own_a_dataset_must_have_its_name_free(store: Store) -> None:
    head = await shared(store)
    theirs = await create(store, viewer=BOB)

    with pytest.raises(DatasetExists) as raised:
        await share(store, TransferOwnership(identity=BOB.identity))

    assert raised.value.facts == {"name": "notes", "datasetId": theirs.id}
    assert await head_of(store) == head
    await store.delete_dataset(BOB, named(), now=NOW)
    await share(store, TransferOwnership(identity=BOB.identity))


async def test_a_shared_dataset_counts_for_its_owner_whoever_writes(store: Store) -> None:
    head = await shared(store)
    await write(store, put("b", "bobs"), viewer=BOB, ref=by_id(head.id))
    size = 2 + 7

    assert await store.usage(ALICE.identity) == Usage(datasets=1, size_bytes=size)
    assert await store.usage(BOB.identity) == Usage(datasets=0, size_bytes=0)
    own = replace(a_request(put("own"), viewer=BOB), limits=Limits(datasets=1))
    await synced(store, own)
    await share(store, Share(identity=DAVE.identity, role=EDITOR))
    await share(store, TransferOwnership(identity=DAVE.identity))
    assert await store.usage(ALICE.identity) == Usage(datasets=0, size_bytes=0)
    assert await store.usage(DAVE.identity) == Usage(datasets=1, size_bytes=size)


# --- at once ----------------------------------------------------------------------------------------------------------


async def test_a_transfer_under_concurrent_syncs_loses_nothing(store: Store) -> None:
    head = await shared(store)
    members = [ALICE, BOB]

    async def sync(n: int) -> Synced:
        writer = replace(members[n % 2], device=None)
        return await synced(store, a_request(put(f"k{n:02}", n), viewer=writer, ref=by_id(head.id)))

    async def transfers() -> None:
        for n in range(6):
            giver, taker = members[n % 2], members[1 - n % 2]
            await share(store, TransferOwnership(identity=taker.identity), viewer=giver, ref=by_id(head.id))

    outcomes, _ = await asyncio.gather(asyncio.gather(*(sync(n) for n in range(60))), transfers())

    assert sorted(outcome.head.version for outcome in outcomes) == list(range(3, 63))
    found = await store.records(CAROL, head.id, first=100)
    assert keys(list(found)) == ["a", *(f"k{n:02}" for n in range(60))]
    page = (await read(store, viewer=CAROL, ref=by_id(head.id))).page
    assert page is not None
    assert len(page.records) == 62
    after = await head_of(store, by_id(head.id))
    assert after is not None
    assert (after.version, after.record_count, after.scope) == (62, 61, head.scope + 6)
    assert await store.usage(ALICE.identity) == Usage(datasets=1, size_bytes=after.size_bytes)


async def test_members_who_write_at_once_get_a_version_each(store: Store) -> None:
    head = await create(store)
    writers = [a_viewer(f"writer-{n}") for n in range(20)]
    for writer in writers:
        await add_member(store, head.id, writer, EDITOR)

    outcomes = await asyncio.gather(
        *(
            synced(store, a_request(put(f"{writer.identity}-{n}"), viewer=writer, ref=by_id(head.id)))
            for n in range(4)
            for writer in writers
        )
    )

    assert sorted(outcome.head.version for outcome in outcomes) == list(range(1, 81))
    assert len(await store.records(ALICE, head.id, first=100)) == 80


# --- pruning ----------------------------------------------------------------------------------------------------------


async def test_who_was_a_member_is_forgotten_with_the_deleted_dataset_only(store: Store) -> None:
    head = await shared(store)
    lives = await create(store, named("lives"))
    await add_member(store, lives.id, BOB, EDITOR)
    await store.delete_dataset(ALICE, named(), now=NOW)
    await store.prune(A_RETENTION, now=NOW + DAY, batch=10)
    assert len(await store.deleted_datasets(BOB, [head.id])) == 1

    pruned = await store.prune(A_RETENTION, now=NOW + 2 * DAY, batch=10)

    assert pruned.datasets == 1
    assert await store.deleted_datasets(BOB, [head.id]) == []
    assert await store.access(NO_TENANT, head.id) is None
    assert await roles(store, lives.id) == {ALICE.identity: OWNER, BOB.identity: EDITOR}


async def test_expired_invitations_are_pruned_and_good_ones_stay(store: Store) -> None:
    head = await create(store)
    await share(store, an_invitation("expired", expires_at=LATER))
    await share(store, an_invitation("good"))

    await store.prune(A_RETENTION, now=LATER + timedelta(seconds=1), batch=10)

    # As if it were not past its time: it is really gone.
    assert [each.code_hash for each in await store.invitations(ALICE, head.id, now=NOW)] == [code_hash("good")]

"""Guests, and what becomes of what they have when they sign in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.core.checkpoint import START
from syncline.core.ids import NO_TENANT, DatasetId, InvitationId, RecordKey
from syncline.core.limits import Limits
from syncline.core.linking import LinkFate, LinkRequest, LinkRule
from syncline.core.model import ConflictPolicy, DatasetRef, DatasetScope, Role, Viewer
from syncline.core.pages import PageRequest
from syncline.core.sharing import (
    AcceptInvitation,
    Act,
    Invite,
    Leave,
    RemoveMember,
    Share,
    SharingRequest,
    TransferOwnership,
)
from syncline.errors import (
    DatasetExists,
    DatasetNotFound,
    Forbidden,
    GuestLinked,
    InvalidInput,
    LimitExceeded,
    MemberNotFound,
)
from syncline.ports import GuestLink, Retention, Store
from tests.support.builders import ALICE, BOB, NOW, a_request, a_viewer, by_id, named, put, remove
from tests.support.stores import StoreFactory, checkpoint, create, keys, read, synced, write

GUEST = a_viewer("guest-" + "0" * 32)
GUESTS_TABLET = a_viewer(GUEST.identity, "tablet")
OTHER_GUEST = a_viewer("guest-" + "1" * 32)
CAROL = a_viewer("carol")
A_DAY = timedelta(days=1)


def a_link(
    rule: LinkRule = LinkRule.KEEP_BOTH, *, by: Viewer = ALICE, guest: Viewer = GUEST, limits: Limits | None = None
) -> LinkRequest:
    return LinkRequest(guest=guest.identity, viewer=by, rule=rule, limits=limits or Limits(), now=NOW)


async def share(store: Store, act: Act, dataset: DatasetId | None = None, *, by: Viewer = BOB) -> None:
    ref = None if dataset is None else by_id(dataset)
    await store.share(SharingRequest(viewer=by, ref=ref, act=act, limits=Limits(), now=NOW))


async def names(store: Store, viewer: Viewer = ALICE, scope: DatasetScope = DatasetScope.OWNED) -> dict[str, str]:
    """Names and ids of what the viewer sees."""
    return {standing.head.name: standing.head.id for standing in await store.datasets(viewer, scope, first=100)}


async def content(store: Store, ref: DatasetRef, viewer: Viewer = ALICE) -> dict[str, str | None]:
    log = await read(store, START, ref=ref, viewer=viewer)
    assert log.page is not None
    return {record.key: record.value for record in log.page.records}


# --- what moves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", list(LinkRule))
async def test_a_dataset_that_moves_keeps_id_version_records_and_checkpoints(store: Store, rule: LinkRule) -> None:
    await store.create_guest(GUEST.identity, now=NOW)
    await write(store, put("a", 1), viewer=GUEST)
    before = (await write(store, put("b", 2), remove("a"), viewer=GUEST)).head
    position = await checkpoint(store, before.id, GUEST)
    link = await store.link_guest(a_link(rule))
    assert [each.fate for each in link.linked.datasets] == [LinkFate.MOVED]
    standing = await store.dataset(ALICE, named())
    assert standing is not None
    assert (standing.head.id, standing.head.version, standing.role) == (before.id, before.version, Role.OWNER)
    assert standing.head.scope == before.scope + 1
    assert [head.id for head in link.heads] == [before.id]
    # Who comes with the guest's checkpoint goes on from there.
    await write(store, put("c", 3))
    log = await read(store, position)
    assert (log.reason, keys(log.page)) == (None, ["c"])


async def test_what_the_guest_wrote_the_account_wrote(store: Store) -> None:
    await write(store, put("a", 1), viewer=GUEST)
    await store.link_guest(a_link())
    dataset = DatasetId((await names(store))["notes"])
    record = await store.record(ALICE, dataset, RecordKey("a"))
    assert record is not None
    assert record.updated_by == ALICE.author


async def test_a_push_whose_answer_was_lost_has_no_second_effect_after_the_link(store: Store) -> None:
    request = a_request(put("a", 1), viewer=GUEST, since=START)
    first = await synced(store, request)
    await store.link_guest(a_link())
    again = await synced(store, replace(request, viewer=ALICE))
    assert (again.replayed, again.head.version) == (True, first.head.version)


async def test_what_a_guest_deleted_the_account_is_told_of(store: Store) -> None:
    head = await create(store, viewer=GUEST)
    await store.delete_dataset(GUEST, named(), now=NOW)
    await store.link_guest(a_link())
    assert [each.id for each in await store.deleted_datasets(ALICE, [head.id])] == [head.id]


async def test_a_guest_that_has_nothing_can_sign_in(store: Store) -> None:
    link = await store.link_guest(a_link())
    assert (link.linked.datasets, link.linked.memberships, link.heads) == ((), (), ())
    assert await store.linked_guests([GUEST.identity, OTHER_GUEST.identity]) == {GUEST.identity}


async def test_other_guests_and_other_accounts_are_left_alone(store: Store) -> None:
    for viewer in (GUEST, OTHER_GUEST, BOB):
        await write(store, put("a", 1), viewer=viewer)
    await store.link_guest(a_link())
    assert await content(store, named(), OTHER_GUEST) == {"a": "1"}
    assert await content(store, named(), BOB) == {"a": "1"}


# --- clashes ----------------------------------------------------------------------------------------------------------


async def clash(store: Store, rule: LinkRule) -> tuple[DatasetId, DatasetId, GuestLink]:
    """Both have notes: the guest's id, the account's, and what the link says."""
    guests = (await write(store, put("both", "guest"), put("mine", 1), put("same", 0), viewer=GUEST)).head.id
    accounts = (await write(store, put("both", "account"), put("ours", 2), put("same", 0))).head.id
    return guests, accounts, await store.link_guest(a_link(rule))


async def test_keep_both_renames_the_guests(store: Store) -> None:
    guests, accounts, link = await clash(store, LinkRule.KEEP_BOTH)
    assert await names(store) == {"notes": accounts, "notes-2": guests}
    assert await content(store, by_id(guests)) == {"both": '"guest"', "mine": "1", "same": "0"}
    assert await content(store, by_id(accounts)) == {"both": '"account"', "ours": "2", "same": "0"}
    [dataset] = link.linked.datasets
    assert (dataset.fate, dataset.former_name, dataset.name) == (LinkFate.RENAMED, "notes", "notes-2")


async def test_merge_is_one_commit_of_the_accounts_dataset_and_the_guests_is_deleted(store: Store) -> None:
    before = await write(store, put("x"), ref=named("unrelated"))
    guests, accounts, link = await clash(store, LinkRule.MERGE)
    assert await names(store) == {"notes": accounts, "unrelated": before.head.id}
    assert await content(store, named()) == {"both": '"account"', "ours": "2", "same": "0", "mine": "1"}
    standing = await store.dataset(ALICE, named())
    assert standing is not None
    assert (standing.head.version, standing.head.record_count) == (2, 4)
    assert [(each.key, each.account_value, each.guest_value) for each in link.linked.conflicts] == [
        ("both", '"account"', '"guest"')
    ]
    deleted = await store.dataset(ALICE, by_id(guests))
    assert deleted is not None
    assert deleted.head.deleted_at == NOW
    assert [each.id for each in await store.deleted_datasets(ALICE, [guests])] == [guests]


async def test_a_record_that_comes_back_by_a_merge_is_no_tombstone_any_more(store: Store) -> None:
    await write(store, put("a", 1), put("b", 1))
    await write(store, remove("a"))
    await write(store, put("a", 2), viewer=GUEST)
    await store.link_guest(a_link(LinkRule.MERGE))
    assert await content(store, named()) == {"a": "2", "b": "1"}
    # They are counted as they are: the only one that there is now may stay.
    await write(store, remove("b"))
    retention = Retention(
        tombstones=90 * A_DAY, tombstones_per_dataset=1, receipts=30 * A_DAY, deleted_datasets=90 * A_DAY
    )
    assert (await store.prune(retention, now=NOW, batch=100)).tombstones == 0


async def test_prefer_account_drops_the_guests(store: Store) -> None:
    guests, accounts, _ = await clash(store, LinkRule.PREFER_ACCOUNT)
    assert await names(store) == {"notes": accounts}
    assert await content(store, named()) == {"both": '"account"', "ours": "2", "same": "0"}
    assert [each.id for each in await store.deleted_datasets(ALICE, [guests])] == [guests]


async def test_prefer_guest_replaces_the_accounts(store: Store) -> None:
    guests, accounts, _ = await clash(store, LinkRule.PREFER_GUEST)
    assert await names(store) == {"notes": guests}
    assert await content(store, named()) == {"both": '"guest"', "mine": "1", "same": "0"}
    assert [each.id for each in await store.deleted_datasets(ALICE, [accounts])] == [accounts]


@pytest.mark.parametrize(
    ("rule", "limits", "limit"),
    [
        (LinkRule.KEEP_BOTH, Limits(datasets=1), "datasets"),
        (LinkRule.MERGE, Limits(records=3), "records"),
        (LinkRule.MERGE, Limits(dataset_bytes=15), "datasetBytes"),
    ],
)
async def test_over_a_limit_nothing_is_done(store: Store, rule: LinkRule, limits: Limits, limit: str) -> None:
    await write(store, put("a", "guest"), put("b", 1), viewer=GUEST)
    await write(store, put("a", "account"), put("c", 1), put("d", 1))
    before = await content(store, named(), GUEST), await content(store, named())
    with pytest.raises(LimitExceeded) as caught:
        await store.link_guest(a_link(rule, limits=limits))
    assert caught.value.limit == limit
    assert (await content(store, named(), GUEST), await content(store, named())) == before
    assert await store.linked_guests([GUEST.identity]) == frozenset()
    await store.link_guest(a_link(LinkRule.PREFER_ACCOUNT, limits=limits))


# --- sharing ----------------------------------------------------------------------------------------------------------


async def test_members_and_invitations_of_the_guests_dataset_stay_good(store: Store) -> None:
    dataset = (await write(store, put("a", 1), viewer=GUEST)).head.id
    await share(store, Share(identity=BOB.identity, role=Role.EDITOR), dataset, by=GUEST)
    invite = Invite(id=InvitationId("c" * 32), code_hash=b"code", role=Role.VIEWER, uses=2, expires_at=NOW + A_DAY)
    await share(store, invite, dataset, by=GUEST)
    await store.link_guest(a_link())
    await share(store, AcceptInvitation(code_hash=b"code"), by=CAROL)
    members = await store.members(ALICE, dataset, first=10)
    assert [(each.identity, each.role) for each in members] == [
        ("alice", Role.OWNER),
        ("bob", Role.EDITOR),
        ("carol", Role.VIEWER),
    ]
    assert [each.uses_left for each in await store.invitations(ALICE, dataset, now=NOW)] == [1]
    assert await content(store, by_id(dataset), BOB) == {"a": "1"}


@pytest.mark.parametrize(
    ("guests", "accounts", "then"),
    [
        (Role.EDITOR, None, Role.EDITOR),
        (Role.EDITOR, Role.VIEWER, Role.EDITOR),
        (Role.VIEWER, Role.EDITOR, Role.EDITOR),
    ],
)
async def test_the_account_stands_where_the_guest_stood_and_the_higher_role_wins(
    store: Store, guests: Role, accounts: Role | None, then: Role
) -> None:
    dataset = (await write(store, put("a", 1), viewer=BOB)).head.id
    await share(store, Share(identity=GUEST.identity, role=guests), dataset)
    if accounts is not None:
        await share(store, Share(identity=ALICE.identity, role=accounts), dataset)
    before = await store.access(NO_TENANT, dataset)
    assert before is not None
    link = await store.link_guest(a_link())
    access = await store.access(NO_TENANT, dataset)
    assert access is not None
    assert access.roles == {"bob": Role.OWNER, "alice": then}
    assert access.scope == before.scope + 1
    assert [(each.id, each.role) for each in link.linked.memberships] == [(dataset, then)]
    assert await names(store, scope=DatasetScope.SHARED) == {"notes": dataset}


async def test_an_account_that_was_a_member_of_the_guests_dataset_owns_it_now(store: Store) -> None:
    dataset = (await write(store, put("a", 1), viewer=GUEST)).head.id
    await share(store, Share(identity=ALICE.identity, role=Role.VIEWER), dataset, by=GUEST)
    await store.link_guest(a_link())
    access = await store.access(NO_TENANT, dataset)
    assert access is not None
    assert access.roles == {"alice": Role.OWNER}
    await write(store, put("b", 2), ref=by_id(dataset))


async def test_a_guest_in_the_accounts_own_dataset_is_none_afterwards(store: Store) -> None:
    dataset = (await write(store, put("a", 1))).head.id
    await share(store, Share(identity=GUEST.identity, role=Role.EDITOR), dataset, by=ALICE)
    await write(store, put("b", 2), viewer=GUEST, ref=by_id(dataset))
    await write(store, put("c", 3), viewer=GUEST)
    await store.link_guest(a_link(LinkRule.MERGE))
    access = await store.access(NO_TENANT, dataset)
    assert access is not None
    assert access.roles == {"alice": Role.OWNER}
    assert await content(store, named()) == {"a": "1", "b": "2", "c": "3"}


async def test_a_member_of_a_dataset_that_was_merged_is_told_that_it_is_deleted(store: Store) -> None:
    dataset = (await write(store, put("a", 1), viewer=GUEST)).head.id
    await share(store, Share(identity=BOB.identity, role=Role.EDITOR), dataset, by=GUEST)
    await write(store, put("b", 1))
    await store.link_guest(a_link(LinkRule.MERGE))
    assert [each.id for each in await store.deleted_datasets(BOB, [dataset])] == [dataset]
    assert await names(store, BOB, DatasetScope.ALL) == {}


async def test_what_was_shared_with_the_guest_and_deleted_since_the_account_is_told_of(store: Store) -> None:
    dataset = (await write(store, put("a", 1), viewer=BOB)).head.id
    await share(store, Share(identity=GUEST.identity, role=Role.EDITOR), dataset)
    await store.delete_dataset(BOB, named(), now=NOW)
    await store.link_guest(a_link())
    assert [each.id for each in await store.deleted_datasets(ALICE, [dataset])] == [dataset]


# --- afterwards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", list(LinkRule))
async def test_the_same_again_gives_the_first_answer_whatever_the_rule(store: Store, rule: LinkRule) -> None:
    _, _, first = await clash(store, LinkRule.MERGE)
    before = await content(store, named())
    again = await store.link_guest(a_link(rule, by=a_viewer(device="laptop")))
    assert (again.linked, again.replayed, again.heads) == (first.linked, True, ())
    assert await content(store, named()) == before


async def test_nobody_else_can_link_a_guest_that_has_signed_in(store: Store) -> None:
    await clash(store, LinkRule.MERGE)
    with pytest.raises(GuestLinked):
        await store.link_guest(a_link(by=BOB))
    assert await names(store, BOB) == {}


async def test_an_account_can_be_several_guests(store: Store) -> None:
    await write(store, put("a", 1), viewer=GUEST)
    await write(store, put("b", 1), viewer=OTHER_GUEST)
    await store.link_guest(a_link())
    await store.link_guest(a_link(guest=OTHER_GUEST))
    assert (await names(store)).keys() == {"notes", "notes-2"}


async def test_whatever_a_linked_guest_does_is_refused(store: Store) -> None:
    head = (await write(store, put("a", 1), viewer=GUEST)).head
    position = await checkpoint(store, head.id, GUEST)
    bobs = (await write(store, put("a", 1), viewer=BOB)).head.id
    invite = Invite(id=InvitationId("c" * 32), code_hash=b"code", role=Role.VIEWER, uses=2, expires_at=NOW + A_DAY)
    await share(store, invite, bobs)
    await store.link_guest(a_link())
    for ref in (named(), named("new"), by_id(head.id)):
        with pytest.raises(GuestLinked):
            await write(store, put("b", 1), viewer=GUESTS_TABLET, ref=ref)
        with pytest.raises(GuestLinked):
            await store.dataset(GUEST, ref)
        with pytest.raises(GuestLinked):
            await store.read_log(GUEST, ref, position, PageRequest())
        with pytest.raises(GuestLinked):
            await store.update_dataset(GUEST, ref, ConflictPolicy.MERGE, now=NOW)
        with pytest.raises(GuestLinked):
            await store.delete_dataset(GUEST, ref, now=NOW)
    with pytest.raises(GuestLinked):
        await create(store, named("new"), viewer=GUEST)
    with pytest.raises(GuestLinked):
        await share(store, Leave(), head.id, by=GUEST)
    with pytest.raises(GuestLinked):
        await share(store, AcceptInvitation(code_hash=b"code"), by=GUEST)
    assert await names(store, GUEST, DatasetScope.ALL) == {}


async def test_nothing_can_be_shared_with_a_guest_that_has_signed_in(store: Store) -> None:
    dataset = (await write(store, put("a", 1), viewer=BOB)).head.id
    await store.link_guest(a_link())
    with pytest.raises(InvalidInput):
        await share(store, Share(identity=GUEST.identity, role=Role.EDITOR), dataset)


async def test_a_link_is_never_forgotten_but_its_outcome_is_with_the_receipts(store: Store) -> None:
    _, _, first = await clash(store, LinkRule.MERGE)
    retention = Retention(
        tombstones=90 * A_DAY, tombstones_per_dataset=10_000, receipts=30 * A_DAY, deleted_datasets=90 * A_DAY
    )
    await store.prune(retention, now=NOW + 29 * A_DAY, batch=100)
    assert (await store.link_guest(a_link())).linked == first.linked
    await store.prune(retention, now=NOW + 31 * A_DAY, batch=100)
    with pytest.raises(GuestLinked):
        await store.link_guest(a_link())
    assert await store.linked_guests([GUEST.identity]) == {GUEST.identity}


async def test_a_link_outlives_the_process(store_factory: StoreFactory) -> None:
    store = await store_factory()
    try:
        _, _, first = await clash(store, LinkRule.MERGE)
    finally:
        await store.close()
    store = await store_factory()
    try:
        assert (await store.link_guest(a_link())).linked == first.linked
        assert await store.linked_guests([GUEST.identity]) == {GUEST.identity}
    finally:
        await store.close()


# --- at the same time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [LinkRule.KEEP_BOTH, LinkRule.MERGE, LinkRule.PREFER_GUEST])
async def test_a_sync_of_the_guests_is_wholly_before_the_link_and_moved_or_refused(
    store: Store, rule: LinkRule
) -> None:
    await write(store, put("seed", 1), viewer=GUEST)
    await write(store, put("ours", 1))

    async def write_one(number: int) -> str | None:
        ref = named("notes" if number % 3 else f"new-{number}")
        try:
            await write(store, put(f"k{number}", number), viewer=GUEST if number % 2 else GUESTS_TABLET, ref=ref)
        except GuestLinked:
            return None
        return f"k{number}"

    async def link_later() -> GuestLink:
        await asyncio.sleep(0)
        return await store.link_guest(a_link(rule, limits=Limits(datasets=1_000)))

    writes = [write_one(number) for number in range(12)]
    later = [write_one(number) for number in range(12, 24)]
    results = await asyncio.gather(*writes, link_later(), *later)
    acknowledged = {each for each in results if isinstance(each, str)}
    found: set[str] = set()
    for dataset in (await names(store)).values():
        found |= (await content(store, by_id(DatasetId(dataset)))).keys()
    assert found - {"seed", "ours"} == acknowledged


async def test_of_two_accounts_that_link_a_guest_at_once_one_gets_all(store: Store) -> None:
    for name in ("a", "b", "c"):
        await write(store, put("k", name), viewer=GUEST, ref=named(name))

    async def link(viewer: Viewer) -> bool:
        try:
            await store.link_guest(a_link(by=viewer))
        except GuestLinked:
            return False
        return True

    won = await asyncio.gather(link(ALICE), link(BOB))
    assert sorted(won) == [False, True]
    assert sorted([len(await names(store, ALICE)), len(await names(store, BOB))]) == [0, 3]


async def test_links_syncs_and_sharing_of_the_same_datasets_all_come_to_an_end(store: Store) -> None:
    guests = [a_viewer(f"guest-{number:032x}") for number in range(2, 6)]
    bobs = (await write(store, put("k", 0), viewer=BOB)).head.id
    for guest in guests:
        await write(store, put("k", 1), viewer=guest, ref=named("shared"))
        await share(store, Share(identity=guest.identity, role=Role.EDITOR), bobs)

    async def unless_refused(work: Awaitable[object]) -> None:
        # What is retryable was not decided: that would be a failure.
        with suppress(GuestLinked, DatasetNotFound, MemberNotFound, Forbidden, DatasetExists, InvalidInput):
            await work

    accounts = [ALICE, CAROL]
    works: list[Awaitable[object]] = []
    for account in accounts:
        works += [store.link_guest(a_link(LinkRule.MERGE, by=account, guest=guest)) for guest in guests]
        works += [write(store, put(f"k{n}", n), viewer=account, ref=named("shared")) for n in range(5)]
    works += [write(store, put(f"k{n}", n), viewer=BOB, ref=by_id(bobs)) for n in range(10)]
    works += [share(store, RemoveMember(identity=guest.identity), bobs) for guest in guests[:2]]
    works += [share(store, TransferOwnership(identity=guest.identity), bobs) for guest in guests[2:]]
    random.Random(7).shuffle(works)  # noqa: S311 # no secret
    async with asyncio.timeout(60):
        await asyncio.gather(*map(unless_refused, works))
    assert await store.linked_guests([guest.identity for guest in guests]) == {guest.identity for guest in guests}
    for guest in guests:
        assert await names(store, guest, DatasetScope.ALL) == {}

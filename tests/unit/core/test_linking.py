from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from syncline.core.ids import DatasetId, DatasetName, IdentityId, RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.linking import (
    GuestMembership,
    LinkConflict,
    LinkFate,
    LinkPlan,
    LinkRequest,
    LinkRule,
    LinkState,
    merged,
    plan,
    to_merge,
)
from syncline.core.model import DatasetHead, Record, Role, Viewer
from syncline.core.sharing import Member
from syncline.errors import Forbidden, InvalidInput, LimitExceeded
from tests.support.core_builders import EPOCH, NOW, head_of, js, record, viewer

GUEST = IdentityId("guest-" + "0" * 32)
ALICE = viewer("phone", "alice")
G, A, OTHER = (DatasetId(digit * 32) for digit in "abc")


def owned(owner: str, name: str, id_: DatasetId, *records: Record) -> DatasetHead:
    return replace(head_of(records, dataset=id_), owner=IdentityId(owner), name=DatasetName(name))


def request(
    rule: LinkRule, *, by: Viewer = ALICE, guest: IdentityId = GUEST, limits: Limits | None = None
) -> LinkRequest:
    return LinkRequest(guest=guest, viewer=by, rule=rule, limits=limits or Limits(), now=NOW)


def a_state(
    guests: dict[DatasetHead, tuple[Record, ...]] | list[DatasetHead],
    accounts: dict[DatasetHead, tuple[Record, ...]] | Sequence[DatasetHead] = (),
    shared: list[GuestMembership] | None = None,
) -> LinkState:
    records: dict[DatasetId, dict[RecordKey, Record]] = {}
    for heads in (guests, accounts):
        for head in heads:
            rows = heads[head] if isinstance(heads, dict) else ()
            records[head.id] = {each.key: each for each in rows}
    return LinkState(epoch=EPOCH, guests=list(guests), accounts=list(accounts), shared=shared or [], records=records)


def clash(rule: LinkRule, guests: tuple[Record, ...] = (), accounts: tuple[Record, ...] = ()) -> LinkPlan:
    """Both have a dataset named notes."""
    return plan(
        request(rule),
        a_state({owned(GUEST, "notes", G, *guests): guests}, {owned("alice", "notes", A, *accounts): accounts}),
    )


@pytest.mark.parametrize("rule", list(LinkRule))
def test_what_no_name_stands_in_the_way_of_moves_as_it_is_by_every_rule(rule: LinkRule) -> None:
    head = owned(GUEST, "notes", G, record("a", js(1), version=7))
    decision = plan(request(rule), a_state([head], [owned("alice", "other", A)]))
    [moved] = decision.heads
    assert moved == replace(head, owner=ALICE.identity, scope=1, updated_by=head.updated_by)
    assert (decision.deleted, decision.commits) == ((), ())
    assert [each.fate for each in decision.linked.datasets] == [LinkFate.MOVED]


def test_keep_both_gives_the_guests_a_name_that_nobody_has() -> None:
    state = a_state(
        [owned(GUEST, "notes", G), owned(GUEST, "notes-3", OTHER)],
        [owned("alice", "notes", A), owned("alice", "notes-2", DatasetId("d" * 32))],
    )
    decision = plan(request(LinkRule.KEEP_BOTH), state)
    assert {head.id: head.name for head in decision.heads} == {G: "notes-4", OTHER: "notes-3"}
    [moved, renamed] = sorted(decision.linked.datasets, key=lambda each: each.fate)
    assert (renamed.former_name, renamed.name, renamed.accounts) == ("notes", "notes-4", A)
    assert moved.fate is LinkFate.MOVED


def test_a_free_name_is_no_longer_than_a_name_may_be() -> None:
    name = "n" * 128
    decision = plan(request(LinkRule.KEEP_BOTH), a_state([owned(GUEST, name, G)], [owned("alice", name, A)]))
    assert decision.heads[0].name == "n" * 126 + "-2"


def test_merge_writes_what_only_the_guest_has_as_one_commit_of_the_accounts_dataset() -> None:
    decision = clash(
        LinkRule.MERGE,
        (record("a", js(1), version=1), record("b", js(2), version=2), record("gone", None, version=3)),
        (record("a", js(1), version=4), record("gone", js("here"), version=5), record("z", js(0), version=6)),
    )
    [commit] = decision.commits
    assert [(each.key, each.value, each.version, each.ordinal) for each in commit.records] == [("b", js(2), 7, 0)]
    assert commit.dataset == A
    [after] = decision.heads
    assert (after.version, after.record_count, after.owner) == (7, 4, "alice")
    assert [(head.id, head.owner, head.deleted_at) for head in decision.deleted] == [(G, "alice", NOW)]
    assert decision.linked.conflicts == ()
    assert [(each.fate, each.accounts) for each in decision.linked.datasets] == [(LinkFate.MERGED, A)]


def test_what_differs_is_reported_with_both_values_and_the_accounts_stays() -> None:
    decision = clash(LinkRule.MERGE, (record("a", js("guest's")),), (record("a", js("account's")),))
    assert decision.commits == ()
    assert decision.linked.conflicts == (
        LinkConflict(
            dataset=A,
            name=DatasetName("notes"),
            key=RecordKey("a"),
            account_value=js("account's"),
            guest_value=js("guest's"),
        ),
    )


def test_fields_that_only_the_guest_has_are_added_although_others_differ() -> None:
    assert merged(js({"a": 1, "b": 2}), js({"b": 3, "c": 4})) == (js({"a": 1, "b": 2, "c": 4}), True)
    assert merged(js({"a": 1}), js({"c": 4})) == (js({"a": 1, "c": 4}), False)
    assert merged(js({"a": 1}), js({"a": 1.0})) == (js({"a": 1}), False)
    assert merged(js([1]), js([2])) == (js([1]), True)
    assert merged(js(None), js({})) == (js(None), True)


def test_what_the_account_removed_and_the_guest_has_is_there_again() -> None:
    decision = clash(LinkRule.MERGE, (record("a", js(1)),), (record("a", None, version=3),))
    assert [each.value for each in decision.commits[0].records] == [js(1)]
    assert decision.heads[0].record_count == 1


def test_prefer_account_drops_the_guests_and_prefer_guest_the_accounts() -> None:
    dropped = clash(LinkRule.PREFER_ACCOUNT)
    assert [head.id for head in dropped.deleted] == [G]
    assert dropped.heads == ()
    replaced = clash(LinkRule.PREFER_GUEST)
    assert [head.id for head in replaced.deleted] == [A]
    assert [(head.id, head.owner, head.name) for head in replaced.heads] == [(G, "alice", "notes")]


def test_only_a_merge_needs_records_and_only_those_of_clashing_names() -> None:
    guests, accounts = [owned(GUEST, "notes", G), owned(GUEST, "x", OTHER)], [owned("alice", "notes", A)]
    assert to_merge(LinkRule.MERGE, guests, accounts) == {G, A}
    assert to_merge(LinkRule.KEEP_BOTH, guests, accounts) == frozenset()


# --- limits -----------------------------------------------------------------------------------------------------------


def test_more_datasets_than_the_account_may_own_are_an_error() -> None:
    state = a_state([owned(GUEST, "notes", G)], [owned("alice", "notes", A)])
    with pytest.raises(LimitExceeded) as caught:
        plan(request(LinkRule.KEEP_BOTH, limits=Limits(datasets=1)), state)
    assert caught.value.facts == {"limit": "datasets", "maximum": 1, "actual": 2}
    for rule in (LinkRule.MERGE, LinkRule.PREFER_ACCOUNT, LinkRule.PREFER_GUEST):
        plan(request(rule, limits=Limits(datasets=1)), state)


def test_an_account_that_is_over_its_quota_already_may_take_what_needs_no_more() -> None:
    state = a_state([owned(GUEST, "notes", G)], [owned("alice", "notes", A), owned("alice", "more", OTHER)])
    plan(request(LinkRule.PREFER_GUEST, limits=Limits(datasets=1)), state)


def test_a_merge_over_a_limit_is_an_error_that_names_it() -> None:
    rows = (record("a", js(1)),), (record("b", js(2)),)
    state = a_state({owned(GUEST, "notes", G, *rows[0]): rows[0]}, {owned("alice", "notes", A, *rows[1]): rows[1]})
    with pytest.raises(LimitExceeded) as caught:
        plan(request(LinkRule.MERGE, limits=Limits(records=1)), state)
    assert caught.value.facts["limit"] == "records"
    with pytest.raises(LimitExceeded) as caught:
        plan(request(LinkRule.MERGE, limits=Limits(dataset_bytes=3)), state)
    assert caught.value.facts == {"limit": "datasetBytes", "maximum": 3, "actual": 4}


# --- memberships ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guests", "accounts", "then", "put"),
    [
        (Role.EDITOR, None, Role.EDITOR, True),
        (Role.VIEWER, None, Role.VIEWER, True),
        (Role.EDITOR, Role.VIEWER, Role.EDITOR, True),
        (Role.VIEWER, Role.EDITOR, Role.EDITOR, False),
        (Role.EDITOR, Role.EDITOR, Role.EDITOR, False),
        (Role.EDITOR, Role.OWNER, None, False),
    ],
)
def test_the_higher_role_wins(guests: Role, accounts: Role | None, then: Role | None, put: bool) -> None:
    head = owned("alice" if accounts is Role.OWNER else "carol", "hers", OTHER)
    member = Member(identity=GUEST, role=guests, since=NOW)
    state = a_state(
        [],
        [head] if accounts is Role.OWNER else [],
        [GuestMembership(head=head, guest=member, account=accounts)],
    )
    decision = plan(request(LinkRule.MERGE), state)
    assert decision.dropped_members == ((OTHER, GUEST),)
    assert decision.put_members == (((OTHER, replace(member, identity=ALICE.identity)),) if put else ())
    assert [each.role for each in decision.linked.memberships] == ([] if then is None else [then])
    assert [each.scope for each in decision.heads] == [1]


def test_an_account_that_was_a_member_of_the_guests_dataset_owns_it_and_is_no_member() -> None:
    decision = plan(request(LinkRule.MERGE), a_state([owned(GUEST, "notes", G)]))
    assert (G, ALICE.identity) in decision.dropped_members


def test_a_dataset_that_is_merged_into_and_shared_with_the_guest_gets_commit_and_scope() -> None:
    ours, theirs = owned("alice", "notes", A), owned(GUEST, "notes", G, record("a", js(1)))
    member = Member(identity=GUEST, role=Role.EDITOR, since=NOW)
    state = a_state(
        {theirs: (record("a", js(1)),)}, {ours: ()}, [GuestMembership(head=ours, guest=member, account=Role.OWNER)]
    )
    [after] = plan(request(LinkRule.MERGE), state).heads
    assert (after.version, after.scope) == (Version(ours.version + 1), 1)


# --- who may be linked ------------------------------------------------------------------------------------------------


def test_nobody_is_linked_to_itself_to_another_guest_or_to_another_tenant() -> None:
    with pytest.raises(InvalidInput):
        request(LinkRule.MERGE, guest=ALICE.identity).check()
    other = Viewer(identity=IdentityId("guest-" + "1" * 32), device=None)
    with pytest.raises(Forbidden):
        request(LinkRule.MERGE, by=other).check()
    with pytest.raises(Forbidden):
        request(LinkRule.MERGE, by=Viewer(identity=IdentityId("acme\x1falice"), device=None)).check()
    request(LinkRule.MERGE).check()

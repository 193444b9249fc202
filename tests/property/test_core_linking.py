"""Linking, for any guest and any account: nothing is lost but by the rule, and every reported conflict is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from syncline.core.ids import DatasetId, DatasetName, IdentityId, RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.linking import GuestMembership, LinkFate, LinkPlan, LinkRequest, LinkRule, LinkState, plan, to_merge
from syncline.core.model import DatasetHead, Record, Role
from syncline.core.sharing import Member
from syncline.errors import LimitExceeded
from tests.support.core_builders import EPOCH, NOW, head_of, js, record, viewer

GUEST = IdentityId("guest-" + "0" * 32)
ALICE = viewer("phone", "alice")
TIGHT = Limits(datasets=4, records=5, dataset_bytes=60)
ROOMY = Limits(datasets=100)

Values = Mapping[str, Any]
"""What a dataset holds, by key; tombstones are no part of it."""


@dataclass(frozen=True)
class Stored:
    head: DatasetHead
    records: Mapping[RecordKey, Record]

    @property
    def values(self) -> Values:
        return {key: json.loads(each.value) for key, each in self.records.items() if each.value is not None}


scalars = st.sampled_from([None, True, 1, 1.0, "x", [1], [2]])
values = st.one_of(scalars, st.dictionaries(st.sampled_from("pqr"), scalars, max_size=3))
contents = st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.just(...), values), max_size=6)


@st.composite
def datasets(draw: st.DrawFn, owner: str, prefix: str) -> list[Stored]:
    names = draw(st.lists(st.sampled_from(["notes", "notes-2", "todo", "x"]), unique=True, max_size=4))
    made = []
    for number, name in enumerate(names):
        held = draw(contents)
        records = [
            record(key, None if value is ... else js(value), version=place + 1)
            for place, (key, value) in enumerate(held.items())
        ]
        head = head_of(records, dataset=DatasetId(f"{prefix}{number}".rjust(32, "0")))
        head = replace(head, owner=IdentityId(owner), name=DatasetName(name), scope=draw(st.integers(0, 3)))
        made.append(Stored(head, {each.key: each for each in records}))
    return made


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Stored], list[Stored], list[GuestMembership]]:
    guests, accounts = draw(datasets(GUEST, "a")), draw(datasets("alice", "b"))
    others = draw(datasets("carol", "c"))
    shared = [
        GuestMembership(
            head=each.head,
            guest=Member(identity=GUEST, role=draw(st.sampled_from([Role.EDITOR, Role.VIEWER])), since=NOW),
            account=Role.OWNER if each in accounts else draw(st.sampled_from([None, Role.EDITOR, Role.VIEWER])),
        )
        for each in [*others, *accounts]
        if draw(st.booleans())
    ]
    return guests, accounts, shared


def planned(
    rule: LinkRule,
    guests: list[Stored],
    accounts: list[Stored],
    shared: list[GuestMembership],
    limits: Limits = ROOMY,
) -> LinkPlan:
    heads = [each.head for each in guests], [each.head for each in accounts]
    wanted = to_merge(rule, *heads)
    state = LinkState(
        epoch=EPOCH,
        guests=heads[0],
        accounts=heads[1],
        shared=shared,
        records={each.head.id: each.records for each in (*guests, *accounts) if each.head.id in wanted},
    )
    return plan(LinkRequest(guest=GUEST, viewer=ALICE, rule=rule, limits=limits, now=NOW), state)


def applied(decision: LinkPlan, guests: list[Stored], accounts: list[Stored]) -> dict[str, Stored]:
    """What the account has afterwards, by name, if a store does what the plan says."""
    stored = {each.head.id: each for each in (*guests, *accounts)}
    for head in decision.deleted:
        assert head.deleted_at is not None
        del stored[head.id]
    for head in decision.heads:
        if head.id in stored:
            stored[head.id] = Stored(head, stored[head.id].records)
    for commit in decision.commits:
        before = stored[commit.dataset]
        assert commit.position.version == before.head.version
        stored[commit.dataset] = Stored(before.head, {**before.records, **{each.key: each for each in commit.records}})
    assert all(each.head.owner == ALICE.identity for each in stored.values())
    by_name = {each.head.name: each for each in stored.values()}
    assert len(by_name) == len(stored), "two live datasets of one name"
    return {str(name): each for name, each in by_name.items()}


def equal(one: Any, other: Any) -> bool:
    """As JSON: true is not 1."""
    return repr(canonical(one)) == repr(canonical(other))


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((name, canonical(each)) for name, each in value.items())
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def joined(ours: Any, theirs: Any) -> tuple[Any, bool]:
    """What a merge makes of two values, by the documented rule; and whether that loses anything of the guest's."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        lost = any(name in ours and not equal(ours[name], each) for name, each in theirs.items())
        return {**theirs, **ours}, lost
    return ours, not equal(ours, theirs)


def expected(
    rule: LinkRule, guests: list[Stored], accounts: list[Stored]
) -> tuple[dict[str, dict[str, Any]], set[tuple[str, str]], set[str]]:
    """The account's content by name, the conflicts, and the names of datasets that are the guest's own ones."""
    content: dict[str, dict[str, Any]] = {str(each.head.name): dict(each.values) for each in accounts}
    conflicts: set[tuple[str, str]] = set()
    renamed = []
    for each in guests:
        name = str(each.head.name)
        if name not in content:
            content[name] = dict(each.values)
        elif rule is LinkRule.KEEP_BOTH:
            renamed.append(each)
        elif rule is LinkRule.PREFER_GUEST:
            content[name] = dict(each.values)
        elif rule is LinkRule.MERGE:
            for key, value in each.values.items():
                if key not in content[name]:
                    content[name][key] = value
                    continue
                content[name][key], lost = joined(content[name][key], value)
                if lost:
                    conflicts.add((name, key))
    return content, conflicts, {str(each.head.id) for each in renamed}


@given(rule=st.sampled_from(LinkRule), world=worlds())
def test_nothing_is_lost_but_by_the_rule_and_every_reported_conflict_is_one(
    rule: LinkRule, world: tuple[list[Stored], list[Stored], list[GuestMembership]]
) -> None:
    guests, accounts, shared = world
    decision = planned(rule, guests, accounts, shared)
    after = applied(decision, guests, accounts)
    content, conflicts, renamed = expected(rule, guests, accounts)
    kept = {name: each.values for name, each in after.items() if str(each.head.id) not in renamed}
    assert kept.keys() == content.keys()
    assert all(equal(kept[name], content[name]) for name in content)
    for each in guests:
        if str(each.head.id) in renamed:
            [there] = [stored for stored in after.values() if stored.head.id == each.head.id]
            assert there.values == each.values
            assert str(there.head.name).startswith(str(each.head.name))
    reported = {(str(each.name), str(each.key)) for each in decision.linked.conflicts}
    assert reported == conflicts
    for conflict in decision.linked.conflicts:
        [theirs] = [each for each in guests if each.head.name == conflict.name]
        [ours] = [each for each in accounts if each.head.name == conflict.name]
        assert theirs.records[conflict.key].value == conflict.guest_value
        assert ours.records[conflict.key].value == conflict.account_value


@given(rule=st.sampled_from(LinkRule), world=worlds())
def test_heads_say_what_the_datasets_hold_and_who_moved_keeps_id_and_version(
    rule: LinkRule, world: tuple[list[Stored], list[Stored], list[GuestMembership]]
) -> None:
    guests, accounts, shared = world
    decision = planned(rule, guests, accounts, shared)
    for stored in applied(decision, guests, accounts).values():
        live = [each for each in stored.records.values() if not each.deleted]
        assert stored.head.record_count == len(live)
        assert stored.head.size_bytes == sum(each.size_bytes for each in live)
        assert stored.head.version == max((each.version for each in stored.records.values()), default=Version(0))
    before = {each.head.id: each.head for each in guests}
    fates = {each.id: each.fate for each in decision.linked.datasets}
    assert fates.keys() == before.keys()
    for head in decision.heads:
        if head.id in before:
            assert fates[head.id] in (LinkFate.MOVED, LinkFate.RENAMED, LinkFate.REPLACED)
            assert (head.version, head.scope) == (before[head.id].version, before[head.id].scope + 1)
    gone = {head.id for head in decision.deleted} & before.keys()
    assert gone == {id_ for id_, fate in fates.items() if fate in (LinkFate.MERGED, LinkFate.DROPPED)}


@given(rule=st.sampled_from(LinkRule), world=worlds())
def test_linking_once_more_changes_nothing(
    rule: LinkRule, world: tuple[list[Stored], list[Stored], list[GuestMembership]]
) -> None:
    guests, accounts, shared = world
    after = applied(planned(rule, guests, accounts, shared), guests, accounts)
    again = planned(rule, [], list(after.values()), [])
    assert (again.heads, again.deleted, again.commits, again.put_members, again.linked.datasets) == ((),) * 5


@given(rule=st.sampled_from(LinkRule), world=worlds())
def test_no_standing_is_lost_and_none_is_higher_than_before(
    rule: LinkRule, world: tuple[list[Stored], list[Stored], list[GuestMembership]]
) -> None:
    guests, accounts, shared = world
    decision = planned(rule, guests, accounts, shared)
    put = dict(decision.put_members)
    gone = {head.id for head in decision.deleted}
    ranks = {None: 0, Role.VIEWER: 1, Role.EDITOR: 2, Role.OWNER: 3}
    for each in shared:
        if each.head.id in gone:
            continue
        assert (each.head.id, GUEST) in decision.dropped_members
        now = put[each.head.id].role if each.head.id in put else each.account
        assert ranks[now] == max(ranks[each.account], ranks[each.guest.role])


@given(rule=st.sampled_from(LinkRule), world=worlds())
def test_the_outcome_obeys_the_limits_or_nothing_is_done(
    rule: LinkRule, world: tuple[list[Stored], list[Stored], list[GuestMembership]]
) -> None:
    guests, accounts, shared = world
    try:
        decision = planned(rule, guests, accounts, shared, TIGHT)
    except LimitExceeded as error:
        assert error.limit in ("datasets", "records", "datasetBytes")  # noqa: PT017 - either outcome may be
        loose = applied(planned(rule, guests, accounts, shared), guests, accounts)
        over = [
            each
            for each in loose.values()
            if each.head.record_count > TIGHT.records or each.head.size_bytes > TIGHT.dataset_bytes
        ]
        assert over or len(loose) > TIGHT.datasets
        return
    after = applied(decision, guests, accounts)
    assert len(after) <= max(TIGHT.datasets, len(accounts))

"""Whether a change conflicts, and what the policy makes of it: every kind of base, policy and status."""

from __future__ import annotations

import pytest

from syncline.core.changes import (
    AT_CHECKPOINT,
    Absent,
    AddToSet,
    AnyState,
    AtValue,
    AtVersion,
    Base,
    Change,
    Increment,
    Max,
    Merge,
    Min,
    Put,
    Remove,
    RemoveFromSet,
)
from syncline.core.conflicts import ChangeStatus, Judgement, equal, judge
from syncline.core.ids import Version
from syncline.core.json_values import JsonText, parsed
from syncline.core.model import BEGINNING, ConflictPolicy, FieldVersions, Position, Record
from tests.support.core_builders import at, author, js, key, record

APPLIED, MERGED, UNCHANGED, CONFLICT = (
    ChangeStatus.APPLIED,
    ChangeStatus.MERGED,
    ChangeStatus.UNCHANGED,
    ChangeStatus.CONFLICT,
)
REJECT, LAST_WRITER_WINS, MERGE = ConflictPolicy.REJECT, ConflictPolicy.LAST_WRITER_WINS, ConflictPolicy.MERGE
K = key()


def of(
    change: Change,
    current: Record | None,
    *,
    seen: Position = BEGINNING,
    policy: ConflictPolicy = REJECT,
    by: str | None = "phone",
    next_version: int = 10,
) -> Judgement:
    return judge(change, current, author=author(by), seen=seen, policy=policy, next_version=Version(next_version))


THEIRS = record(value=js("theirs"), version=5, by="tablet")
TOMBSTONE = record(value=None, version=5, by="tablet")


def put(base: Base = AT_CHECKPOINT, value: object = "mine") -> Put:
    return Put(key=K, value=js(value), base=base)


@pytest.mark.parametrize(
    ("base", "current", "seen", "status"),
    [
        (AtVersion(Version(5)), THEIRS, BEGINNING, APPLIED),
        (AtVersion(Version(4)), THEIRS, at(9), CONFLICT),
        (AtVersion(Version(6)), THEIRS, at(9), CONFLICT),
        (AtVersion(Version(5)), TOMBSTONE, BEGINNING, APPLIED),
        (AtVersion(Version(4)), TOMBSTONE, BEGINNING, CONFLICT),
        (AtVersion(Version(4)), None, BEGINNING, CONFLICT),
        (AtVersion(Version(0)), None, BEGINNING, APPLIED),
        (AtVersion(Version(0)), TOMBSTONE, BEGINNING, APPLIED),
        (AtVersion(Version(0)), THEIRS, at(9), CONFLICT),
        (AtValue(js("theirs")), THEIRS, BEGINNING, APPLIED),
        (AtValue(js("other")), THEIRS, at(9), CONFLICT),
        (AtValue(js("theirs")), TOMBSTONE, at(9), CONFLICT),
        (AtValue(js("theirs")), None, at(9), CONFLICT),
        (Absent(), None, BEGINNING, APPLIED),
        (Absent(), TOMBSTONE, BEGINNING, APPLIED),
        (Absent(), THEIRS, at(9), CONFLICT),
        (AnyState(), THEIRS, BEGINNING, APPLIED),
        (AnyState(), TOMBSTONE, BEGINNING, APPLIED),
        (AnyState(), None, BEGINNING, APPLIED),
        (AT_CHECKPOINT, THEIRS, at(5), APPLIED),
        (AT_CHECKPOINT, THEIRS, at(4, 1), APPLIED),
        (AT_CHECKPOINT, THEIRS, at(4), CONFLICT),
        (AT_CHECKPOINT, THEIRS, at(3, 9), CONFLICT),
        (AT_CHECKPOINT, THEIRS, BEGINNING, CONFLICT),
        (AT_CHECKPOINT, TOMBSTONE, at(5), APPLIED),
        (AT_CHECKPOINT, TOMBSTONE, at(4), CONFLICT),
        (AT_CHECKPOINT, TOMBSTONE, BEGINNING, APPLIED),
        (AT_CHECKPOINT, None, BEGINNING, APPLIED),
        (AT_CHECKPOINT, None, at(3), APPLIED),
    ],
)
def test_a_put_is_applied_exactly_if_its_base_holds(
    base: Base, current: Record | None, seen: Position, status: ChangeStatus
) -> None:
    expected = Judgement(APPLIED, js("mine")) if status is APPLIED else Judgement(CONFLICT)
    assert of(put(base), current, seen=seen) == expected


def test_a_base_by_value_is_compared_as_json_and_not_as_text() -> None:
    current = record(value=JsonText('{"a":1,"b":2.0}'), version=5, by="tablet")
    assert of(put(AtValue(JsonText('{"b":2,"a":1.0}'))), current).status is APPLIED
    flag = record(value=js(True), version=5, by="tablet")
    assert of(put(AtValue(js(1))), flag).status is CONFLICT


@pytest.mark.parametrize("base", [AtVersion(Version(1)), AtValue(js("x")), Absent(), AnyState(), AT_CHECKPOINT])
@pytest.mark.parametrize("policy", [REJECT, LAST_WRITER_WINS, MERGE])
def test_a_change_equal_to_what_is_there_is_unchanged_whatever_its_base_and_the_policy(
    base: Base, policy: ConflictPolicy
) -> None:
    assert of(put(base, "theirs"), THEIRS, policy=policy) == Judgement(UNCHANGED)
    assert of(Remove(key=K, base=base), TOMBSTONE, policy=policy) == Judgement(UNCHANGED)
    assert of(Remove(key=K, base=base), None, policy=policy) == Judgement(UNCHANGED)
    document = record(value=js({"a": 1, "b": 2}), version=5, by="tablet")
    assert of(Merge(key=K, patch=js({"a": 1, "c": None}), base=base), document, policy=policy) == Judgement(UNCHANGED)


@pytest.mark.parametrize(
    ("change", "current", "after"),
    [
        (Increment(key=K, by=2.0), js(1), "3"),
        (Max(key=K, value=js(2)), js(1), "2"),
        (Min(key=K, value=js(0)), js(1), "0"),
        (AddToSet(key=K, members=(js(2),)), js([1]), "[1,2]"),
        (RemoveFromSet(key=K, members=(js(1),)), js([1]), "[]"),
    ],
)
@pytest.mark.parametrize("policy", [REJECT, LAST_WRITER_WINS, MERGE])
def test_a_commutative_change_is_never_a_conflict(
    change: Change, current: JsonText, after: str, policy: ConflictPolicy
) -> None:
    theirs = record(value=current, version=5, by="tablet")
    judgement = of(change, theirs, policy=policy)
    assert (judgement.status, judgement.value) == (APPLIED, JsonText(after))


def test_a_record_that_this_very_device_wrote_last_is_no_conflict() -> None:
    mine = record(value=js("sent, but the answer was lost"), version=5, by="phone")
    assert of(put(AtVersion(Version(1))), mine).status is APPLIED
    assert of(put(Absent()), mine).status is APPLIED
    assert of(put(AtVersion(Version(1))), mine, by="tablet").status is CONFLICT


def test_a_caller_without_a_device_id_has_written_nothing_before() -> None:
    anonymous = record(value=js("x"), version=5, by=None)
    assert of(put(AtVersion(Version(1))), anonymous, by=None).status is CONFLICT


def test_what_the_same_sync_wrote_is_no_conflict_even_without_a_device_id() -> None:
    earlier = record(value=js("x"), version=10, by=None)
    assert of(put(AtVersion(Version(1))), earlier, by=None, next_version=10).status is APPLIED


@pytest.mark.parametrize("change", [put(AtVersion(Version(1))), Remove(key=K, base=AtVersion(Version(1)))])
def test_last_writer_wins_applies_what_conflicts(change: Put | Remove) -> None:
    after = js("mine") if isinstance(change, Put) else None
    assert of(change, THEIRS, policy=LAST_WRITER_WINS) == Judgement(APPLIED, after)


# --- merges and fields ------------------------------------------------------------------------------------------------

DOCUMENT = record(
    value=js({"a": 1, "b": 2}),
    version=7,
    by="tablet",
    field_versions=FieldVersions(rest=Version(5), fields={"b": Version(7)}),
)
"""Written by commit 5; then commit 7 merged field b."""


def merge(patch: object, base: Base = AT_CHECKPOINT) -> Merge:
    return Merge(key=K, patch=js(patch), base=base)


@pytest.mark.parametrize("policy", [REJECT, LAST_WRITER_WINS, MERGE])
@pytest.mark.parametrize(
    ("base", "seen"),
    [
        (AT_CHECKPOINT, at(5)),
        (AT_CHECKPOINT, at(6)),
        (AtVersion(Version(5)), BEGINNING),
        (AtValue(js({"a": 1})), at(1)),
    ],
)
def test_a_merge_of_fields_that_nobody_touched_is_merged_under_every_policy(
    base: Base, seen: Position, policy: ConflictPolicy
) -> None:
    judgement = of(merge({"a": 9}, base), DOCUMENT, seen=seen, policy=policy)
    assert judgement.status is MERGED
    assert parsed(judgement.value or js(None)) == {"a": 9, "b": 2}


@pytest.mark.parametrize(
    ("patch", "base", "seen"),
    [
        ({"b": 9}, AT_CHECKPOINT, at(6)),
        ({"a": 9, "b": 9}, AT_CHECKPOINT, at(5)),
        ({"a": 9}, AT_CHECKPOINT, at(4)),
        ({"a": 9}, AT_CHECKPOINT, BEGINNING),
        ({"b": 9}, AtVersion(Version(5)), at(9)),
        ({"a": 9}, AtVersion(Version(4)), at(9)),
        ({"a": 9}, AtVersion(Version(0)), at(9)),
        ({"a": 9}, AtVersion(Version(8)), at(9)),
        ({"new": 9}, AtVersion(Version(4)), at(9)),
        ({"b": 9}, AtValue(js({"a": 1, "b": 1})), at(9)),
        ({"b": None}, AtValue(js({"a": 1})), at(9)),
        ({"a": 9}, AtValue(js("text")), at(9)),
        ({"a": 9}, Absent(), at(9)),
        ("text", AT_CHECKPOINT, at(6)),
    ],
)
def test_a_merge_of_a_field_written_since_is_a_conflict(patch: object, base: Base, seen: Position) -> None:
    assert of(merge(patch, base), DOCUMENT, seen=seen) == Judgement(CONFLICT)


def test_under_merge_of_the_same_field_the_later_writer_stays() -> None:
    judgement = of(merge({"b": 9}, AtVersion(Version(5))), DOCUMENT, policy=MERGE)
    assert judgement.status is MERGED
    assert parsed(judgement.value or js(None)) == {"a": 1, "b": 9}


def test_a_put_with_the_base_value_is_merged_three_ways() -> None:
    judgement = of(put(AtValue(js({"a": 1})), {"a": 1, "c": 3}), DOCUMENT, policy=MERGE)
    assert judgement.status is MERGED
    assert parsed(judgement.value or js(None)) == {"a": 1, "b": 2, "c": 3}


def test_a_three_way_merge_that_brings_nothing_new_is_unchanged() -> None:
    assert of(put(AtValue(js({"a": 0})), {"a": 1}), DOCUMENT, policy=MERGE) == Judgement(UNCHANGED)


@pytest.mark.parametrize(
    ("change", "current"),
    [
        (put(AtVersion(Version(5)), {"a": 2}), DOCUMENT),
        (put(AtValue(js("text")), {"a": 2}), DOCUMENT),
        (put(AtValue(js({"a": 0})), "text"), DOCUMENT),
        (put(AtValue(js({"a": 0})), {"a": 2}), THEIRS),
        (put(AtValue(js({"a": 0})), {"a": 2}), TOMBSTONE),
        (Remove(key=K, base=AtValue(js({"a": 0}))), DOCUMENT),
        (merge({"a": 1}, AtVersion(Version(4))), TOMBSTONE),
        (merge("text", AtVersion(Version(4))), DOCUMENT),
    ],
)
def test_what_merge_cannot_merge_is_a_conflict(change: Change, current: Record) -> None:
    assert of(change, current, policy=MERGE) == Judgement(CONFLICT)


def test_states_are_equal_as_json_and_no_record_is_not_null() -> None:
    assert equal(None, None)
    assert not equal(None, js(None))
    assert not equal(js(None), None)
    assert equal(JsonText("1"), JsonText("1.0"))


# --- a device's own writes on top of what it had not seen -------------------------------------------------------------

ON_TOP = record(
    value=js({"a": "mine", "b": "theirs"}),
    version=8,
    by="phone",
    unseen=7,
    field_versions=FieldVersions(rest=Version(5), fields={"b": Version(7), "a": Version(8)}),
)
"""Commit 7 of the tablet merged b; the phone, which knows commit 5, merged a in commit 8."""


@pytest.mark.parametrize(
    "base",
    [AtVersion(Version(5)), AtValue(js({"a": 0, "b": 0})), AT_CHECKPOINT],
    ids=["version", "value", "checkpoint"],
)
def test_a_field_that_the_device_itself_merged_on_top_of_what_it_had_not_seen_is_no_conflict(base: Base) -> None:
    """Symptom: of two merges of one field that a device sent without an answer in between, the second conflicted."""
    assert of(merge({"a": "again"}, base), ON_TOP, seen=at(5)).status is MERGED
    assert of(merge({"b": "again"}, base), ON_TOP, seen=at(5)).status is CONFLICT
    assert of(merge({"a": "again", "b": "again"}, base), ON_TOP, seen=at(5)).status is CONFLICT
    assert of(merge({"a": "again"}, base), ON_TOP, seen=at(5), by="laptop").status is CONFLICT


def test_a_field_in_a_value_that_was_merged_three_ways_counts_as_not_seen() -> None:
    three_ways = record(value=js({"a": "mine", "b": "theirs"}), version=8, by="phone", unseen=7)
    assert of(merge({"b": "again"}, AtVersion(Version(5))), three_ways).status is CONFLICT


def test_of_what_was_removed_nothing_is_left_to_be_lost() -> None:
    """Symptom: a device that counted on top of a tombstone it never saw conflicted with its own next write."""
    counted = of(Increment(key=K, by=1.0), TOMBSTONE)
    assert counted == Judgement(APPLIED, js(1), unseen=None)
    mine = record(value=counted.value, version=6, by="phone")
    assert of(put(), mine).status is APPLIED

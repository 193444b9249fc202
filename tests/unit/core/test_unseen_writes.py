"""A device's own last write is no conflict for it; but what it wrote on unseen must not get lost by that."""

from __future__ import annotations

import pytest

from syncline.core.changes import AddToSet, AnyState, AtCheckpoint, AtValue, AtVersion, Base, Change, Merge, Put
from syncline.core.conflicts import ChangeStatus, judge
from syncline.core.ids import Version
from syncline.core.model import BEGINNING, ConflictPolicy, Position, Record
from tests.support.core_builders import author, js, key, record

K = key()
PHONE = "phone"


def write(
    change: Change,
    current: Record | None,
    version: int,
    *,
    seen: Position = BEGINNING,
    policy: ConflictPolicy = ConflictPolicy.REJECT,
) -> tuple[ChangeStatus, Record | None]:
    """What the phone's change becomes, and the record after it."""
    judgement = judge(change, current, author=author(PHONE), seen=seen, policy=policy, next_version=Version(version))
    if judgement.status not in (ChangeStatus.APPLIED, ChangeStatus.MERGED):
        return judgement.status, current
    after = record(value=judgement.value, version=version, by=PHONE, unseen=judgement.unseen)
    return judgement.status, after


def put(base: Base) -> Put:
    return Put(key=K, value=js(["put"]), base=base)


ADD = AddToSet(key=K, members=(js("mine"),))
THEIRS = record(value=js([0, "theirs"]), version=2, by="laptop")


@pytest.mark.parametrize(
    "base", [AtVersion(Version(1)), AtValue(js([0])), AtCheckpoint()], ids=["version", "value", "checkpoint"]
)
def test_a_commutative_change_on_top_of_theirs_does_not_make_a_stale_put_win(base: Base) -> None:
    """The phone knows version 1. The laptop adds; the phone adds; then the phone puts what it made of version 1."""
    seen = Position(Version(1))
    _, both = write(ADD, THEIRS, 3, seen=seen)
    status, after = write(put(base), both, 4, seen=seen)
    assert status is ChangeStatus.CONFLICT
    assert after == both


def test_it_does_not_within_one_sync_either() -> None:
    _, both = write(ADD, THEIRS, 3)
    assert write(put(AtVersion(Version(1))), both, 3)[0] is ChangeStatus.CONFLICT


def test_a_device_that_has_looked_since_is_not_bothered() -> None:
    _, both = write(ADD, THEIRS, 3)
    assert write(put(AtVersion(Version(3))), both, 4)[0] is ChangeStatus.APPLIED
    assert write(put(AtVersion(Version(2))), both, 4)[0] is ChangeStatus.APPLIED
    assert write(put(AtCheckpoint()), both, 4, seen=Position(Version(2)))[0] is ChangeStatus.APPLIED
    assert write(put(AnyState()), both, 4)[0] is ChangeStatus.APPLIED


def test_what_was_not_seen_stays_unseen_through_the_device_s_further_writes() -> None:
    _, both = write(ADD, THEIRS, 3)
    _, more = write(AddToSet(key=K, members=(js("more"),)), both, 4)
    assert write(put(AtVersion(Version(1))), more, 5)[0] is ChangeStatus.CONFLICT


def test_a_put_that_was_accepted_leaves_nothing_unseen() -> None:
    _, both = write(ADD, THEIRS, 3)
    _, mine = write(put(AnyState()), both, 4)
    assert mine is not None
    assert mine.unseen is None
    assert write(Put(key=K, value=js("again"), base=AtVersion(Version(1))), mine, 5)[0] is ChangeStatus.APPLIED


def test_a_merge_beside_theirs_does_not_make_a_stale_put_win() -> None:
    theirs = record(value=js({"a": 0, "b": "theirs"}), version=2, by="laptop")
    merge = Merge(key=K, patch=js({"a": "mine"}), base=AtValue(js({"a": 0})))
    status, both = write(merge, theirs, 3)
    assert status is ChangeStatus.MERGED
    stale = Put(key=K, value=js({"a": "mine, too"}), base=AtValue(js({"a": 0})))
    assert write(stale, both, 4)[0] is ChangeStatus.CONFLICT


def test_under_last_writer_wins_nothing_of_theirs_is_left_to_be_lost() -> None:
    policy = ConflictPolicy.LAST_WRITER_WINS
    status, mine = write(put(AtVersion(Version(1))), THEIRS, 3, policy=policy)
    assert status is ChangeStatus.APPLIED
    assert mine is not None
    assert mine.unseen is None

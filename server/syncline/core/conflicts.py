"""Whether a change conflicts with its record as it is now, and what the policy makes of it.

The order of the questions is the contract's: a change equal to what is there is no conflict, a commutative one neither,
nor one on a record that this very device wrote last, knowing what it wrote on; then its base is held against the
record; then the policy decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from syncline.core import operations
from syncline.core.changes import (
    Absent,
    AnyState,
    AtCheckpoint,
    AtValue,
    AtVersion,
    Base,
    BasedChange,
    Change,
    Merge,
    Put,
    Remove,
)
from syncline.core.ids import Version
from syncline.core.json_values import JsonText, parsed, same, same_value, unparsed
from syncline.core.model import BEGINNING, Author, ConflictPolicy, Position, Record


class ChangeStatus(StrEnum):
    """What became of one change."""

    APPLIED = "APPLIED"
    MERGED = "MERGED"
    UNCHANGED = "UNCHANGED"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Judgement:
    """``value`` is the record's value after the change (None: no live record) if the status is APPLIED or MERGED.

    ``unseen``: the last version of somebody else's in it that the device has not seen (None: it knows all of it).
    """

    status: ChangeStatus
    value: JsonText | None = None
    unseen: Version | None = None


_UNCHANGED = Judgement(ChangeStatus.UNCHANGED)
_CONFLICT = Judgement(ChangeStatus.CONFLICT)


def judge(
    change: Change,
    current: Record | None,
    *,
    author: Author,
    seen: Position,
    policy: ConflictPolicy,
    next_version: Version,
) -> Judgement:
    """What becomes of ``change`` on a record that now is ``current``.

    ``seen`` is what the device knew by its checkpoint; ``next_version`` is the commit being made, whose own earlier
    changes are no conflict. Raises ChangeNotApplicable, and InvalidInput for a malformed change.
    """
    before = None if current is None else current.value
    after = operations.apply(change, before)
    if equal(before, after):
        return _UNCHANGED
    own = current is not None and written_by(current, author, next_version)
    unseen = left_unseen(current, seen, own=own)
    if not isinstance(change, BasedChange):
        return Judgement(ChangeStatus.APPLIED, after, unseen)
    if holds(change.base, current, seen):
        patched_blindly = isinstance(change, Merge) and isinstance(change.base, AnyState)
        return Judgement(ChangeStatus.APPLIED, after, unseen if patched_blindly else None)
    if own and knows(change.base, unseen, seen):
        return Judgement(ChangeStatus.APPLIED, after, unseen)
    own_since = unseen if own else None
    if isinstance(change, Merge) and current is not None and fields_untouched(change, current, seen, own_since):
        return Judgement(ChangeStatus.MERGED, after, unseen)
    match policy:
        case ConflictPolicy.REJECT:
            return _CONFLICT
        case ConflictPolicy.LAST_WRITER_WINS:
            # Of a put or a removal nothing of theirs is left; a patch leaves the fields that it does not name.
            return Judgement(ChangeStatus.APPLIED, after, unseen if isinstance(change, Merge) else None)
        case ConflictPolicy.MERGE:
            return merged(change, before, after, unseen)
        case _:
            assert_never(policy)


def equal(a: JsonText | None, b: JsonText | None) -> bool:
    """Whether two states of a record say the same."""
    if a is None or b is None:
        return a is b
    return same(a, b)


def written_by(current: Record, author: Author, next_version: Version) -> bool:
    """Whether this very device (or this very sync) wrote the record last. A caller without a device id has no past."""
    return current.version == next_version or (author.device is not None and current.updated_by == author)


def left_unseen(current: Record | None, seen: Position, *, own: bool) -> Version | None:
    """The last version by somebody else that a device will not have seen of what it writes on ``current``."""
    if current is None or current.deleted:
        # Of what was removed nothing is left.
        return None
    if own:
        return current.unseen
    return None if seen.covers(current) else current.version


def knows(base: Base, unseen: Version | None, seen: Position) -> bool:
    """Whether the device has since looked at what it had not seen; only then its own last write speaks for it."""
    if unseen is None:
        return True
    match base:
        case AtVersion(version):
            return version >= unseen
        case AtCheckpoint():
            return seen.version >= unseen
        case AtValue() | Absent() | AnyState():
            return False
        case _:
            assert_never(base)


def holds(base: Base, current: Record | None, seen: Position) -> bool:
    """Whether the record still is as the device saw it."""
    live = current is not None and not current.deleted
    match base:
        case AnyState():
            return True
        case Absent():
            return not live
        case AtVersion(version):
            if version == 0:
                return not live
            return current is not None and current.version == version
        case AtValue(value):
            return current is not None and current.value is not None and same(current.value, value)
        case AtCheckpoint():
            # Who has seen nothing has no opinion on a tombstone: to it the record is as absent as it expects.
            return current is None or seen.covers(current) or (not live and seen == BEGINNING)
        case _:
            assert_never(base)


def fields_untouched(change: Merge, current: Record, seen: Position, own_since: Version | None) -> bool:
    """Whether none of the fields that the patch names was written by somebody else since the device looked.

    Only whole objects have fields: a patch that replaces the value, or a record that holds none, has no say here.
    ``own_since``: all commits of the record after this one are the device's own (None: that is not known of any).
    """
    patch = parsed(change.patch)
    value = None if current.value is None else parsed(current.value)
    if not isinstance(patch, dict) or not isinstance(value, dict):
        return False
    names = [name for name in patch if own_since is None or current.version_of_merge(name) <= own_since]
    match change.base:
        case AtValue(text):
            was = parsed(text)
            return isinstance(was, dict) and all(
                (name in was) == (name in value) and (name not in was or same_value(was[name], value[name]))
                for name in names
            )
        case AtVersion(version):
            return 0 < version < current.version and all(current.version_of_field(name) <= version for name in names)
        case AtCheckpoint():
            return seen != BEGINNING and all(current.version_of_field(name) <= seen.version for name in names)
        case Absent() | AnyState():
            return False
        case _:
            assert_never(change.base)


def merged(change: BasedChange, before: JsonText | None, after: JsonText | None, unseen: Version | None) -> Judgement:
    """What MERGE makes of a change whose base holds no more: field by field if objects meet, else a conflict."""
    if before is None or after is None:
        return _CONFLICT
    theirs, mine = parsed(before), parsed(after)
    if not isinstance(theirs, dict) or not isinstance(mine, dict):
        return _CONFLICT
    match change:
        case Merge():
            return Judgement(ChangeStatus.MERGED, after, unseen)
        case Put(base=AtValue(text)):
            was = parsed(text)
            if not isinstance(was, dict):
                return _CONFLICT
            result = unparsed(operations.three_way_merge(was, theirs, mine))
            return _UNCHANGED if same(result, before) else Judgement(ChangeStatus.MERGED, result, unseen)
        case Put() | Remove():
            return _CONFLICT
        case _:
            assert_never(change)

"""Edits as the outbox keeps them, and the pure rules for them: what they make of a value, how they fold and rebase.

Every edit on which conflicts are possible remembers what its maker *saw*. The server is told that as the change's base.
An edit made on top of a push whose outcome is not known yet saw something no version names: only the value. When the
outcome comes, the edit is *rebased*: if the record then is what was seen, the record's version becomes its base;
if not, someone else had a hand in it. The server cannot notice that (to it, this device wrote the record last), so it
is noticed here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from syncline.client.cache import SyncedRecord
from syncline.client.models import EditState, Operation
from syncline.core import operations
from syncline.core.changes import AddToSet, Change, Increment, Max, Merge, Min, Put, Remove, RemoveFromSet
from syncline.core.conflicts import ChangeStatus, equal
from syncline.core.ids import RecordKey, Version
from syncline.core.json_values import JsonText, parsed, same_value, unparsed
from syncline.core.model import ConflictPolicy
from syncline.errors import ChangeNotApplicable

_BASED = frozenset({Operation.PUT, Operation.REMOVE, Operation.MERGE})
_MASKING = frozenset({Operation.PUT, Operation.REMOVE})
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Seen:
    """What the maker of an edit saw. ``version`` None: only the value is known; ``value`` None: no live record."""

    version: int | None
    value: JsonText | None


NOTHING_SEEN = Seen(0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit. ``argument`` is the value, patch, bound, number or array of members; None for a removal."""

    id: int
    key: RecordKey
    operation: Operation
    argument: JsonText | None
    made_at: datetime
    seen: Seen
    state: EditState = EditState.PENDING
    bundle: str | None = None
    batch: str | None = None
    code: str | None = None
    details: JsonText | None = None

    @property
    def based(self) -> bool:
        """Whether it can conflict."""
        return self.operation in _BASED

    @property
    def masking(self) -> bool:
        """Whether it hides what was there before."""
        return self.operation in _MASKING

    @property
    def change(self) -> Change:
        """The edit as the core knows it, without its base."""
        match self.operation:
            case Operation.REMOVE:
                return Remove(key=self.key)
            case Operation.PUT:
                return Put(key=self.key, value=self._text)
            case Operation.MERGE:
                return Merge(key=self.key, patch=self._text)
            case Operation.INCREMENT:
                return Increment(key=self.key, by=parsed(self._text))
            case Operation.MAX:
                return Max(key=self.key, value=self._text)
            case Operation.MIN:
                return Min(key=self.key, value=self._text)
            case Operation.ADD_TO_SET:
                return AddToSet(key=self.key, members=self._members)
            case Operation.REMOVE_FROM_SET:
                return RemoveFromSet(key=self.key, members=self._members)

    @property
    def _text(self) -> JsonText:
        return JsonText("null") if self.argument is None else self.argument

    @property
    def _members(self) -> tuple[JsonText, ...]:
        return tuple(unparsed(member) for member in parsed(self._text))

    def applied_to(self, value: JsonText | None) -> JsonText | None:
        """The value after the edit; unchanged if the edit does not fit it any more."""
        try:
            return operations.apply(self.change, value)
        except ChangeNotApplicable:
            return value

    def wire(self, policy: ConflictPolicy | None) -> dict[str, Any]:
        """The edit as a ``ChangeInput``. Under MERGE a put carries the value seen, so that fields can be merged."""
        body: dict[str, Any] = {"key": self.key, "deviceTime": self.made_at}
        argument = None if self.argument is None else msgspec.Raw(self.argument.encode())
        match self.operation:
            case Operation.REMOVE:
                pass
            case Operation.MERGE:
                body["patch"] = argument
            case Operation.INCREMENT:
                body["by"] = argument
            case Operation.ADD_TO_SET | Operation.REMOVE_FROM_SET:
                body["members"] = argument
            case Operation.PUT | Operation.MAX | Operation.MIN:
                body["value"] = argument
        if self.based:
            by_value = self.operation is Operation.PUT and policy is ConflictPolicy.MERGE
            body["base"] = _base(self.seen, by_value=by_value)
        return {self.operation.value: body}


def _base(seen: Seen, *, by_value: bool) -> dict[str, Any]:
    if seen.value is None:
        return {"absent": True}
    if by_value or seen.version is None:
        return {"value": {"json": msgspec.Raw(seen.value.encode())}}
    return {"version": seen.version}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the server says became of one change of a batch."""

    status: ChangeStatus
    record: SyncedRecord | None
    code: str | None = None
    details: JsonText | None = None


def overlaid(value: JsonText | None, edits: list[Edit]) -> JsonText | None:
    """What a reader sees: ``value`` with the edits on top, parked ones left out."""
    for edit in edits:
        if edit.state is not EditState.PARKED:
            value = edit.applied_to(value)
    return value


def folded(last: Edit, new: Edit) -> Edit | None:
    """One edit that does what ``last`` and then ``new`` do, in the place of ``last``; None if there is none.

    Onto a put or a removal everything folds. Such an edit keeps what was seen before the *first* of the two: the second
    was made on top of the first, not on top of anything newer.
    """
    if last.masking:
        return _with_value(last, new.applied_to(last.argument), made_at=new.made_at)
    if last.operation is not new.operation:
        return None
    argument = _joined(last, new)
    return None if argument is None else replace(last, argument=argument, made_at=new.made_at)


def _with_value(edit: Edit, value: JsonText | None, *, made_at: datetime) -> Edit:
    operation = Operation.REMOVE if value is None else Operation.PUT
    return replace(edit, operation=operation, argument=value, made_at=made_at)


def _joined(last: Edit, new: Edit) -> JsonText | None:
    if last.argument is None or new.argument is None:
        return None
    match new.operation:
        case Operation.INCREMENT:
            a, b = parsed(last.argument), parsed(new.argument)
            exact = isinstance(a, int) and isinstance(b, int) and abs(a) + abs(b) <= _EXACT
            return unparsed(a + b) if exact else None
        case Operation.MAX | Operation.MIN:
            try:
                return operations.apply(new.change, last.argument)
            except ChangeNotApplicable:
                return None
        case Operation.ADD_TO_SET | Operation.REMOVE_FROM_SET:
            return unparsed([*parsed(last.argument), *parsed(new.argument)])
        case Operation.PUT | Operation.REMOVE | Operation.MERGE:
            return None


def rebased(edit: Edit, now: Seen, policy: ConflictPolicy | None) -> Edit:
    """``edit``, made on top of a push of its key, now that the push is settled and the record is ``now``.

    If the record is not what the edit's maker saw, the policy decides as the server would.
    """
    if not edit.based or edit.seen.version is not None:
        return edit
    if equal(edit.seen.value, now.value) or policy is ConflictPolicy.LAST_WRITER_WINS:
        return replace(edit, seen=now)
    if edit.operation is Operation.MERGE:
        if policy is ConflictPolicy.MERGE or _patched_fields_same(edit, now):
            return replace(edit, seen=now)
    elif edit.operation is Operation.PUT and policy is ConflictPolicy.MERGE:
        was, theirs, mine = (
            None if text is None else parsed(text) for text in (edit.seen.value, now.value, edit.argument)
        )
        if isinstance(was, dict) and isinstance(theirs, dict) and isinstance(mine, dict):
            merged = unparsed(operations.three_way_merge(was, theirs, mine))
            return replace(edit, argument=merged, seen=now)
    return replace(edit, state=EditState.CONFLICT)


def _patched_fields_same(edit: Edit, now: Seen) -> bool:
    patch, was, current = (
        None if text is None else parsed(text) for text in (edit.argument, edit.seen.value, now.value)
    )
    if not isinstance(patch, dict) or not isinstance(was, dict) or not isinstance(current, dict):
        return False
    return all(
        (name in was) == (name in current) and (name not in was or same_value(was[name], current[name]))
        for name in patch
    )


def seen_of(value: JsonText | None, version: int) -> Seen:
    """What who looks at this record sees."""
    return NOTHING_SEEN if value is None else Seen(Version(version), value)


@dataclass(frozen=True, slots=True)
class HeldConflict:
    """An edit that waits for a decision, and the record it conflicts with."""

    edit: Edit
    theirs: SyncedRecord | None

    @property
    def seen(self) -> Seen:
        """What who decides now sees of the record."""
        return NOTHING_SEEN if self.theirs is None else seen_of(self.theirs.value, self.theirs.version)

"""What a change makes of a value. Pure JSON in, JSON out; None stands for no live record."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, assert_never

from syncline.core.changes import AddToSet, Change, Increment, Malformed, Max, Merge, Min, Put, Remove, RemoveFromSet
from syncline.core.json_values import JsonText, parsed, same_value, unparsed, whole
from syncline.errors import ChangeNotApplicable, InvalidInput


def apply(change: Change, current: JsonText | None) -> JsonText | None:
    """The value after ``change``. Raises ChangeNotApplicable if it does not fit the current value, and InvalidInput."""
    match change:
        case Put():
            return change.value
        case Remove():
            return None
        case Merge():
            return unparsed(merge_patch(None if current is None else parsed(current), parsed(change.patch)))
        case Increment():
            return _incremented(change, current)
        case Max():
            return _bounded(change, current, "max", lambda mine, theirs: mine > theirs)
        case Min():
            return _bounded(change, current, "min", lambda mine, theirs: mine < theirs)
        case AddToSet():
            return _added(change, current)
        case RemoveFromSet():
            return _taken_out(change, current)
        case Malformed():
            raise InvalidInput(change.field, change.reason)
        case _:
            assert_never(change)


def merge_patch(target: Any, patch: Any) -> Any:
    """``target`` patched as RFC 7396 says: https://www.rfc-editor.org/rfc/rfc7396#section-2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


_GONE: Any = object()


def three_way_merge(base: dict[str, Any], theirs: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
    """``theirs`` with what ``mine`` changed since ``base``, field by field and object by object.

    Of a field that both changed, ``mine`` stays: it is the later writer.
    """
    result = dict(theirs)
    for name in [*mine, *(name for name in base if name not in mine)]:
        before, wanted = base.get(name, _GONE), mine.get(name, _GONE)
        if before is not _GONE and wanted is not _GONE and same_value(before, wanted):
            continue
        there = theirs.get(name, _GONE)
        if wanted is _GONE:
            result.pop(name, None)
        elif isinstance(wanted, dict) and isinstance(there, dict):
            result[name] = three_way_merge(before if isinstance(before, dict) else {}, there, wanted)
        else:
            result[name] = wanted
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _incremented(change: Increment, current: JsonText | None) -> JsonText:
    start = 0 if current is None else parsed(current)
    if not _is_number(start):
        raise ChangeNotApplicable(key=change.key, operation="increment", reason="the record's value is no number")
    by = whole(change.by)
    try:
        total = start + by
        overflow = not math.isfinite(total)
    except OverflowError:
        overflow = True
    if overflow:
        raise ChangeNotApplicable(
            key=change.key, operation="increment", reason="the sum is outside the IEEE double range"
        )
    return unparsed(whole(total))


def _bounded(change: Max | Min, current: JsonText | None, operation: str, wins: Callable[[Any, Any], bool]) -> JsonText:
    mine = parsed(change.value)
    if not (_is_number(mine) or isinstance(mine, str)):
        raise ChangeNotApplicable(key=change.key, operation=operation, reason="the bound is no number and no text")
    if current is None:
        return change.value
    theirs = parsed(current)
    if not (_is_number(mine) and _is_number(theirs)) and not (isinstance(mine, str) and isinstance(theirs, str)):
        raise ChangeNotApplicable(
            key=change.key, operation=operation, reason="the record's value and the bound are not both numbers or texts"
        )
    return change.value if wins(mine, theirs) else current


def _array(change: AddToSet | RemoveFromSet, current: JsonText | None, operation: str) -> list[Any]:
    array = [] if current is None else parsed(current)
    if not isinstance(array, list):
        raise ChangeNotApplicable(key=change.key, operation=operation, reason="the record's value is no array")
    return array


def _holds(array: list[Any], member: Any) -> bool:
    return any(same_value(item, member) for item in array)


def _added(change: AddToSet, current: JsonText | None) -> JsonText:
    array = _array(change, current, "addToSet")
    result = list(array)
    for text in change.members:
        member = parsed(text)
        if not _holds(result, member):
            result.append(member)
    if current is not None and len(result) == len(array):
        return current
    return unparsed(result)


def _taken_out(change: RemoveFromSet, current: JsonText | None) -> JsonText | None:
    array = _array(change, current, "removeFromSet")
    out = [parsed(text) for text in change.members]
    result = [item for item in array if not _holds(out, item)]
    if len(result) == len(array):
        return current
    return unparsed(result)

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.client.edits import NOTHING_SEEN, Edit, Seen, folded, overlaid, rebased
from syncline.client.models import EditState, Operation
from syncline.core.ids import RecordKey
from syncline.core.json_values import JsonText, parsed
from syncline.core.model import ConflictPolicy
from tests.support.core_builders import NOW, js

_SEEN = Seen(4, js({"a": 1, "b": 1}))


def an_edit(operation: Operation, argument: Any = None, *, seen: Seen = NOTHING_SEEN) -> Edit:
    return Edit(
        id=1,
        key=RecordKey("k"),
        operation=operation,
        argument=None if operation is Operation.REMOVE else js(argument),
        made_at=NOW,
        seen=seen,
    )


# --- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "policy", "base"),
    [
        (NOTHING_SEEN, None, {"absent": True}),
        (NOTHING_SEEN, ConflictPolicy.MERGE, {"absent": True}),
        (_SEEN, None, {"version": 4}),
        (_SEEN, ConflictPolicy.LAST_WRITER_WINS, {"version": 4}),
        (_SEEN, ConflictPolicy.MERGE, {"value": {"json": {"a": 1, "b": 1}}}),
        (Seen(None, js(1)), None, {"value": {"json": 1}}),
        (Seen(None, None), None, {"absent": True}),
    ],
)
def test_a_put_says_what_its_maker_saw(seen: Seen, policy: ConflictPolicy | None, base: dict[str, Any]) -> None:
    wire = parsed(_text(an_edit(Operation.PUT, 2, seen=seen).wire(policy)))
    assert wire == {"put": {"key": "k", "value": 2, "deviceTime": "2031-05-06T07:08:09Z", "base": base}}


@pytest.mark.parametrize(
    ("operation", "argument", "field"),
    [
        (Operation.INCREMENT, 2, "by"),
        (Operation.MAX, 2, "value"),
        (Operation.MIN, "b", "value"),
        (Operation.ADD_TO_SET, [1, "b"], "members"),
        (Operation.REMOVE_FROM_SET, [1, "b"], "members"),
    ],
)
def test_edits_that_commute_have_no_base(operation: Operation, argument: Any, field: str) -> None:
    wire = parsed(_text(an_edit(operation, argument).wire(None)))
    assert wire == {operation.value: {"key": "k", "deviceTime": "2031-05-06T07:08:09Z", field: argument}}


def _text(value: object) -> JsonText:
    import msgspec

    return JsonText(msgspec.json.encode(value).decode())


# --- folding ----------------------------------------------------------------------------------------------------------

_values = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.text("ab", max_size=2),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 2) | st.none(), max_size=2),
)
_edits = st.one_of(
    st.builds(an_edit, st.just(Operation.PUT), _values),
    st.builds(an_edit, st.just(Operation.REMOVE)),
    st.builds(an_edit, st.just(Operation.MERGE), _values),
    st.builds(an_edit, st.just(Operation.INCREMENT), st.integers(-5, 5)),
    st.builds(an_edit, st.sampled_from([Operation.MAX, Operation.MIN]), st.integers(-5, 5) | st.text("ab")),
    st.builds(
        an_edit,
        st.sampled_from([Operation.ADD_TO_SET, Operation.REMOVE_FROM_SET]),
        st.lists(st.integers(0, 3), max_size=3),
    ),
)


@given(first=_edits, second=_edits, start=st.none() | _values.map(js))
def test_a_folded_edit_does_what_the_two_do_one_after_the_other(
    first: Edit, second: Edit, start: JsonText | None
) -> None:
    one = folded(first, second)
    if one is None:
        return
    try:
        from syncline.core import operations

        between = operations.apply(first.change, start)
        after = operations.apply(second.change, between)
    except Exception:
        return
    assert one.applied_to(start) == after


def test_whatever_follows_a_put_folds_into_it_and_keeps_what_was_seen_first() -> None:
    put = an_edit(Operation.PUT, {"a": 1}, seen=_SEEN)
    one = folded(put, an_edit(Operation.MERGE, {"a": None, "c": 3}, seen=Seen(None, js(0))))
    assert one is not None
    assert (one.operation, one.argument, one.seen) == (Operation.PUT, '{"c":3}', _SEEN)


def test_a_counter_that_is_edited_after_a_removal_is_a_put() -> None:
    one = folded(an_edit(Operation.REMOVE, seen=_SEEN), an_edit(Operation.INCREMENT, 2))
    assert one is not None
    assert (one.operation, one.argument, one.seen) == (Operation.PUT, "2", _SEEN)


def test_increments_add_up_only_where_that_is_exact() -> None:
    assert folded(an_edit(Operation.INCREMENT, 2), an_edit(Operation.INCREMENT, 3)) == an_edit(Operation.INCREMENT, 5)
    assert folded(an_edit(Operation.INCREMENT, 0.1), an_edit(Operation.INCREMENT, 0.2)) is None
    assert folded(an_edit(Operation.INCREMENT, 2**53), an_edit(Operation.INCREMENT, 1)) is None


def test_edits_of_different_kinds_stay_apart() -> None:
    assert folded(an_edit(Operation.ADD_TO_SET, [1]), an_edit(Operation.REMOVE_FROM_SET, [1])) is None
    assert folded(an_edit(Operation.MERGE, {"a": 1}), an_edit(Operation.MERGE, {"b": 1})) is None


def test_an_edit_that_does_not_fit_the_record_any_more_is_not_seen() -> None:
    assert overlaid(js("text"), [an_edit(Operation.INCREMENT, 1)]) == '"text"'


# --- rebasing ---------------------------------------------------------------------------------------------------------


def on_top(operation: Operation, argument: Any, saw: Any) -> Edit:
    """An edit made while a push of its key was under way."""
    return an_edit(operation, argument, seen=Seen(None, js(saw)))


def test_if_the_record_is_what_was_seen_its_version_becomes_the_base() -> None:
    edit = rebased(on_top(Operation.PUT, 3, saw={"b": 1, "a": 1}), _SEEN, None)
    assert (edit.state, edit.seen) == (EditState.PENDING, _SEEN)


def test_if_someone_else_had_a_hand_in_the_record_the_edit_is_a_conflict() -> None:
    edit = rebased(on_top(Operation.PUT, 3, saw={"a": 1}), _SEEN, ConflictPolicy.REJECT)
    assert edit.state is EditState.CONFLICT
    assert edit.seen == Seen(None, js({"a": 1}))


def test_under_merge_a_put_is_merged_field_by_field() -> None:
    edit = rebased(on_top(Operation.PUT, {"a": 2}, saw={"a": 1}), _SEEN, ConflictPolicy.MERGE)
    assert (edit.state, edit.argument, edit.seen) == (EditState.PENDING, '{"a":2,"b":1}', _SEEN)


def test_under_merge_what_is_no_object_is_a_conflict() -> None:
    assert rebased(on_top(Operation.PUT, 3, saw=2), _SEEN, ConflictPolicy.MERGE).state is EditState.CONFLICT


def test_under_last_writer_wins_the_edit_goes_on() -> None:
    assert rebased(on_top(Operation.PUT, 3, saw=2), _SEEN, ConflictPolicy.LAST_WRITER_WINS).seen == _SEEN


def test_a_merge_of_fields_that_nobody_else_wrote_goes_on() -> None:
    assert rebased(on_top(Operation.MERGE, {"a": 2}, saw={"a": 1, "b": 9}), _SEEN, None).seen == _SEEN
    assert rebased(on_top(Operation.MERGE, {"b": 2}, saw={"a": 1, "b": 9}), _SEEN, None).state is EditState.CONFLICT


def test_edits_that_know_a_version_are_left_as_they_are() -> None:
    edit = an_edit(Operation.PUT, 3, seen=Seen(2, js(1)))
    assert rebased(edit, _SEEN, None) is edit

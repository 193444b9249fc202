"""What each operation makes of a value."""

from __future__ import annotations

import pytest

from syncline.core.changes import AddToSet, Change, Increment, Max, Merge, Min, Put, Remove, RemoveFromSet
from syncline.core.json_values import JsonText
from syncline.core.operations import apply, merge_patch, three_way_merge
from syncline.errors import ChangeNotApplicable
from tests.support.core_builders import js, key

K = key()


def result(change: Change, current: object = ...) -> object:
    """The value after the change, as text; ``...`` stands for no record."""
    return apply(change, None if current is ... else js(current))


# https://www.rfc-editor.org/rfc/rfc7396#appendix-A
RFC_7396_EXAMPLES = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]


@pytest.mark.parametrize(("original", "patch", "expected"), RFC_7396_EXAMPLES)
def test_merge_gives_what_the_appendix_of_rfc_7396_says(original: str, patch: str, expected: str) -> None:
    assert apply(Merge(key=K, patch=JsonText(patch)), JsonText(original)) == expected


def test_merge_of_no_record_makes_one() -> None:
    assert result(Merge(key=K, patch=js({"a": 1, "b": None}))) == '{"a":1}'


def test_merge_does_not_change_its_arguments() -> None:
    target, patch = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merge_patch(target, patch) == {"a": {"b": 1, "c": 2}}
    assert (target, patch) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_put_gives_its_value_byte_for_byte_whatever_was_there() -> None:
    assert apply(Put(key=K, value=JsonText('{"b":1.0,"a":2}')), js("old")) == '{"b":1.0,"a":2}'
    assert result(Put(key=K, value=js(None))) == "null"


def test_remove_leaves_no_record() -> None:
    assert result(Remove(key=K), 5) is None
    assert result(Remove(key=K)) is None


@pytest.mark.parametrize(
    ("current", "by", "expected"),
    [(..., 2.0, "2"), (1, 2.0, "3"), (1, -2.5, "-1.5"), (0.5, 0.5, "1"), (2**53, 1.0, str(2**53 + 1)), (..., 0.0, "0")],
)
def test_increment_adds_and_no_record_counts_as_0(current: object, by: float, expected: str) -> None:
    assert result(Increment(key=K, by=by), current) == expected


@pytest.mark.parametrize(("current", "by"), [(1.7e308, 1.7e308), (int(1.7e308), 1e308), (1, float("inf"))])
def test_an_increment_out_of_the_double_range_does_not_apply(current: object, by: float) -> None:
    with pytest.raises(ChangeNotApplicable, match="IEEE double"):
        result(Increment(key=K, by=by), current)


@pytest.mark.parametrize(
    ("current", "bound", "greater", "lesser"),
    [
        (..., 3, "3", "3"),
        (1, 3, "3", "1"),
        (3, 1, "3", "1"),
        (1.5, 1, "1.5", "1"),
        (..., "b", '"b"', '"b"'),
        ("a", "b", '"b"', '"a"'),
        ("z", "é", '"é"', '"z"'),
        ("page 10", "page 9", '"page 9"', '"page 10"'),
    ],
)
def test_max_keeps_the_greater_and_min_the_lesser_and_no_record_loses(
    current: object, bound: object, greater: str, lesser: str
) -> None:
    assert result(Max(key=K, value=js(bound)), current) == greater
    assert result(Min(key=K, value=js(bound)), current) == lesser


def test_a_bound_equal_to_what_is_there_keeps_its_spelling() -> None:
    assert apply(Max(key=K, value=JsonText("1.0")), JsonText("1")) == "1"
    assert apply(Min(key=K, value=JsonText("1.0")), JsonText("1")) == "1"


@pytest.mark.parametrize(
    ("current", "members", "expected"),
    [
        (..., (1, 2), "[1,2]"),
        (..., (), "[]"),
        ([1], (1, 2), "[1,2]"),
        ([1], (1.0, True), "[1,true]"),
        ([], ({"a": 1, "b": 2}, {"b": 2, "a": 1}), '[{"a":1,"b":2}]'),
        ([1, 1], (2,), "[1,1,2]"),
    ],
)
def test_add_to_set_appends_what_is_not_there_yet(current: object, members: tuple[object, ...], expected: str) -> None:
    assert result(AddToSet(key=K, members=tuple(map(js, members))), current) == expected


@pytest.mark.parametrize(
    ("current", "members", "expected"),
    [
        ([1, 2, 1], (1,), "[2]"),
        ([1, True], (1.0,), "[true]"),
        ([1], (2,), "[1]"),
        ([1], (1,), "[]"),
        ([{"a": 1, "b": 2}], ({"b": 2, "a": 1},), "[]"),
    ],
)
def test_remove_from_set_takes_out_every_equal_member(
    current: object, members: tuple[object, ...], expected: str
) -> None:
    assert result(RemoveFromSet(key=K, members=tuple(map(js, members))), current) == expected


def test_remove_from_set_of_no_record_leaves_none() -> None:
    assert result(RemoveFromSet(key=K, members=(js(1),))) is None


@pytest.mark.parametrize(
    ("change", "current", "operation"),
    [
        (Increment(key=K, by=1.0), "text", "increment"),
        (Increment(key=K, by=1.0), True, "increment"),
        (Increment(key=K, by=1.0), None, "increment"),
        (Max(key=K, value=js(1)), "text", "max"),
        (Max(key=K, value=js("text")), 1, "max"),
        (Max(key=K, value=js(True)), 1, "max"),
        (Max(key=K, value=js([])), ..., "max"),
        (Min(key=K, value=js(1)), None, "min"),
        (Min(key=K, value=js(None)), ..., "min"),
        (AddToSet(key=K, members=(js(1),)), {"a": 1}, "addToSet"),
        (RemoveFromSet(key=K, members=(js(1),)), "text", "removeFromSet"),
    ],
)
def test_an_operation_that_does_not_fit_the_value_says_so(change: Change, current: object, operation: str) -> None:
    with pytest.raises(ChangeNotApplicable) as refused:
        result(change, current)
    assert refused.value.facts["operation"] == operation
    assert refused.value.facts["key"] == K


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "merged"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}),
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 3}),
        ({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {}, {}),
        ({"a": 1}, {}, {"a": 1}, {}),
        ({"a": 1}, {}, {"a": 2}, {"a": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "y": 1}}, {"a": {"x": 1, "y": 3}}, {"a": {"x": 2, "y": 3}}),
        ({}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ({"a": None}, {"a": None, "b": 1}, {}, {"b": 1}),
        ({"a": 1}, {"a": True}, {"a": 1.0}, {"a": True}),
    ],
)
def test_a_three_way_merge_keeps_what_either_side_changed_and_mine_of_what_both_did(
    base: dict[str, object], theirs: dict[str, object], mine: dict[str, object], merged: dict[str, object]
) -> None:
    assert js(three_way_merge(base, theirs, mine)) == js(merged)

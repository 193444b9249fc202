"""JSON values: what is taken, how it is spelled, and when two are the same."""

from __future__ import annotations

import math

import pytest

from syncline.core.json_values import MAX_DEPTH, JsonText, json_text, parsed, same, same_value, unparsed, whole
from syncline.errors import InvalidInput


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (-1.5, "-1.5"),
        ("é\n", '"é\\n"'),
        ([1, "a", None], '[1,"a",null]'),
        ({"b": 1, "a": {"c": []}}, '{"b":1,"a":{"c":[]}}'),
        (2**70, "1180591620717411303424"),
        (10**300, "1" + "0" * 300),
    ],
)
def test_a_value_is_spelled_compactly_in_its_own_order(value: object, text: str) -> None:
    assert json_text(value, field="value") == text
    assert same_value(parsed(JsonText(text)), value)


@pytest.mark.parametrize(
    "value",
    [
        math.inf,
        -math.inf,
        math.nan,
        10**400,
        -(10**400),
        [1, {"a": math.inf}],
        "a\x00b",
        {"a\x00": 1},
        "\ud800",
        {"\udfff": 1},
        ["\ud83d"],
        nested(MAX_DEPTH + 1),
        {1: 2},
        {1, 2},
        b"bytes",
        object(),
    ],
)
def test_what_is_no_json_value_every_device_can_hold_is_refused_by_the_fields_name(value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        json_text(value, field="changes.0.put.value")
    assert refused.value.facts["field"] == "changes.0.put.value"


def test_a_value_may_be_nested_as_deep_as_allowed_and_no_deeper() -> None:
    assert json_text(nested(MAX_DEPTH), field="value")
    with pytest.raises(InvalidInput):
        json_text(nested(MAX_DEPTH + 1), field="value")


def test_the_greatest_double_is_taken() -> None:
    assert json_text(1.7976931348623157e308, field="value")
    assert json_text(int(1.7976931348623157e308), field="value")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("100", "1e2"),
        ("0", "-0.0"),
        ('{"a":1,"b":2}', '{"b":2,"a":1}'),
        ('[{"a":1,"b":[2.0]}]', '[{"b":[2],"a":1.0}]'),
        ('"\\u00e9"', '"é"'),
        ("null", " null "),
    ],
)
def test_values_are_equal_whatever_their_spelling(one: str, other: str) -> None:
    assert same(JsonText(one), JsonText(other))
    assert same(JsonText(other), JsonText(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("true", "1"),
        ("false", "0"),
        ("null", "false"),
        ("null", "0"),
        ('"1"', "1"),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ("[1]", "[1,1]"),
        ("[true]", "[1]"),
        ('{"a":null}', "{}"),
        ('{"a":true}', '{"a":1}'),
        ('{"a":1}', '{"b":1}'),
        ('""', "null"),
        ("9007199254740993", "9007199254740992"),
    ],
)
def test_values_that_differ_are_not_equal(one: str, other: str) -> None:
    assert not same(JsonText(one), JsonText(other))
    assert not same(JsonText(other), JsonText(one))


@pytest.mark.parametrize(
    ("number", "shown"), [(5.0, "5"), (-3.0, "-3"), (0.5, "0.5"), (2.0**53, "9007199254740992"), (1e300, "1e300")]
)
def test_a_whole_float_is_shown_as_an_integer_where_that_says_the_same(number: float, shown: str) -> None:
    assert unparsed(whole(number)) == shown

from __future__ import annotations

import pytest
from graphql import get_introspection_query, parse

from syncline.api import guard
from syncline.api.guard import DocumentLimits
from syncline.errors import LimitExceeded

LIMITS = DocumentLimits(depth=4, aliases=3, directives=3, fields=10, fragments=3)


def refusal(source: str, limits: DocumentLimits = LIMITS) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        guard.check(parse(source), limits)
    return caught.value


@pytest.mark.parametrize(
    ("source", "limit", "actual"),
    [
        ("{a{a{a{a{a}}}}}", "documentDepth", 5),
        ("{a{...f}} fragment f on T {a{a{a{a}}}}", "documentDepth", 5),
        ("{a{... on T{a{a{a{a}}}}}}", "documentDepth", 5),
        ("{b:a c:a d:a e:a}", "documentAliases", 4),
        ("{...f ...g} fragment f on T {b:a c:a} fragment g on T {d:a e:a}", "documentAliases", 4),
        ("{a @x @x @x @x}", "documentDirectives", 4),
        ("query @x {a @x ... @x {a} ...f @x} fragment f on T {a}", "documentDirectives", 4),
        ("{" + "a " * 11 + "}", "documentFields", 11),
    ],
)
def test_a_document_over_a_limit_is_told_which(source: str, limit: str, actual: int) -> None:
    assert refusal(source).facts == {
        "limit": limit,
        "maximum": {"documentDepth": 4, "documentAliases": 3, "documentDirectives": 3, "documentFields": 10}[limit],
        "actual": actual,
    }


@pytest.mark.parametrize(
    "source",
    ["{a{a{a{a}}}}", "{b:a c:a d:a}", "{a @x @x @x}", "{" + "a " * 10 + "}", "{...f} fragment f on T {...f a}"],
)
def test_a_document_at_its_limits_is_let_through(source: str) -> None:
    guard.check(parse(source), LIMITS)


def test_one_fragment_too_many_is_told() -> None:
    source = "{...f0} " + " ".join(f"fragment f{n} on T {{a}}" for n in range(4))
    assert refusal(source).facts == {"limit": "documentFragments", "maximum": 3, "actual": 4}


@pytest.mark.parametrize(
    "source",
    [
        "{a a a}",
        "{a ... on T {a} ...f} fragment f on T {a}",
        "{b} fragment f on T {a a a}",
        "{b} fragment f on T {a} fragment f on T {a a}",
        "{a} query Q {a a}",
        "{a: b a: c a}",
    ],
)
def test_a_name_selected_too_often_is_told_wherever_it_stands(source: str) -> None:
    limits = DocumentLimits(repeats=2)
    assert refusal(source, limits).facts == {"limit": "documentRepeats", "maximum": 2, "actual": 3}
    guard.check(parse(source), DocumentLimits(repeats=3))


@pytest.mark.parametrize(("source", "size"), [("{aaaa}", 6), ("{a} #é", 7), ("{a} #😀", 9)])
def test_a_long_text_is_told_before_it_is_parsed(source: str, size: int) -> None:
    guard.check_source(source, DocumentLimits(bytes=size))
    with pytest.raises(LimitExceeded) as caught:
        guard.check_source(source, DocumentLimits(bytes=size - 1))
    assert caught.value.facts == {"limit": "documentBytes", "maximum": size - 1, "actual": size}


def test_fragments_that_double_at_each_level_are_counted_without_being_spread() -> None:
    """Each fragment spreads the next twice, under two fields: 2^60 fields from a few kilobytes."""
    levels = 60
    source = "{...f0}" + "".join(
        f" fragment f{n} on T {{b:a{{...f{n + 1}}} c:a{{...f{n + 1}}}}}" for n in range(levels)
    )
    source += f" fragment f{levels} on T {{a}}"
    error = refusal(source, DocumentLimits(depth=1_000, aliases=10**9, fragments=100, repeats=1_000))
    assert error.facts["limit"] == "documentAliases"


def test_graphiql_s_introspection_is_within_the_defaults() -> None:
    guard.check(parse(get_introspection_query()), DocumentLimits())

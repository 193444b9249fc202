"""Identifiers, and the rules they must keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from syncline.core import ids
from syncline.errors import InvalidInput


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (ids.dataset_id, "0123456789abcdef" * 2),
        (ids.dataset_name, "a"),
        (ids.dataset_name, "A-z_0.9:" + "x" * 120),
        (ids.mutation_id, "m" * 128),
        (ids.mutation_id, "süß 7"),
        (ids.identity_id, "alice@example.org"),
        (ids.identity_id, "é" * 128),
        (ids.device_id, "d" * 256),
        (ids.record_key, " "),
        (ids.record_key, "é\n💾"),
        (ids.record_key, "k" * 10_000),
    ],
)
def test_what_keeps_the_rules_is_taken_as_it_is(read: Callable[[str], str], text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    ("read", "text", "field"),
    [
        (ids.dataset_id, "", "dataset.id"),
        (ids.dataset_id, "0" * 31, "dataset.id"),
        (ids.dataset_id, "0" * 33, "dataset.id"),
        (ids.dataset_id, "A" * 32, "dataset.id"),
        (ids.dataset_id, "0" * 32 + "\n", "dataset.id"),
        (ids.dataset_id, "٣" * 32, "dataset.id"),
        (ids.dataset_name, "", "dataset.name"),
        (ids.dataset_name, "x" * 129, "dataset.name"),
        (ids.dataset_name, "a b", "dataset.name"),
        (ids.dataset_name, "a/b", "dataset.name"),
        (ids.dataset_name, "é", "dataset.name"),
        (ids.dataset_name, "a\n", "dataset.name"),
        (ids.mutation_id, "", "mutationId"),
        (ids.mutation_id, "m" * 129, "mutationId"),
        (ids.mutation_id, "m\x00", "mutationId"),
        (ids.mutation_id, "\ud800", "mutationId"),
        (ids.identity_id, "", "identity"),
        (ids.identity_id, "é" * 129, "identity"),
        (ids.identity_id, "a\nb", "identity"),
        (ids.identity_id, "\ud800", "identity"),
        (ids.device_id, "d" * 257, "device"),
        (ids.record_key, "", "key"),
        (ids.record_key, "a\x00", "key"),
        (ids.record_key, "\udfff", "key"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_the_fields_name(read: Callable[[str], str], text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    assert refused.value.facts["field"] == field

"""Ranges of keys by prefix and by the key before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.storage.key_ranges import end_of_prefix, key_range

KEYS = st.text(
    st.sampled_from("ab%_\\\ud7ff\ue000\uffff\U00010000\U0010ffff") | st.characters(exclude_categories=["Cs"]),
    max_size=4,
)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a", "b"),
        ("az", "a{"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("\U0010ffff\U0010ffff", None),
        ("", None),
    ],
)
def test_the_end_of_a_prefix_is_the_least_text_behind_it(prefix: str, end: str | None) -> None:
    assert end_of_prefix(prefix) == end


@given(prefix=KEYS, after=st.none() | KEYS, key=KEYS)
def test_a_range_holds_just_the_keys_meant(prefix: str, after: str | None, key: str) -> None:
    first, end = key_range(prefix=prefix, after=after)

    in_range = first <= key and (end is None or key < end)

    # Keys have no U+0000, and so neither does what ranges are asked for.
    if "\x00" not in f"{prefix}{after}{key}":
        assert in_range == (key.startswith(prefix) and (after is None or key > after))


@given(st.lists(KEYS))
def test_texts_are_ordered_as_their_utf_8_bytes(keys: list[str]) -> None:
    assert sorted(keys) == sorted(keys, key=str.encode)

"""Limits: exactly at one is fine, over it is an answer."""

from __future__ import annotations

import pytest

from syncline.core.limits import Limits
from syncline.errors import LimitExceeded
from tests.support.core_builders import key

LIMITS = Limits(datasets=2, dataset_bytes=10, records=3, key_bytes=5, changes_per_sync=4)


def test_the_defaults_are_those_of_cognito_sync() -> None:
    defaults = Limits()
    assert (defaults.datasets, defaults.dataset_bytes, defaults.records, defaults.key_bytes) == (
        20,
        1_048_576,
        1_024,
        1_024,
    )


@pytest.mark.parametrize("text", ["k", "12345", "ééx", "💾x"])
def test_a_key_up_to_the_limit_in_utf_8_bytes_is_fine(text: str) -> None:
    LIMITS.check_key(key(text))


@pytest.mark.parametrize(("text", "actual"), [("123456", 6), ("ééé", 6), ("💾xx", 6), ("x" * 1_000, 1_000)])
def test_a_longer_key_is_named_by_its_beginning_with_its_whole_length(text: str, actual: int) -> None:
    with pytest.raises(LimitExceeded) as refused:
        LIMITS.check_key(key(text))
    assert refused.value.facts == {"limit": "keyBytes", "maximum": 5, "actual": actual, "key": text[:64]}


def test_changes_and_datasets_are_counted() -> None:
    LIMITS.check_changes(4)
    LIMITS.check_datasets(2)
    with pytest.raises(LimitExceeded) as changes:
        LIMITS.check_changes(5)
    assert changes.value.facts == {"limit": "changesPerSync", "maximum": 4, "actual": 5}
    with pytest.raises(LimitExceeded) as datasets:
        LIMITS.check_datasets(3)
    assert datasets.value.facts == {"limit": "datasets", "maximum": 2, "actual": 3}


@pytest.mark.parametrize(
    ("records", "records_before", "size", "size_before", "limit"),
    [
        (3, 2, 10, 9, None),
        (4, 3, 10, 9, "records"),
        (3, 2, 11, 10, "datasetBytes"),
        (4, 3, 11, 10, "records"),
        (5, 5, 12, 12, None),
        (4, 5, 11, 12, None),
        (5, 5, 13, 12, "datasetBytes"),
        (6, 5, 9, 12, "records"),
        (4, 5, 13, 12, "datasetBytes"),
    ],
)
def test_a_dataset_may_not_grow_over_a_limit_and_may_always_shrink(
    records: int, records_before: int, size: int, size_before: int, limit: str | None
) -> None:
    def check() -> None:
        LIMITS.check_growth(records=records, records_before=records_before, size=size, size_before=size_before)

    if limit is None:
        check()
        return
    with pytest.raises(LimitExceeded) as refused:
        check()
    actual, maximum = (records, 3) if limit == "records" else (size, 10)
    assert refused.value.facts == {"limit": limit, "maximum": maximum, "actual": actual}

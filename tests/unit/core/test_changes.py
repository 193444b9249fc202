"""Changes as values."""

from __future__ import annotations

import pytest

from syncline.core.changes import AT_CHECKPOINT, BasedChange, CommutativeChange, Merge, Put, Remove
from tests.support.core_builders import js, key


@pytest.mark.parametrize("change", [Put(key=key(), value=js(1)), Remove(key=key()), Merge(key=key(), patch=js({}))])
def test_without_a_base_a_change_is_based_on_what_its_device_saw(change: BasedChange) -> None:
    assert change.base == AT_CHECKPOINT


def test_a_change_is_either_one_that_can_conflict_or_one_that_never_does() -> None:
    assert not set(BasedChange.__args__) & set(CommutativeChange.__args__)
    assert all("base" in kind.__dataclass_fields__ for kind in BasedChange.__args__)
    assert not any("base" in kind.__dataclass_fields__ for kind in CommutativeChange.__args__)

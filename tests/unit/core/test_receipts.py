"""What makes two syncs the same request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncline.core.changes import (
    AT_CHECKPOINT,
    Absent,
    AddToSet,
    AnyState,
    AtValue,
    AtVersion,
    Change,
    Increment,
    Max,
    Merge,
    Min,
    Put,
    Remove,
    RemoveFromSet,
)
from syncline.core.ids import Version
from syncline.core.model import ConflictPolicy, DatasetRef
from syncline.core.receipts import request_hash
from tests.support.core_builders import DATASET, NAME, NOW, js, key

REF = DatasetRef(name=NAME)
PUT = Put(key=key(), value=js(1))


def test_the_same_request_has_the_same_hash() -> None:
    first = request_hash(REF, (PUT,), ConflictPolicy.MERGE, atomic=True)
    assert request_hash(replace(REF), (replace(PUT),), ConflictPolicy.MERGE, atomic=True) == first


@pytest.mark.parametrize(
    "other",
    [
        (),
        (PUT, PUT),
        (replace(PUT, key=key("other")),),
        (replace(PUT, value=js("1")),),
        (replace(PUT, value=js(None)),),
        (replace(PUT, device_time=NOW),),
        (replace(PUT, base=AnyState()),),
        (replace(PUT, base=Absent()),),
        (replace(PUT, base=AtVersion(Version(0))),),
        (replace(PUT, base=AtVersion(Version(1))),),
        (replace(PUT, base=AtValue(js(1))),),
        (Max(key=key(), value=js(1)),),
        (Min(key=key(), value=js(1)),),
        (Remove(key=key()),),
        (Merge(key=key(), patch=js(1)),),
        (Increment(key=key(), by=1.0),),
        (AddToSet(key=key(), members=(js(1),)),),
        (RemoveFromSet(key=key(), members=(js(1),)),),
    ],
)
def test_other_changes_have_another_hash(other: tuple[Change, ...]) -> None:
    assert request_hash(REF, other, None, atomic=True) != request_hash(REF, (PUT,), None, atomic=True)


def test_bases_without_content_are_told_apart() -> None:
    hashes = {
        request_hash(REF, (replace(PUT, base=base),), None, atomic=True)
        for base in (AT_CHECKPOINT, Absent(), AnyState())
    }
    assert len(hashes) == 3


def test_the_order_of_the_changes_matters() -> None:
    remove = Remove(key=key())
    assert request_hash(REF, (PUT, remove), None, atomic=True) != request_hash(REF, (remove, PUT), None, atomic=True)


def test_dataset_policy_and_mode_matter() -> None:
    hashes = {
        request_hash(ref, (PUT,), policy, atomic=atomic)
        for ref in (REF, DatasetRef(id=DATASET))
        for policy in (None, *ConflictPolicy)
        for atomic in (True, False)
    }
    assert len(hashes) == 2 * 4 * 2

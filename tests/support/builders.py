"""Requests and values with defaults, so that a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

from syncline.core.changes import AnyState, Base, Change, Put, Remove
from syncline.core.checkpoint import Checkpoint, Since
from syncline.core.commit import SyncRequest
from syncline.core.ids import DatasetId, DatasetName, DeviceId, Epoch, IdentityId, MutationId, RecordKey, Version
from syncline.core.json_values import JsonText, json_text
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetRef, Position, Viewer

NOW = datetime(2026, 3, 1, 12, 30, 15, 123_456, tzinfo=UTC)

_mutations = count(1)


def a_viewer(identity: str = "alice", device: str | None = "phone") -> Viewer:
    return Viewer(identity=IdentityId(identity), device=None if device is None else DeviceId(device))


ALICE = a_viewer()
"""On her phone."""
ALICES_LAPTOP = a_viewer(device="laptop")
BOB = a_viewer("bob")


def a_dataset_id() -> DatasetId:
    """One that no other call returned."""
    return DatasetId(uuid4().hex)


def a_mutation_id() -> MutationId:
    """One that no other call returned."""
    return MutationId(f"mutation-{next(_mutations)}")


def named(name: str = "notes") -> DatasetRef:
    return DatasetRef(name=DatasetName(name))


def by_id(dataset: DatasetId) -> DatasetRef:
    return DatasetRef(id=dataset)


def text(value: object) -> JsonText:
    """``value`` as compact JSON."""
    return json_text(value, field="value")


def put(key: str, value: object = True, *, base: Base | None = None, device_time: datetime | None = None) -> Put:
    """A put on whatever is there, unless a base is given."""
    return Put(
        key=RecordKey(key), value=text(value), base=AnyState() if base is None else base, device_time=device_time
    )


def remove(key: str, *, base: Base | None = None) -> Remove:
    """A removal of whatever is there, unless a base is given."""
    return Remove(key=RecordKey(key), base=AnyState() if base is None else base)


def a_request(
    *changes: Change,
    viewer: Viewer = ALICE,
    ref: DatasetRef | None = None,
    since: Since | None = None,
    mutation_id: str | None = None,
    on_conflict: ConflictPolicy | None = None,
    atomic: bool = True,
    limits: Limits | None = None,
    now: datetime = NOW,
    new_dataset_id: DatasetId | None = None,
) -> SyncRequest:
    """A sync of alice's phone to her dataset ``notes`` with a mutation id of its own, unless said otherwise."""
    return SyncRequest(
        viewer=viewer,
        ref=ref or named(),
        since=since,
        mutation_id=a_mutation_id() if mutation_id is None else MutationId(mutation_id),
        changes=changes,
        on_conflict=on_conflict,
        atomic=atomic,
        limits=limits or Limits(),
        now=now,
        new_dataset_id=new_dataset_id or a_dataset_id(),
    )


def a_checkpoint(epoch: Epoch, dataset: DatasetId, version: int, offset: int = 0) -> Checkpoint:
    return Checkpoint(epoch, dataset, Position(Version(version), offset))

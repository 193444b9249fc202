"""Short ways to say values of the core, so that a test shows only what matters to it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from syncline.core.changes import Change
from syncline.core.checkpoint import Checkpoint, Since
from syncline.core.commit import SyncRequest, SyncState
from syncline.core.ids import DatasetId, DatasetName, DeviceId, Epoch, IdentityId, MutationId, RecordKey, Version
from syncline.core.json_values import JsonText, json_text
from syncline.core.limits import Limits
from syncline.core.model import (
    Author,
    Commit,
    ConflictPolicy,
    DatasetHead,
    DatasetRef,
    FieldVersions,
    Position,
    Record,
    Role,
    Viewer,
)
from syncline.core.receipts import Receipt

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
EPOCH = Epoch("00112233445566ff")
OTHER_EPOCH = Epoch("ff66554433221100")
DATASET = DatasetId("0123456789abcdef" * 2)
OTHER_DATASET = DatasetId("fedcba9876543210" * 2)
NAME = DatasetName("notes")
ROOMY = Limits()


def js(value: object) -> JsonText:
    """``value`` as the core holds JSON."""
    return json_text(value, field="value")


def key(text: str = "k") -> RecordKey:
    return RecordKey(text)


def viewer(device: str | None = "phone", identity: str = "alice") -> Viewer:
    return Viewer(identity=IdentityId(identity), device=None if device is None else DeviceId(device))


def author(device: str | None = "phone", identity: str = "alice") -> Author:
    return viewer(device, identity).author


def at(version: int, offset: int = 0) -> Position:
    return Position(Version(version), offset)


def checkpoint(version: int, offset: int = 0, *, epoch: Epoch = EPOCH, dataset: DatasetId = DATASET) -> Checkpoint:
    return Checkpoint(epoch, dataset, at(version, offset))


def record(
    name: str = "k",
    value: JsonText | None = None,
    *,
    version: int = 1,
    ordinal: int = 0,
    by: str | None = "phone",
    field_versions: FieldVersions | None = None,
    unseen: int | None = None,
) -> Record:
    """A record; ``value`` None: its tombstone."""
    return Record(
        key=key(name),
        value=value,
        version=Version(version),
        ordinal=ordinal,
        updated_at=NOW,
        updated_by=author(by),
        field_versions=field_versions,
        unseen=None if unseen is None else Version(unseen),
    )


def head_of(
    records: Iterable[Record] = (),
    *,
    version: int | None = None,
    policy: ConflictPolicy = ConflictPolicy.REJECT,
    pruned_through: int = 0,
    deleted: bool = False,
    dataset: DatasetId = DATASET,
) -> DatasetHead:
    """The head of a dataset that holds ``records``; its version is the greatest of theirs unless given."""
    records = list(records)
    return DatasetHead(
        id=dataset,
        owner=IdentityId("alice"),
        name=NAME,
        version=Version(max((r.version for r in records), default=0) if version is None else version),
        record_count=sum(not r.deleted for r in records),
        size_bytes=sum(r.size_bytes for r in records),
        conflict_policy=policy,
        created_at=NOW,
        updated_at=NOW,
        updated_by=author(),
        pruned_through=Version(pruned_through),
        deleted_at=NOW if deleted else None,
    )


def request(
    *changes: Change,
    device: str | None = "phone",
    since: Since | None = None,
    mutation: str = "m-1",
    on_conflict: ConflictPolicy | None = None,
    atomic: bool = True,
    limits: Limits = ROOMY,
    ref: DatasetRef | None = None,
) -> SyncRequest:
    return SyncRequest(
        viewer=viewer(device),
        ref=ref or DatasetRef(name=NAME),
        since=since,
        mutation_id=MutationId(mutation),
        changes=changes,
        on_conflict=on_conflict,
        atomic=atomic,
        limits=limits,
        now=NOW,
        new_dataset_id=DATASET,
    )


def state(
    *records: Record, head: DatasetHead | None = None, receipt: Receipt | None = None, owned: int = 0
) -> SyncState:
    """A dataset of these records; without records and head there is no dataset."""
    if head is None and records:
        head = head_of(records)
    return SyncState(
        epoch=EPOCH,
        head=head,
        role=None if head is None else Role.OWNER,
        owned=owned,
        receipt=receipt,
        records={r.key: r for r in records},
    )


def commit(
    version: int,
    *records: Record,
    previous: Position | None = None,
    position: Position | None = None,
    epoch: Epoch = EPOCH,
    dataset: DatasetId = DATASET,
    by: str | None = "phone",
) -> Commit:
    """The commit of this version, or what is given of a joined one."""
    return Commit(
        dataset=dataset,
        epoch=epoch,
        previous=at(version - 1) if previous is None else previous,
        position=at(version) if position is None else position,
        author=author(by),
        records=records,
    )

"""The heart: what a sync does to a dataset.

A store loads a ``SyncState``, asks ``decide``, and writes what it answers, all in one transaction. The decision is
pure: the same request on the same state is decided the same way on every store and node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from syncline.core.changes import Change, Merge
from syncline.core.checkpoint import Checkpoint, ResyncReason, Since, position_of, resync_reason
from syncline.core.conflicts import ChangeStatus, Judgement, judge
from syncline.core.ids import DatasetId, Epoch, MutationId, RecordKey, Version, record_key
from syncline.core.json_values import JsonText, parsed
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
from syncline.core.receipts import ChangeOutcome, Receipt, request_hash
from syncline.errors import DatasetIsDeleted, DatasetNotFound, Forbidden, MutationIdReused, SynclineError

_MAX_FIELD_VERSIONS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """One sync as its device meant it, with all that the decision needs from outside."""

    viewer: Viewer
    ref: DatasetRef
    since: Since | None
    mutation_id: MutationId
    changes: tuple[Change, ...]
    on_conflict: ConflictPolicy | None
    atomic: bool
    limits: Limits
    now: datetime
    new_dataset_id: DatasetId
    """Taken if the dataset has to be created."""

    @property
    def keys(self) -> frozenset[RecordKey]:
        """The records that the changes touch."""
        return frozenset(change.key for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """What a store knows that bears on a sync."""

    epoch: Epoch
    head: DatasetHead | None
    """The dataset the request refers to; by id, a deleted one too; None if the viewer sees none."""
    role: Role | None
    """The viewer's in it; None: there is no such dataset."""
    owned: int
    """How many live datasets the viewer owns; only looked at when one is created."""
    receipt: Receipt | None
    records: Mapping[RecordKey, Record]
    """The records the changes touch, tombstones included, as far as there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """Nothing was done: the device's checkpoint does not lead to this log.

    ``dataset`` is the one to pull anew, or, if there is none any more, the one that the device knew.
    """

    reason: ResyncReason
    dataset: DatasetId


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What the store has to write. ``commit`` None: no record changes; ``receipt`` None: nothing to remember."""

    head: DatasetHead
    created: bool
    commit: Commit | None
    receipt: Receipt | None
    outcomes: tuple[ChangeOutcome, ...]
    conflicted: bool
    """Atomic mode, and a change conflicted: nothing was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The sync was decided before; nothing is written, and its outcome is the receipt's."""

    head: DatasetHead
    receipt: Receipt


Decision = Resync | Write | Replay


def resync_needed(since: Since | None, head: DatasetHead | None, epoch: Epoch) -> Resync | None:
    """What to tell a device whose checkpoint does not lead to the log of the dataset at ``head``; None: it does."""
    reason = resync_reason(since, head, epoch)
    if reason is None or not isinstance(since, Checkpoint):
        return None
    return Resync(reason=reason, dataset=since.dataset if head is None else head.id)


def decide(request: SyncRequest, state: SyncState) -> Decision:
    """Decide which proposed changes are written.

    Raises DatasetNotFound, DatasetIsDeleted, MutationIdReused, LimitExceeded, and in atomic mode whatever is wrong with
    a single change (Forbidden, ChangeNotApplicable, InvalidInput); then nothing is to be written.
    """
    request.limits.check_changes(len(request.changes))
    head = state.head
    if head is not None and head.deleted_at is not None:
        raise DatasetIsDeleted(head.id)
    if head is None and request.ref.name is None:
        # As for a pull: whoever may not see it is not told to drop what it holds.
        raise DatasetNotFound(str(request.ref))
    resync = resync_needed(request.since, head, state.epoch)
    if resync is not None:
        return resync
    hash_ = request_hash(request.ref, request.changes, request.on_conflict, atomic=request.atomic)
    if state.receipt is not None:
        if state.receipt.request_hash != hash_:
            raise MutationIdReused(request.mutation_id)
        if head is None or head.id != state.receipt.dataset:
            return Resync(
                reason=ResyncReason.DATASET_RECREATED, dataset=state.receipt.dataset if head is None else head.id
            )
        return Replay(head=head, receipt=state.receipt)
    created = head is None
    if head is None:
        head = _new_head(request, state.owned)
    return _write(request, state, head, created=created, hash_=hash_)


def _new_head(request: SyncRequest, owned: int) -> DatasetHead:
    assert request.ref.name is not None  # noqa: S101 - looked at before
    request.limits.check_datasets(owned + 1)
    return DatasetHead(
        id=request.new_dataset_id,
        owner=request.viewer.identity,
        name=request.ref.name,
        version=Version(0),
        record_count=0,
        size_bytes=0,
        conflict_policy=ConflictPolicy.REJECT,
        created_at=request.now,
        updated_at=request.now,
        updated_by=request.viewer.author,
        pruned_through=Version(0),
    )


def _write(request: SyncRequest, state: SyncState, head: DatasetHead, *, created: bool, hash_: bytes) -> Write:
    author = request.viewer.author
    draft = _Draft(head, state.records, author=author, role=state.role, now=request.now)
    outcomes = tuple(_outcome(change, request, draft) for change in request.changes)
    conflicted = request.atomic and any(outcome.status is ChangeStatus.CONFLICT for outcome in outcomes)
    if request.atomic and not conflicted:
        request.limits.check_growth(
            records=draft.record_count,
            records_before=head.record_count,
            size=draft.size_bytes,
            size_before=head.size_bytes,
        )
    commit = None if conflicted else draft.commit(state.epoch)
    receipt = Receipt(
        author=author,
        mutation_id=request.mutation_id,
        request_hash=hash_,
        dataset=head.id,
        version=None if conflicted else draft.head_after().version,
        outcomes=outcomes,
        created_at=request.now,
    )
    return Write(
        head=head if commit is None else draft.head_after(),
        created=created,
        commit=commit,
        receipt=receipt if request.changes else None,
        outcomes=outcomes,
        conflicted=conflicted,
    )


def _outcome(change: Change, request: SyncRequest, draft: _Draft) -> ChangeOutcome:
    current = draft.current(change.key)
    try:
        if draft.role is not None and not draft.role.writes:
            raise Forbidden("a viewer may not change records", dataset=draft.head.id, role=draft.role)
        request.limits.check_key(record_key(change.key))
        judgement = judge(
            change,
            current,
            author=draft.author,
            seen=position_of(request.since),
            policy=request.on_conflict or draft.head.conflict_policy,
            next_version=draft.next_version,
        )
        if judgement.status in (ChangeStatus.APPLIED, ChangeStatus.MERGED):
            record = draft.revised(change, current, judgement)
            if not request.atomic:
                records, size = draft.with_record(record)
                request.limits.check_growth(
                    records=records,
                    records_before=draft.record_count,
                    size=size,
                    size_before=draft.size_bytes,
                    key=change.key,
                )
            draft.put(record)
    except SynclineError as error:
        if request.atomic:
            raise
        return ChangeOutcome(status=ChangeStatus.REJECTED, code=error.code, details=dict(error.facts))
    return ChangeOutcome(status=judgement.status)


class _Draft:
    """The commit in the making: records as they would be, and the dataset's counts with them.

    Invariants: ``record_count`` and ``size_bytes`` are those of the dataset with ``_written`` in it; every record in
    ``_written`` has ``next_version`` and, as ordinal, its place in it.
    """

    def __init__(
        self,
        head: DatasetHead,
        records: Mapping[RecordKey, Record],
        *,
        author: Author,
        role: Role | None,
        now: datetime,
    ) -> None:
        self.head = head
        self.author = author
        self.role = role
        self.next_version = Version(head.version + 1)
        self.record_count = head.record_count
        self.size_bytes = head.size_bytes
        self._now = now
        self._before = records
        self._written: dict[RecordKey, Record] = {}

    def current(self, key: RecordKey) -> Record | None:
        return self._written.get(key) or self._before.get(key)

    def revised(self, change: Change, current: Record | None, judgement: Judgement) -> Record:
        written = self._written.get(change.key)
        return Record(
            key=change.key,
            value=judgement.value,
            version=self.next_version,
            ordinal=len(self._written) if written is None else written.ordinal,
            updated_at=self._now,
            updated_by=self.author,
            device_time=change.device_time,
            field_versions=_field_versions(change, current, judgement.value, self.next_version),
            unseen=judgement.unseen,
        )

    def with_record(self, record: Record) -> tuple[int, int]:
        """Count and size of the dataset's live records, were ``record`` written."""
        before = self.current(record.key)
        live_before = before is not None and not before.deleted
        return (
            self.record_count + (not record.deleted) - live_before,
            self.size_bytes + record.size_bytes - (before.size_bytes if before is not None else 0),
        )

    def put(self, record: Record) -> None:
        self.record_count, self.size_bytes = self.with_record(record)
        self._written[record.key] = record

    def head_after(self) -> DatasetHead:
        if not self._written:
            return self.head
        return replace(
            self.head,
            version=self.next_version,
            record_count=self.record_count,
            size_bytes=self.size_bytes,
            updated_at=self._now,
            updated_by=self.author,
        )

    def commit(self, epoch: Epoch) -> Commit | None:
        if not self._written:
            return None
        return Commit(
            dataset=self.head.id,
            epoch=epoch,
            previous=Position(self.head.version),
            position=Position(self.next_version),
            author=self.author,
            records=tuple(self._written.values()),
            scope=self.head.scope,
        )


def _field_versions(
    change: Change, current: Record | None, value: JsonText | None, version: Version
) -> FieldVersions | None:
    """Field versions after ``change``: a merge of an object moves the fields it names, anything else moves them all."""
    if not isinstance(change, Merge) or current is None or current.value is None or value is None:
        return None
    patch = parsed(change.patch)
    if not isinstance(patch, dict) or not current.value.startswith("{"):
        return None
    before = current.field_versions or FieldVersions(rest=current.version)
    fields = {**before.fields, **dict.fromkeys(patch, version)}
    if len(fields) > _MAX_FIELD_VERSIONS:
        # Names of removed fields pile up. To forget is safe the one way round: as written by the latest commit.
        return None
    return FieldVersions(rest=before.rest, fields=fields)

"""The answer to a sync."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from syncline.api.scalars import Checkpoint
from syncline.api.types import (
    ChangeResult,
    Conflict,
    Dataset,
    Record,
    SyncApplied,
    SyncConflicted,
    checkpoint_of,
    json_of,
)
from syncline.core import model
from syncline.core.changes import Change, Merge, Put, Remove
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import RecordKey
from syncline.core.json_values import JsonText
from syncline.core.model import BEGINNING
from syncline.core.receipts import ChangeOutcome
from syncline.ports import Synced


def sync_result(synced: Synced, changes: Sequence[Change]) -> SyncApplied | SyncConflicted:
    """What the device is told of ``synced``, the outcome of ``changes``."""
    dataset = Dataset.of(synced.head, synced.role, synced.epoch)
    checkpoint, has_more = _pulled(synced)
    records = [] if synced.page is None else [Record.of(record) for record in synced.page.records]
    if synced.conflicted:
        return SyncConflicted(
            dataset=dataset,
            checkpoint=checkpoint,
            conflicts=[
                _conflict(change, synced.records)
                for change, outcome in zip(changes, synced.outcomes, strict=True)
                if outcome.status is ChangeStatus.CONFLICT
            ],
            records=records,
            has_more=has_more,
        )
    return SyncApplied(
        dataset=dataset,
        checkpoint=checkpoint,
        results=[
            _result(change, outcome, synced.records) for change, outcome in zip(changes, synced.outcomes, strict=True)
        ],
        records=records,
        has_more=has_more,
    )


def _pulled(synced: Synced) -> tuple[Checkpoint, bool]:
    if synced.page is None:
        # Nothing was pulled, so nothing may be taken for applied: there is all of it to come.
        return checkpoint_of(synced.epoch, synced.head, BEGINNING), synced.head.version > 0
    return checkpoint_of(synced.epoch, synced.head, synced.page.position), synced.page.has_more


def _record(records: Mapping[RecordKey, model.Record], key: RecordKey) -> Record | None:
    record = records.get(key)
    return None if record is None else Record.of(record)


def _result(change: Change, outcome: ChangeOutcome, records: Mapping[RecordKey, model.Record]) -> ChangeResult:
    details = None if outcome.details is None else JsonText(msgspec.json.encode(outcome.details).decode())
    return ChangeResult(
        key=change.key,
        status=outcome.status,
        code=outcome.code,
        details=None if details is None else json_of(details),
        record=_record(records, change.key),
    )


def _conflict(change: Change, records: Mapping[RecordKey, model.Record]) -> Conflict:
    proposed: JsonText | None = None
    match change:
        case Put():
            proposed = change.value
        case Merge():
            proposed = change.patch
        case _:
            pass
    return Conflict(
        key=change.key,
        current=_record(records, change.key),
        proposed=None if proposed is None else json_of(proposed),
        proposed_deleted=isinstance(change, Remove),
    )

"""The core's own decisions as the far side of a device, without a wire: what a push and a pull bring."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from syncline.client.cache import Delta, SyncedRecord, covered_version
from syncline.client.edits import Outcome
from syncline.client.outbox import Batch
from syncline.core.changes import Absent, AddToSet, AtValue, AtVersion, Base, Change, Increment, Merge, Put, Remove
from syncline.core.checkpoint import Checkpoint, parse_since
from syncline.core.commit import Replay, Resync, SyncRequest, Write
from syncline.core.ids import DatasetId, MutationId, RecordKey, Version
from syncline.core.model import ConflictPolicy, DatasetRef, Record
from syncline.core.pages import PageRequest
from tests.support.core_builders import NAME, NOW, ROOMY, js, viewer
from tests.support.memory_log import MemoryLog

NOTES = DatasetRef(name=NAME)


class CoreLog:
    """One identity's datasets, as the core has them."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self._ids = count(1)

    def push(self, device: str, batch: Batch, *, since: str, page: int = 500) -> tuple[list[Outcome], Delta] | Resync:
        changes = tuple(_change(change) for change in msgspec.json.decode(batch.changes))
        decision = self.log.sync(
            SyncRequest(
                viewer=viewer(device),
                ref=NOTES,
                since=parse_since(since),
                mutation_id=batch.mutation_id,
                changes=changes,
                on_conflict=batch.conflict_policy,
                atomic=batch.atomic,
                limits=ROOMY,
                now=NOW,
                new_dataset_id=DatasetId(f"{next(self._ids):032x}"),
            )
        )
        match decision:
            case Resync():
                return decision
            case Write(outcomes=outcomes):
                pass
            case Replay(receipt=receipt):
                outcomes = receipt.outcomes
        held = self.log.records[decision.head.id]
        return [
            Outcome(
                status=outcome.status,
                record=_synced(held[change.key]) if change.key in held else None,
                code=outcome.code,
            )
            for change, outcome in zip(changes, outcomes, strict=True)
        ], self._delta(since, page)

    def pull(self, *, since: str, page: int = 500) -> Delta | Resync:
        read = self.log.read(NOTES, parse_since(since), PageRequest(first=page))
        if read.reason is not None:
            return Resync(reason=read.reason, dataset=read.head.id if read.head else DatasetId(""))
        return self._delta(since, page)

    def _delta(self, since: str, first: int) -> Delta:
        read = self.log.read(NOTES, parse_since(since), PageRequest(first=first))
        if read.head is None or read.page is None:
            return Delta(since=since, checkpoint="start", records=[], complete=True)
        records = [_synced(record) for record in read.page.records]
        complete = not read.page.has_more
        return Delta(
            since=since,
            checkpoint=str(Checkpoint(read.epoch, read.head.id, read.page.position)),
            records=records,
            complete=complete,
            covered_version=covered_version(records, complete=complete),
            dataset_id=read.head.id,
            conflict_policy=read.head.conflict_policy,
        )

    def write(self, device: str, *changes: Change, policy: ConflictPolicy | None = None) -> None:
        """Another device's sync."""
        self.log.sync(
            SyncRequest(
                viewer=viewer(device),
                ref=NOTES,
                since=None,
                mutation_id=MutationId(f"other-{next(self._ids)}"),
                changes=changes,
                on_conflict=policy or ConflictPolicy.LAST_WRITER_WINS,
                atomic=False,
                limits=ROOMY,
                now=NOW,
                new_dataset_id=DatasetId(f"{next(self._ids):032x}"),
            )
        )

    def values(self) -> dict[str, Any]:
        head = self.log.head(NOTES)
        held = {} if head is None else self.log.records[head.id]
        return {key: msgspec.json.decode(record.value) for key, record in held.items() if record.value is not None}


def _synced(record: Record) -> SyncedRecord:
    return SyncedRecord(
        key=record.key,
        value=record.value,
        version=record.version,
        author_identity=record.updated_by.identity,
        author_device=record.updated_by.device,
    )


def _change(wire: dict[str, Any]) -> Change:
    [(operation, body)] = wire.items()
    key = RecordKey(body["key"])
    match operation:
        case "put":
            return Put(key=key, value=js(body["value"]), base=_base(body["base"]))
        case "remove":
            return Remove(key=key, base=_base(body["base"]))
        case "merge":
            return Merge(key=key, patch=js(body["patch"]), base=_base(body["base"]))
        case "increment":
            return Increment(key=key, by=body["by"])
        case "addToSet":
            return AddToSet(key=key, members=tuple(js(member) for member in body["members"]))
        case _:
            raise AssertionError(operation)


def _base(body: dict[str, Any]) -> Base:
    match body:
        case {"absent": True}:
            return Absent()
        case {"version": version}:
            return AtVersion(Version(version))
        case {"value": {"json": value}}:
            return AtValue(js(value))
        case _:
            raise AssertionError(body)

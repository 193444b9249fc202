"""What the client asks a server over HTTP, in the client's own terms."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from syncline.client.cache import Delta, SyncedRecord, covered_version
from syncline.client.edits import Outcome
from syncline.client.outbox import Batch
from syncline.client.references import reference
from syncline.client.transport_http import HttpTransport
from syncline.client.wire import (
    PAGE_RECORDS,
    PULL,
    SET_PRESENCE,
    SYNC,
    VIEWER,
    PullData,
    ResyncRequired,
    SetPresenceData,
    SyncApplied,
    SyncConflicted,
    SyncData,
    ViewerData,
    WireDataset,
    WireRecord,
    WireViewer,
    synced,
)
from syncline.core.ids import DatasetName, RecordKey
from syncline.core.json_values import JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The changes were decided, each by itself or all together."""

    outcomes: list[Outcome]
    delta: Delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicted:
    """Nothing was applied."""

    conflicts: list[tuple[RecordKey, SyncedRecord | None]]
    delta: Delta


class Exchange:
    """The questions, each raising what ``HttpTransport.execute`` raises."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    @property
    def lost_answers(self) -> int:
        """How many attempts so far had no outcome that this device knows."""
        return self._transport.lost_answers

    async def viewer(self) -> WireViewer:
        return (await self._transport.execute(VIEWER, {}, ViewerData)).viewer

    async def set_presence(self, dataset: DatasetName, state: JsonText) -> None:
        variables = {"dataset": reference(dataset), "state": msgspec.Raw(state.encode())}
        await self._transport.execute(SET_PRESENCE, variables, SetPresenceData)

    async def push(self, dataset: DatasetName, batch: Batch, *, since: str) -> Applied | Conflicted | ResyncRequired:
        """Send the batch, and pull the first page of what is missing since ``since``."""
        answer = await self._transport.execute(
            SYNC,
            {
                "input": {
                    "dataset": reference(dataset),
                    "since": since,
                    "mutationId": batch.mutation_id,
                    "changes": msgspec.Raw(batch.changes.encode()),
                    "onConflict": batch.conflict_policy,
                    "atomic": batch.atomic,
                }
            },
            SyncData,
        )
        match answer.sync:
            case SyncApplied() as applied:
                delta = _delta(applied.dataset, since, applied.checkpoint, applied.records, has_more=applied.has_more)
                outcomes = [
                    Outcome(
                        status=result.status,
                        record=None if result.record is None else result.record.synced(),
                        code=result.code,
                        details=None if result.details is None else _text(result.details),
                    )
                    for result in applied.results
                ]
                return Applied(outcomes=outcomes, delta=delta)
            case SyncConflicted() as conflicted:
                return Conflicted(
                    conflicts=[
                        (RecordKey(conflict.key), None if conflict.current is None else conflict.current.synced())
                        for conflict in conflicted.conflicts
                    ],
                    delta=_delta(
                        conflicted.dataset,
                        since,
                        conflicted.checkpoint,
                        conflicted.records,
                        has_more=conflicted.has_more,
                    ),
                )
            case ResyncRequired() as resync:
                return resync

    async def pull(self, dataset: DatasetName, *, since: str) -> Delta | ResyncRequired:
        """The next page of what is missing since ``since``."""
        answer = await self._transport.execute(
            PULL, {"dataset": reference(dataset), "since": since, "first": PAGE_RECORDS}, PullData
        )
        page = answer.changes
        if isinstance(page, ResyncRequired):
            return page
        return _delta(answer.dataset, since, page.checkpoint, page.records, has_more=page.has_more)


def _delta(
    dataset: WireDataset | None, since: str, checkpoint: str, records: list[WireRecord], *, has_more: bool
) -> Delta:
    received = synced(records)
    return Delta(
        since=since,
        checkpoint=checkpoint,
        records=received,
        complete=not has_more,
        covered_version=covered_version(received, complete=not has_more),
        dataset_id=None if dataset is None else dataset.id,
        conflict_policy=None if dataset is None else dataset.conflict_policy,
        role=None if dataset is None else dataset.role,
    )


def _text(value: object) -> JsonText:
    return JsonText(msgspec.json.encode(value).decode())

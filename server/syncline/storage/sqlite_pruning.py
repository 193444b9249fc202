"""Housekeeping: forgetting what is past its retention, inside a write transaction."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from syncline.core.ids import Version
from syncline.ports import Pruned, Retention
from syncline.storage.sqlite_writes import Pruning, Writes


def prune(writes: Writes, retention: Retention, *, now: datetime, batch: int) -> Pruned:
    """What ``Store.prune`` promises."""
    tombstones = _prune_tombstones(writes, retention, now=now, batch=batch)
    receipts = writes.prune_receipts(before=now - retention.receipts, batch=batch)
    writes.prune_invitations(before=now, batch=batch)
    writes.forget_outcomes(before=now - retention.receipts, batch=batch)
    audit = writes.prune_audit(before=now - retention.audit, batch=batch)
    writes.prune_erasures(before=now - retention.erasures, batch=batch)
    datasets = writes.prune_deleted_datasets(before=now - retention.deleted_datasets, batch=batch)
    return Pruned(
        tombstones=tombstones,
        receipts=receipts,
        datasets=datasets,
        audit=audit,
        more=batch in (tombstones, receipts, datasets, audit),
    )


def _prune_tombstones(writes: Writes, retention: Retention, *, now: datetime, batch: int) -> int:
    pruning = writes.prune_old_tombstones(before=now - retention.tombstones, batch=batch)
    _remember(writes, pruning)
    count = len(pruning)
    if count == batch:
        return count
    maximum = retention.tombstones_per_dataset
    for number, tombstones in writes.datasets_over_tombstones(maximum, batch=batch):
        surplus = writes.prune_surplus_tombstones(number, batch=min(tombstones - maximum, batch - count))
        _remember(writes, surplus)
        count += len(surplus)
        if count == batch:
            break
    return count


def _remember(writes: Writes, pruning: Pruning) -> None:
    """Raise each dataset's ``pruned_through``, so that who has not seen a removal is told to resync."""
    versions: defaultdict[int, list[Version]] = defaultdict(list)
    for number, version in pruning:
        versions[number].append(version)
    for number, gone in versions.items():
        writes.raise_pruned_through(number, max(gone), pruned=len(gone))

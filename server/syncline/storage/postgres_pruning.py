"""Housekeeping: forgetting what is past its retention, inside a transaction. One node does it at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from syncline.ports import Pruned, Retention
from syncline.storage.postgres_migrations import Connection
from syncline.storage.rows import micros

_LOCK = 0x53594E43_0002

Sql = Mapping[str, str]


async def prune(connection: Connection, sql: Sql, retention: Retention, *, now: datetime, batch: int) -> Pruned:
    """What ``Store.prune`` promises; nothing, if another node is at it."""
    if not await connection.fetchval(sql["try_to_prune"], _LOCK):
        return Pruned(tombstones=0, receipts=0, datasets=0, more=False)
    tombstones = await _prune_tombstones(connection, sql, retention, now=now, batch=batch)
    receipts = _count(await connection.execute(sql["prune_receipts"], micros(now - retention.receipts), batch))
    await connection.execute(sql["prune_invitations"], micros(now), batch)
    await connection.execute(sql["forget_outcomes"], micros(now - retention.receipts), batch)
    audit = _count(await connection.execute(sql["prune_audit"], micros(now - retention.audit), batch))
    await connection.execute(sql["prune_erasures"], micros(now - retention.erasures), batch)
    datasets = _count(
        await connection.execute(sql["prune_deleted_datasets"], micros(now - retention.deleted_datasets), batch)
    )
    return Pruned(
        tombstones=tombstones,
        receipts=receipts,
        datasets=datasets,
        audit=audit,
        more=batch in (tombstones, receipts, datasets, audit),
    )


async def _prune_tombstones(
    connection: Connection, sql: Sql, retention: Retention, *, now: datetime, batch: int
) -> int:
    old = await connection.fetch(sql["old_tombstones"], micros(now - retention.tombstones), batch)
    count = await _forget(connection, sql, old)
    maximum = retention.tombstones_per_dataset
    if count >= batch:
        return count
    for row in await connection.fetch(sql["datasets_over_tombstones"], maximum, batch):
        at_most = min(row["tombstones"] - maximum, batch - count)
        surplus = await connection.fetch(sql["surplus_tombstones"], row["id"], at_most)
        count += await _forget(connection, sql, surplus)
        if count >= batch:
            break
    return count


async def _forget(connection: Connection, sql: Sql, tombstones: Sequence[asyncpg.Record]) -> int:
    """Drop them, and raise each dataset's ``pruned_through``, so that who has not seen a removal is told to resync."""
    if not tombstones:
        return 0
    # The heads first, as a sync locks them.
    await connection.execute(sql["lock_heads"], sorted({row["dataset"] for row in tombstones}))
    gone = await connection.fetch(
        sql["prune_tombstones"], [row["dataset"] for row in tombstones], [row["key"] for row in tombstones]
    )
    versions: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in gone:
        versions[row["dataset"]].append(row["version"])
    await connection.execute(
        sql["raise_pruned_through"],
        list(versions),
        [max(found) for found in versions.values()],
        [len(found) for found in versions.values()],
    )
    return len(gone)


def _count(status: str) -> int:
    """Of a command's tag, like ``DELETE 3``, the number."""
    return int(status.rpartition(" ")[2])

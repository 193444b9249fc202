"""Copying a whole database into an empty one of another kind, so that devices go on as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from syncline.core.ids import Epoch
from syncline.errors import StartRefused
from syncline.storage.copied_tables import TABLES, CopiedTable, Sum, Summing, joint_checksum
from syncline.storage.postgres_target import PostgresTarget, Progress, open_target
from syncline.storage.rows import Row
from syncline.storage.sqlite_source import SqliteSource, open_source

_UNLIKE: Final = "the copy is not like its source"
_WHAT_NOW: Final = "--restart begins anew"

T = TypeVar("T")

Report = Callable[[str, int, int], None]
"""Told what is being done, how many rows of it are done, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What both sides hold. ``written``: the rows of this run, without those of one that was cut short."""

    epoch: Epoch
    rows: dict[str, int]
    written: int
    checksum: str


async def copy(source: Path, url: str, report: Report, *, restart: bool = False) -> Copied:
    """Copy the SQLite database ``source`` into the PostgreSQL database at ``url``, and compare the two.

    Killed or cancelled at any time it goes on where it was when called again. Until it returns, no server starts on
    either. Raises StartRefused.
    """
    with open_source(source) as from_:
        async with open_target(url) as to:
            progress = await to.begin(await asyncio.to_thread(from_.state), restart=restart)
            written = await _write(from_, to, progress, report)
            sums = await _verify(from_, to, report)
            await to.finish(from_.epoch)
            return Copied(
                epoch=from_.epoch,
                rows={table.name: each.rows for table, each in sums.items()},
                written=written,
                checksum=joint_checksum(sums.values()),
            )


async def _write(source: SqliteSource, target: PostgresTarget, progress: Progress, report: Report) -> int:
    """Write what is missing behind ``progress``; how many rows that were."""
    total = sum(source.rows.values())
    first = TABLES.index(progress.table)
    before = sum(source.rows[table.name] for table in TABLES[:first])
    began = before + progress.rows
    report("copying", began, total)
    for table in TABLES[first:]:
        if table is not progress.table:
            progress = replace(progress, table=table, after=table.before_all, rows=0)
        async with aclosing(_read_ahead(source.batches(table, progress.after))) as batches:
            async for batch in batches:
                progress = await target.write(batch, progress)
                report("copying", before + progress.rows, total)
        before += progress.rows
    return before - began


async def _verify(source: SqliteSource, target: PostgresTarget, report: Report) -> dict[CopiedTable, Sum]:
    """What each table holds on both sides, read anew. Raises StartRefused if they differ."""
    sums = {}
    total = sum(source.rows.values())
    before = 0
    for table in TABLES:
        seen = partial(_report_behind, report, before, total)
        here, there = await _both(_sum(source, table), target.sum(table, seen))
        expected = source.rows[table.name]
        if not here.rows == there.rows == expected:
            raise StartRefused(f"{_UNLIKE}: of {expected} {table.name}, {there.rows} are there; {_WHAT_NOW}")
        if here != there:
            raise StartRefused(f"{_UNLIKE}: {table.name} differ; {_WHAT_NOW}")
        sums[table] = there
        before += there.rows
    return sums


def _report_behind(report: Report, before: int, total: int, rows: int) -> None:
    report("verifying", before + rows, total)


async def _sum(source: SqliteSource, table: CopiedTable) -> Sum:
    summing = Summing()
    async with aclosing(_read_ahead(source.batches(table, table.before_all))) as batches:
        async for batch in batches:
            summing.add(batch)
    return summing.sum()


async def _read_ahead(batches: Iterator[list[Row]]) -> AsyncGenerator[list[Row]]:
    """Each batch; the next one is read by a thread while this one is worked on."""

    def read() -> asyncio.Task[list[Row] | None]:
        return asyncio.create_task(asyncio.to_thread(next, batches, None))

    reading = read()
    try:
        while (batch := await asyncio.shield(reading)) is not None:
            reading = read()
            yield batch
    finally:
        # Whoever is cancelled must not close what a thread still reads.
        await asyncio.wait([reading])


async def _both(one: Coroutine[None, None, T], other: Coroutine[None, None, T]) -> tuple[T, T]:
    """Both results; if one fails, the other is ended as well."""
    tasks = [asyncio.create_task(one), asyncio.create_task(other)]
    try:
        first, second = await asyncio.gather(*tasks)
        return first, second
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

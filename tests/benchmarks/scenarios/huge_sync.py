"""What the largest sync costs, and how long everybody else has to wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window, resident_bytes
from tests.benchmarks.scenarios.watching import is_commit, watch
from tests.benchmarks.syncs import many_puts
from tests.benchmarks.target import Target
from tests.benchmarks.wire.http import HttpConnection, open_http
from tests.benchmarks.wire.writers import unless_failed
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITER = "writer"
WATCHER = "watcher"
OTHER = ("bob", "phone")
RECORDS = 1_024
_SMALL = b'{"query":"{ viewer { identityId } }"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One sync after the other, each of all records a dataset may have; meanwhile somebody asks for small things."""

    syncs: int
    warm_up_syncs: int


@dataclass(slots=True)
class Outcome:
    used: Used | None = None
    grown_bytes: int = 0
    acknowledged: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)
    """What somebody else's small queries took meanwhile."""


class HugeSync:
    """See the module."""

    name = "huge-sync"
    title = f"One huge sync: {RECORDS:,} records of 180 bytes over HTTP, delivered to another device"
    columns = (
        Column(name="CPU ms/sync", decimals=1),
        Column(name="CPU µs/record", decimals=1),
        Column(name="ack p50 ms", decimals=1),
        Column(name="event p50 ms", decimals=1),
        Column(name="another's query p50 ms", decimals=1),
        Column(name="another's slowest ms", decimals=1),
        Column(name="RSS growth MiB", decimals=1),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        load = Load(syncs=2, warm_up_syncs=1) if quick else Load(syncs=30, warm_up_syncs=5)
        return [Case(load=f"{RECORDS:,} records a sync", measure=partial(_measure, load=load))]


def _measure(bench: Workbench, *, load: Load) -> Sample:
    with bench.server([(IDENTITY, WRITER), (IDENTITY, WATCHER), OTHER]) as target:
        outcome = bench.generate(sync_all, (target, load))
    used = outcome.used
    assert used is not None
    return Sample(
        figures={
            "CPU ms/sync": used.server_seconds / load.syncs * 1e3,
            "CPU µs/record": used.server_seconds / load.syncs / RECORDS * 1e6,
            "ack p50 ms": percentile(outcome.acknowledged, 0.50) * 1e3,
            "event p50 ms": percentile(outcome.delivered, 0.50) * 1e3,
            "another's query p50 ms": percentile(outcome.small, 0.50) * 1e3,
            "another's slowest ms": max(outcome.small) * 1e3,
            "RSS growth MiB": max(0, outcome.grown_bytes) / 2**20,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def sync_all(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    outcome = Outcome()
    writer = await open_http(target, target.tokens[IDENTITY, WRITER])
    other = await open_http(target, target.tokens[OTHER])
    arrived = asyncio.Event()
    watcher = await watch(
        target,
        target.tokens[IDENTITY, WATCHER],
        DATASET,
        on_event=lambda message: arrived.set() if is_commit(message) else None,
    )

    async def sync(number: int) -> None:
        body = many_puts(DATASET, number, range(RECORDS))
        arrived.clear()
        began = time.perf_counter()
        await writer.ask(body)
        outcome.acknowledged.append(time.perf_counter() - began)
        await unless_failed(asyncio.ensure_future(arrived.wait()), [watcher])
        outcome.delivered.append(time.perf_counter() - began)

    for number in range(load.warm_up_syncs):
        await sync(number)
    outcome.acknowledged.clear()
    outcome.delivered.clear()
    before = resident_bytes(target.pid)
    asking = asyncio.ensure_future(_keep_asking(other, outcome.small))
    window = Window(target.pid)
    for number in range(load.warm_up_syncs, load.warm_up_syncs + load.syncs):
        await sync(number)
    outcome.used = window.close()
    asking.cancel()
    outcome.grown_bytes = resident_bytes(target.pid) - before
    for connection in (writer, other, watcher):
        connection.close()
    return outcome


async def _keep_asking(connection: HttpConnection, seconds: list[float]) -> None:
    """Every few milliseconds, so that it costs next to nothing."""
    while True:
        began = time.perf_counter()
        await connection.ask(_SMALL)
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)

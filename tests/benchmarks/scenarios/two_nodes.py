"""What one event costs a node whose devices watch what is committed on another one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.scale_out import DATABASE_URL, REDIS_URL, postgres, valkey
from tests.benchmarks.scenarios.commits import Commits, first_of_everything
from tests.benchmarks.scenarios.watching import watch_all
from tests.benchmarks.target import Target
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITER = (IDENTITY, "writer")
_TOKEN_SECRET = "the same on both nodes, and longer than 32 bytes"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Bursts of commits, one at a time; the next one follows when everybody has one."""

    subscribers: int
    bursts: int
    burst: int = 15
    pause_seconds: float = 1.0

    @property
    def watchers(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(self.subscribers)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``used``: by the node of the watchers."""

    used: Used
    seconds: Sequence[float]


class TwoNodes:
    """See the module."""

    name = "two-nodes"
    title = "Two nodes: commits on one, all subscriptions on the other; CPU of the node with the subscriptions"
    columns = (
        Column(name="CPU µs/event", decimals=1),
        Column(name="p50 ms", decimals=1),
        Column(name="p99 ms", decimals=1),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = (
            [Load(subscribers=20, bursts=2, burst=5, pause_seconds=0.01)]
            if quick
            else [Load(subscribers=1, bursts=10), Load(subscribers=1_000, bursts=10)]
        )
        return [
            Case(
                load=f"{where}, {load.subscribers:,} subscriber{'s' if load.subscribers > 1 else ''}",
                contender=Contender.SYNCLINE,
                measure=partial(_measure, load=load, apart=apart),
            )
            for load in loads
            for where, apart in (("one node", False), ("two nodes", True))
        ]


def _measure(bench: Workbench, *, load: Load, apart: bool) -> Sample:
    with ExitStack() as stack:
        database = stack.enter_context(postgres(bench))
        settings = {
            DATABASE_URL: database.url(database.create_database()),
            "SYNCLINE_TOKEN_SECRET": _TOKEN_SECRET,
        }
        if apart:
            settings[REDIS_URL] = stack.enter_context(valkey(bench))
        watched = stack.enter_context(bench.server([*load.watchers, WRITER], settings=settings))
        written = watched
        if apart:
            written = stack.enter_context(bench.server([WRITER], settings=settings, cores=bench.cores.generator))
        outcome = bench.generate(commit_and_watch, (watched, written, load))
    return Sample(
        figures={
            "CPU µs/event": outcome.used.server_seconds / len(outcome.seconds) * 1e6,
            "p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
        },
        generator_share=outcome.used.generator_share,
        others_share=outcome.used.others_share,
    )


async def commit_and_watch(argument: tuple[Target, Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    watched, written, load = argument
    await first_of_everything(written, written.tokens[WRITER], DATASET)
    watchers = await watch_all(watched, [watched.tokens[device] for device in load.watchers], DATASET)
    commits = await Commits.open(written, [written.tokens[WRITER]], DATASET, watchers)
    await commits.run(under_way=1, seconds=1.0, at_least=1, at_most=load.burst)
    commits.tally.forget()
    used: Used | None = None
    for _ in range(load.bursts):
        await asyncio.sleep(load.pause_seconds)
        window = Window(watched.pid)
        await commits.run(under_way=1, seconds=10.0, at_least=1, at_most=load.burst)
        used = window.close() if used is None else used + window.close()
    assert used is not None
    seconds = commits.tally.seconds[:]
    commits.close()
    for watcher in watchers:
        watcher.close()
    return Outcome(used=used, seconds=seconds)

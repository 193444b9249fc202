"""What one event costs when many devices watch one dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.scenarios.commits import Commits, first_of_everything
from tests.benchmarks.scenarios.watching import watch_all
from tests.benchmarks.target import Target
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
IN_FLIGHT = 8
CONTENDERS = (Contender.SYNCLINE, Contender.STRAWBERRY, Contender.UVICORN, Contender.UVICORN_FRAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """First bursts of commits, one at a time, then eight in flight; the next one follows when everybody has one."""

    subscribers: int
    bursts: int
    burst: int = 15
    """Commits: so few that the dataset does not count as hot.

    Who goes on one at a time without a pause is served as a hot dataset's watchers are: ``hot-dataset`` measures that.
    """
    pause_seconds: float = 1.0
    """Before each burst."""
    seconds: float = 4.0
    """At most, pauses left out."""

    @property
    def watchers(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(self.subscribers)]

    @property
    def writers(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"writer-{number}") for number in range(IN_FLIGHT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one part of the load."""

    used: Used
    seconds: Sequence[float]
    """From sending a commit to each of its deliveries."""
    message_bytes: int
    frames: int


class FanOut:
    """See the module."""

    name = "fan-out"
    title = (
        "Fan-out: one dataset, one subscription a socket; a commit delivered to one subscriber is one event. "
        "Bursts of 15 commits, one at a time; then 8 in flight for some seconds"
    )
    columns = (
        Column(name="CPU µs/event", decimals=1, compared=True),
        Column(name="p50 ms", decimals=1, compared=True),
        Column(name="p99 ms", decimals=1, compared=True),
        Column(name="slowest ms", decimals=1),
        Column(name="8 in flight: CPU µs/event", decimals=1, compared=True),
        Column(name="8: events/s", compared=True),
        Column(name="8: p50 ms", decimals=1),
        Column(name="8: p99 ms", decimals=1, compared=True),
        Column(name="8: events/frame", decimals=1),
        Column(name="bytes/frame"),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = (
            [Load(subscribers=20, bursts=2, burst=5, pause_seconds=0.01, seconds=0.1)]
            if quick
            else [
                Load(subscribers=100, bursts=10),
                Load(subscribers=1_000, bursts=10),
                Load(subscribers=5_000, bursts=4),
            ]
        )
        return [
            Case(
                load=f"{load.subscribers:,} subscribers",
                contender=contender,
                measure=partial(_measure, load=load, contender=contender),
            )
            for load in loads
            for contender in CONTENDERS
        ]


def _measure(bench: Workbench, *, load: Load, contender: Contender) -> Sample:
    with bench.server(load.writers + load.watchers, contender=contender) as target:
        single, crowd = bench.generate(commit_and_watch, (target, load))
    return Sample(
        figures={
            "CPU µs/event": _microseconds(single),
            "p50 ms": percentile(single.seconds, 0.50) * 1e3,
            "p99 ms": percentile(single.seconds, 0.99) * 1e3,
            "slowest ms": max(single.seconds) * 1e3,
            "8 in flight: CPU µs/event": _microseconds(crowd),
            "8: events/s": len(crowd.seconds) / crowd.used.wall_seconds,
            "8: p50 ms": percentile(crowd.seconds, 0.50) * 1e3,
            "8: p99 ms": percentile(crowd.seconds, 0.99) * 1e3,
            "8: events/frame": len(crowd.seconds) / crowd.frames,
            "bytes/frame": single.message_bytes,
        },
        generator_share=max(single.used.generator_share, crowd.used.generator_share),
        others_share=max(single.used.others_share, crowd.used.others_share),
    )


def _microseconds(outcome: Outcome) -> float:
    return outcome.used.server_seconds / len(outcome.seconds) * 1e6


async def commit_and_watch(argument: tuple[Target, Load]) -> tuple[Outcome, Outcome]:
    """The load, in the generator's process."""
    target, load = argument
    await first_of_everything(target, target.tokens[load.writers[0]], DATASET)
    watchers = await watch_all(target, [target.tokens[device] for device in load.watchers], DATASET)
    commits = await Commits.open(target, [target.tokens[device] for device in load.writers], DATASET, watchers)
    await commits.run(under_way=1, seconds=load.seconds / 4, at_least=1, at_most=load.burst)
    single = await _one_at_a_time(target, commits, load)
    await commits.run(under_way=IN_FLIGHT, seconds=load.seconds / 4, at_least=1)
    crowd = await _eight_in_flight(target, commits, load)
    commits.close()
    for watcher in watchers:
        watcher.close()
    return single, crowd


async def _one_at_a_time(target: Target, commits: Commits, load: Load) -> Outcome:
    commits.tally.forget()
    used: Used | None = None
    for _ in range(load.bursts):
        left = load.seconds if used is None else load.seconds - used.wall_seconds
        if left <= 0:
            break
        await asyncio.sleep(load.pause_seconds)
        window = Window(target.pid)
        await commits.run(under_way=1, seconds=left, at_least=1, at_most=load.burst)
        used = window.close() if used is None else used + window.close()
    assert used is not None
    return _outcome(commits, used)


async def _eight_in_flight(target: Target, commits: Commits, load: Load) -> Outcome:
    commits.tally.forget()
    window = Window(target.pid)
    await commits.run(under_way=IN_FLIGHT, seconds=load.seconds, at_least=IN_FLIGHT)
    return _outcome(commits, window.close())


def _outcome(commits: Commits, used: Used) -> Outcome:
    tally = commits.tally
    return Outcome(used=used, seconds=tally.seconds[:], message_bytes=len(tally.last_message), frames=tally.frames)

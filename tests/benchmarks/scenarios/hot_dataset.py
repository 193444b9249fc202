"""What many devices get of a dataset that is written to all the time, and what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.scenarios.commits import VALUE_BYTES, first_of_everything
from tests.benchmarks.scenarios.watching import watch_all
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.tally import Tally
from tests.benchmarks.target import Target
from tests.benchmarks.wire.writers import Transport, Writer, open_writer, unless_failed
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITERS = 64
KEYS = 500
"""So many that no note is overwritten before all have it: it would never be told to those who come to it late."""
CONTENDERS = (Contender.SYNCLINE, Contender.UVICORN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Commits come at a steady rate, as long as fewer than 64 wait for their acknowledgement."""

    watchers: int
    rate: int
    seconds: float
    warm_up_seconds: float

    @property
    def name(self) -> str:
        return f"{self.rate} commits/s, {self.watchers:,} watchers"

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(self.watchers)]

    @property
    def writers(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"writer-{number}") for number in range(WRITERS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    used: Used
    commits: int
    frames: int
    seconds: Sequence[float]


class HotDataset:
    """See the module. ``uvicorn`` sends each commit by itself, as ready bytes."""

    name = "hot-dataset"
    title = "Steady and hot datasets: commits at a given rate, all delivered to all watchers"
    columns = (
        Column(name="commits/s", decimals=1),
        Column(name="frames/s and watcher", decimals=1),
        Column(name="server CPU %", compared=True),
        Column(name="CPU µs/event", decimals=1, compared=True),
        Column(name="p50 ms", decimals=1),
        Column(name="p99 ms", decimals=1, compared=True),
        Column(name="slowest ms", decimals=1),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = (
            [Load(watchers=20, rate=50, seconds=0.2, warm_up_seconds=0.0)]
            if quick
            else [Load(watchers=1_000, rate=rate, seconds=5.0, warm_up_seconds=2.0) for rate in (10, 100)]
        )
        return [
            Case(load=load.name, contender=contender, measure=partial(_measure, load=load, contender=contender))
            for load in loads
            for contender in CONTENDERS
        ]


def _measure(bench: Workbench, *, load: Load, contender: Contender) -> Sample:
    with bench.server(load.writers + load.devices, contender=contender) as target:
        outcome = bench.generate(write_steadily, (target, load))
    used = outcome.used
    return Sample(
        figures={
            "commits/s": outcome.commits / used.wall_seconds,
            "frames/s and watcher": outcome.frames / used.wall_seconds / load.watchers,
            "server CPU %": used.server_share * 100,
            "CPU µs/event": used.server_seconds / len(outcome.seconds) * 1e6,
            "p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
            "slowest ms": max(outcome.seconds) * 1e3,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def write_steadily(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    loop = asyncio.get_running_loop()
    numbers = count(1)
    all_there = asyncio.Event()
    tally = Tally(load.watchers, lambda number: all_there.set() if tally.all_delivered else None)
    await first_of_everything(target, target.tokens[load.writers[0]], DATASET)
    sockets = await watch_all(target, [target.tokens[device] for device in load.devices], DATASET, on_event=tally.take)
    writers = [await open_writer(target, Transport.WEBSOCKET, target.tokens[device]) for device in load.writers]
    idle: asyncio.Queue[tuple[Writer, SyncBodies]] = asyncio.Queue()
    for writer in writers:
        bodies = SyncBodies(DATASET, "writers", keys=KEYS, value_bytes=VALUE_BYTES, numbers=numbers)
        writer.on_done = partial(idle.put_nowait, (writer, bodies))
        idle.put_nowait((writer, bodies))

    async def write(seconds: float) -> int:
        """Returns when all that was written has reached everybody."""
        began = loop.time()
        for number in range(max(1, round(seconds * load.rate))):
            await asyncio.sleep(began + number / load.rate - loop.time())
            writer, bodies = await idle.get()
            all_there.clear()
            body = bodies.next()
            tally.sent(bodies.number)
            writer.send(body)
        await all_there.wait()
        return number + 1

    async def measure() -> Outcome:
        await write(load.warm_up_seconds)
        tally.forget()
        window = Window(target.pid)
        commits = await write(load.seconds)
        used = window.close()
        return Outcome(used=used, commits=commits, frames=tally.frames, seconds=tally.seconds[:])

    outcome = await unless_failed(asyncio.ensure_future(measure()), [*sockets, *writers])
    for socket in sockets:
        socket.close()
    for writer in writers:
        writer.close()
    return outcome

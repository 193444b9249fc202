"""What stays behind of devices that connect, subscribe and are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

from tests.benchmarks.measurement import Case, Column, Sample
from tests.benchmarks.meter import Used, Window, descriptors, resident_bytes, settled
from tests.benchmarks.scenarios.commits import first_of_everything
from tests.benchmarks.scenarios.reconnects import DATASET, IDENTITY, WRITER
from tests.benchmarks.scenarios.watching import OPENED_AT_ONCE, watch_all
from tests.benchmarks.target import Target
from tests.benchmarks.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A few devices at a time, each gone as soon as its subscription is live."""

    cycles: int
    warm_up_cycles: int
    settling_seconds: float = 0.5

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(OPENED_AT_ONCE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    used: Used
    grown_bytes: int
    descriptors_left: int


class ConnectionCycles:
    """See the module."""

    name = "connection-cycles"
    title = "Connect, subscribe, be killed: what the server keeps of that"
    columns = (
        Column(name="CPU µs/cycle"),
        Column(name="cycles/s"),
        Column(name="RSS growth MiB", decimals=2),
        Column(name="descriptors left"),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        load = (
            Load(cycles=100, warm_up_cycles=100, settling_seconds=0.01)
            if quick
            else Load(cycles=20_000, warm_up_cycles=3_000)
        )
        return [Case(load=f"{load.cycles:,} cycles", measure=partial(_measure, load=load))]


def _measure(bench: Workbench, *, load: Load) -> Sample:
    with bench.server([(IDENTITY, WRITER), *load.devices]) as target:
        outcome = bench.generate(come_and_go, (target, load))
    return Sample(
        figures={
            "CPU µs/cycle": outcome.used.server_seconds / load.cycles * 1e6,
            "cycles/s": load.cycles / outcome.used.wall_seconds,
            "RSS growth MiB": outcome.grown_bytes / 2**20,
            "descriptors left": outcome.descriptors_left,
        },
        generator_share=outcome.used.generator_share,
        others_share=outcome.used.others_share,
    )


async def come_and_go(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    await first_of_everything(target, target.tokens[IDENTITY, WRITER], DATASET)
    await _cycles(target, load, load.warm_up_cycles)
    open_before = await settled(descriptors, target.pid, every=load.settling_seconds)
    before = await settled(resident_bytes, target.pid, every=load.settling_seconds)
    window = Window(target.pid)
    await _cycles(target, load, load.cycles)
    used = window.close()
    left = await settled(descriptors, target.pid, every=load.settling_seconds) - open_before
    grown = await settled(resident_bytes, target.pid, every=load.settling_seconds) - before
    return Outcome(used=used, grown_bytes=grown, descriptors_left=left)


async def _cycles(target: Target, load: Load, number: int) -> None:
    tokens = cycle([target.tokens[device] for device in load.devices])
    for begin in range(0, number, OPENED_AT_ONCE):
        for socket in await watch_all(target, list(islice(tokens, min(OPENED_AT_ONCE, number - begin))), DATASET):
            socket.kill()

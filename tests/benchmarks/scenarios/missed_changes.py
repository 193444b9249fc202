"""How long it takes until all devices have what they missed, when they come back at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.scenarios.commits import VALUE_BYTES, first_of_everything
from tests.benchmarks.scenarios.reconnects import DATASET, IDENTITY, WRITER
from tests.benchmarks.scenarios.watching import watch_all
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.tally import Tally
from tests.benchmarks.target import Target
from tests.benchmarks.wire.http import open_http
from tests.benchmarks.wire.writers import unless_failed
from tests.benchmarks.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """All sockets watched one dataset and were killed; changes of as many records were made before they return."""

    sockets: int
    missed: int = 10

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(self.sockets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    used: Used
    seconds: Sequence[float]
    """From the beginning of the return to each change at each device."""


class MissedChanges:
    """See the module. The baselines keep no log, so they have nothing to catch up with."""

    name = "missed-changes"
    title = "A reconnect storm of devices that missed changes: until all have all of them"
    columns = (
        Column(name="all caught up s", decimals=2),
        Column(name="median s", decimals=2),
        Column(name="CPU µs/reconnect"),
        Column(name="reconnects/s"),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        load = Load(sockets=20 if quick else 2_000)
        name = f"{load.sockets:,} sockets, {load.missed} changes missed each"
        return [Case(load=name, measure=partial(_measure, load=load))]


def _measure(bench: Workbench, *, load: Load) -> Sample:
    with bench.server([(IDENTITY, WRITER), *load.devices]) as target:
        outcome = bench.generate(come_back, (target, load))
    used = outcome.used
    return Sample(
        figures={
            "all caught up s": used.wall_seconds,
            "median s": percentile(outcome.seconds, 0.50),
            "CPU µs/reconnect": used.server_seconds / load.sockets * 1e6,
            "reconnects/s": load.sockets / used.wall_seconds,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def come_back(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    writer_token = target.tokens[IDENTITY, WRITER]
    tokens = [target.tokens[device] for device in load.devices]
    checkpoint = await first_of_everything(target, writer_token, DATASET)
    for socket in await watch_all(target, tokens, DATASET, since=checkpoint):
        socket.kill()

    over = asyncio.get_running_loop().create_future()
    left = set(range(1, load.missed + 1))

    def on_everywhere(number: int) -> None:
        left.discard(number)
        if not left:
            over.set_result(None)

    tally = Tally(load.sockets, on_everywhere)
    bodies = SyncBodies(DATASET, "missed", keys=load.missed, value_bytes=VALUE_BYTES)
    writer = await open_http(target, writer_token)
    for _ in range(load.missed):
        await writer.ask(bodies.next())
    writer.close()

    window = Window(target.pid)
    for number in left:
        tally.sent(number)
    sockets = await watch_all(target, tokens, DATASET, since=checkpoint, on_event=tally.take)
    await unless_failed(over, sockets)
    used = window.close()
    for socket in sockets:
        socket.close()
    return Outcome(used=used, seconds=tally.seconds)

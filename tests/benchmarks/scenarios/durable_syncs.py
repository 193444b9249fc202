"""How many syncs a second are made durable, and what one of them costs the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.target import Target
from tests.benchmarks.wire.writers import Transport, Writer, open_writer, unless_failed
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
BESIDE_BASELINES = (Contender.SYNCLINE, Contender.DURABLE_STRAWBERRY, Contender.DURABLE_CACHED_STRAWBERRY)
"""These commit each sync by itself, where Syncline commits all that wait at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """``writers`` devices, each with one sync under way at any time."""

    transport: Transport
    writers: int
    one_dataset: bool
    warm_up_seconds: float = 0.5
    seconds: float = 3.0

    @property
    def name(self) -> str:
        where = "one dataset" if self.one_dataset else "own datasets"
        return f"{self.transport}, {where}, {self.writers} writer{'s' if self.writers > 1 else ''}"

    @property
    def beside_baselines(self) -> bool:
        return self.transport is Transport.HTTP and not self.one_dataset

    @property
    def devices(self) -> list[tuple[str, str]]:
        """Identity and device of each writer."""
        return [("all" if self.one_dataset else f"identity-{n}", f"device-{n}") for n in range(self.writers)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a load found. ``seconds`` are those that each sync of the window waited for its acknowledgement."""

    used: Used
    seconds: Sequence[float]


class DurableSyncs:
    """See the module."""

    name = "durable-syncs"
    title = "Durable syncs: one put of a small note each, acknowledged when it is on disk"
    columns = (
        Column(name="syncs/s", compared=True),
        Column(name="CPU µs/sync", compared=True),
        Column(name="server CPU %"),
        Column(name="ack p50 ms", decimals=2),
        Column(name="ack p99 ms", decimals=2, compared=True),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        if quick:
            loads = [Load(transport=Transport.HTTP, writers=3, one_dataset=True, warm_up_seconds=0.05, seconds=0.2)]
        else:
            kinds = [(transport, one_dataset) for transport in Transport for one_dataset in (False, True)]
            loads = [
                Load(transport=transport, writers=writers, one_dataset=one_dataset)
                for transport, one_dataset in kinds
                for writers in (1, 16, 64)
            ]
        return [
            Case(load=load.name, contender=contender, measure=partial(_measure, load=load, contender=contender))
            for load in loads
            for contender in (BESIDE_BASELINES if quick or load.beside_baselines else (Contender.SYNCLINE,))
        ]


def _measure(bench: Workbench, *, load: Load, contender: Contender) -> Sample:
    with bench.server(load.devices, contender=contender) as target:
        outcome = bench.generate(write, (target, load))
    syncs, used = len(outcome.seconds), outcome.used
    return Sample(
        figures={
            "syncs/s": syncs / used.wall_seconds,
            "CPU µs/sync": used.server_seconds / syncs * 1e6,
            "server CPU %": used.server_share * 100,
            "ack p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "ack p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def write(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    loop = asyncio.get_running_loop()
    writers = [await open_writer(target, load.transport, target.tokens[device]) for device in load.devices]
    seconds: list[float] = []
    for writer, (_, device) in zip(writers, load.devices, strict=True):
        _keep_writing(writer, SyncBodies(DATASET, device), seconds)
    await unless_failed(_after(loop, load.warm_up_seconds), writers)
    seconds.clear()
    window = Window(target.pid)
    await unless_failed(_after(loop, load.seconds), writers)
    used, measured = window.close(), seconds[:]
    for writer in writers:
        writer.close()
    return Outcome(used=used, seconds=measured)


def _keep_writing(writer: Writer, bodies: SyncBodies, seconds: list[float]) -> None:
    now = time.perf_counter
    began = 0.0

    def send() -> None:
        nonlocal began
        body = bodies.next()
        began = now()
        writer.send(body)

    def done() -> None:
        seconds.append(now() - began)
        send()

    writer.on_done = done
    send()


def _after(loop: asyncio.AbstractEventLoop, seconds: float) -> asyncio.Future[None]:
    future: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, lambda: None if future.done() else future.set_result(None))
    return future

"""How long after a device sent a sync the identity's other devices have it, on a server that has nothing else to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.scenarios.watching import is_commit, watch
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.target import Target
from tests.benchmarks.wire.writers import Transport, open_writer, unless_failed
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITER = "phone"
WATCHERS = ("laptop", "tablet")
PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The writer sends one sync, and the next a moment after everybody has it. All three devices watch."""

    transport: Transport
    syncs: int
    warm_up_syncs: int


@dataclass(slots=True)
class Outcome:
    """Seconds from sending to the acknowledgement, and to each event at another device."""

    acknowledged: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)


class DeliveryLatency:
    """See the module."""

    name = "delivery-latency"
    title = "Delivery: from sending a sync to its event at the two other devices of the identity, one sync at a time"
    columns = (
        Column(name="event p50 ms", decimals=2),
        Column(name="event p99 ms", decimals=2),
        Column(name="ack p50 ms", decimals=2),
        Column(name="ack p99 ms", decimals=2),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = [
            Load(transport=transport, syncs=10 if quick else 500, warm_up_syncs=2 if quick else 100)
            for transport in Transport
        ]
        return [
            Case(load=f"3 devices, written over {load.transport}", measure=partial(_measure, load=load))
            for load in (loads[-1:] if quick else loads)
        ]


def _measure(bench: Workbench, *, load: Load) -> Sample:
    with bench.server([(IDENTITY, device) for device in (WRITER, *WATCHERS)]) as target:
        outcome, used = bench.generate(write_and_watch, (target, load))
    return Sample(
        figures={
            "event p50 ms": percentile(outcome.delivered, 0.50) * 1e3,
            "event p99 ms": percentile(outcome.delivered, 0.99) * 1e3,
            "ack p50 ms": percentile(outcome.acknowledged, 0.50) * 1e3,
            "ack p99 ms": percentile(outcome.acknowledged, 0.99) * 1e3,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def write_and_watch(argument: tuple[Target, Load]) -> tuple[Outcome, Used]:
    """The load, in the generator's process."""
    target, load = argument
    tokens = {device: target.tokens[IDENTITY, device] for device in (WRITER, *WATCHERS)}
    sockets = [await watch(target, token, DATASET) for token in tokens.values()]
    writer = await open_writer(target, load.transport, tokens[WRITER])
    turn = _Turn(others=len(WATCHERS))
    sockets[0].on_message = partial(_own, turn)
    for socket in sockets[1:]:
        socket.on_message = partial(_other, turn)
    writer.on_done = turn.acknowledged
    bodies = SyncBodies(DATASET, WRITER)
    window = Window(target.pid)
    for number in range(load.warm_up_syncs + load.syncs):
        if number == load.warm_up_syncs:
            turn.outcome = Outcome()
            window = Window(target.pid)
        await unless_failed(turn.begin(partial(writer.send, bodies.next())), [writer, *sockets])
        await asyncio.sleep(PAUSE_SECONDS)
    used = window.close()
    writer.close()
    for socket in sockets:
        socket.close()
    return turn.outcome, used


class _Turn:
    """One sync, until all have seen it."""

    def __init__(self, *, others: int) -> None:
        self.outcome = Outcome()
        self._others = others
        self._awaited = 0
        self._began = 0.0
        self._over: asyncio.Future[None]

    def begin(self, send: Callable[[], None]) -> asyncio.Future[None]:
        self._over = asyncio.get_running_loop().create_future()
        self._awaited = self._others + 2
        self._began = time.perf_counter()
        send()
        return self._over

    def acknowledged(self) -> None:
        self.outcome.acknowledged.append(time.perf_counter() - self._began)
        self.seen()

    def delivered(self) -> None:
        self.outcome.delivered.append(time.perf_counter() - self._began)
        self.seen()

    def seen(self) -> None:
        self._awaited -= 1
        if self._awaited == 0:
            self._over.set_result(None)


def _own(turn: _Turn, message: bytes) -> None:
    if is_commit(message):
        turn.seen()


def _other(turn: _Turn, message: bytes) -> None:
    if is_commit(message):
        turn.delivered()

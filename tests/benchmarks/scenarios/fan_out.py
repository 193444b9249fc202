"""What one event costs when many devices watch one dataset, and what a device costs that only watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window, resident_bytes
from tests.benchmarks.scenarios.watching import is_commit, watch
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.target import Target
from tests.benchmarks.wire.websocket import SocketConnection
from tests.benchmarks.wire.writers import Transport, Writer, open_writer, unless_failed
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITER = "writer"
VALUE_BYTES = 1
"""Makes an event's frame about 320 bytes long."""
OPENED_AT_ONCE = 50
SETTLING_SECONDS = 0.5
MOST_LOOKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One commit at a time: the next one when every subscriber has it."""

    subscribers: int
    commits: int
    warm_up_commits: int

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [(IDENTITY, WRITER), *((IDENTITY, f"device-{number}") for number in range(self.subscribers))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``seconds`` are those from sending each sync to its last delivery."""

    used: Used
    seconds: Sequence[float]
    frame_bytes: int
    idle_bytes: int
    """How much the server grew by the subscriptions, before the first event."""


class FanOut:
    """See the module."""

    name = "fan-out"
    title = "Fan-out: one dataset, one subscription a socket, one commit at a time, its sync included in the cost"
    columns = (
        Column(name="CPU µs/event", decimals=1),
        Column(name="events/s"),
        Column(name="last delivery p50 ms", decimals=1),
        Column(name="last delivery p99 ms", decimals=1),
        Column(name="bytes/event"),
        Column(name="idle RSS KiB/subscription", decimals=1),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = (
            [Load(subscribers=20, commits=5, warm_up_commits=1)]
            if quick
            else [
                Load(subscribers=100, commits=1_000, warm_up_commits=100),
                Load(subscribers=1_000, commits=200, warm_up_commits=20),
            ]
        )
        return [Case(name=f"{load.subscribers:,} subscribers", measure=partial(_measure, load=load)) for load in loads]


def _measure(bench: Workbench, *, load: Load) -> Sample:
    with bench.server(load.devices) as target:
        outcome = bench.generate(commit_and_watch, (target, load))
    events, used = load.commits * load.subscribers, outcome.used
    return Sample(
        figures={
            "CPU µs/event": used.server_seconds / events * 1e6,
            "events/s": events / used.wall_seconds,
            "last delivery p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "last delivery p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
            "bytes/event": outcome.frame_bytes,
            "idle RSS KiB/subscription": outcome.idle_bytes / load.subscribers / 1024,
        },
        generator_share=used.generator_share,
    )


async def commit_and_watch(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    writer = await open_writer(target, Transport.WEBSOCKET, target.tokens[IDENTITY, WRITER])
    bodies = SyncBodies(DATASET, WRITER, value_bytes=VALUE_BYTES)
    # The first of everything is made before the server's memory is looked at.
    first = await watch(target, target.tokens[IDENTITY, WRITER], DATASET)
    await _Commit(writer, [first]).reaches_all(bodies.next())
    first.close()
    before = await _settled_bytes(target.pid)
    sockets = await _open_all(target, load)
    idle_bytes = await _settled_bytes(target.pid) - before

    commit = _Commit(writer, sockets)
    for _ in range(load.warm_up_commits):
        await commit.reaches_all(bodies.next())
    window = Window(target.pid)
    seconds = [await commit.reaches_all(bodies.next()) for _ in range(load.commits)]
    used = window.close()
    writer.close()
    for socket in sockets:
        socket.close()
    return Outcome(used=used, seconds=seconds, frame_bytes=commit.message_bytes, idle_bytes=idle_bytes)


async def _open_all(target: Target, load: Load) -> list[SocketConnection]:
    tokens = [target.tokens[device] for device in load.devices[1:]]
    sockets: list[SocketConnection] = []
    for begin in range(0, len(tokens), OPENED_AT_ONCE):
        some = tokens[begin : begin + OPENED_AT_ONCE]
        sockets += await asyncio.gather(*(watch(target, token, DATASET) for token in some))
    return sockets


async def _settled_bytes(pid: int) -> int:
    """The server's resident memory once it does not change any more."""
    found = resident_bytes(pid)
    for _ in range(MOST_LOOKS):
        await asyncio.sleep(SETTLING_SECONDS)
        before, found = found, resident_bytes(pid)
        if found == before:
            break
    return found


class _Commit:
    """Sends one sync, and waits until it was acknowledged and every socket has its event."""

    def __init__(self, writer: Writer, sockets: Sequence[SocketConnection]) -> None:
        self.message_bytes = 0
        self._writer = writer
        self._sockets = sockets
        self._awaited = 0
        self._over: asyncio.Future[None]
        self._last_delivery = 0.0
        writer.on_done = self._seen
        for socket in sockets:
            socket.on_message = self._on_message
            socket.failed.add_done_callback(self._on_failure)

    async def reaches_all(self, body: bytes) -> float:
        """Seconds from sending to the last delivery."""
        self._over = asyncio.get_running_loop().create_future()
        self._awaited = len(self._sockets) + 1
        began = time.perf_counter()
        self._writer.send(body)
        await unless_failed(self._over, [self._writer])
        return self._last_delivery - began

    def _on_message(self, message: bytes) -> None:
        if is_commit(message):
            self.message_bytes = len(message)
            self._seen()

    def _on_failure(self, failure: asyncio.Future[None]) -> None:
        error = None if failure.cancelled() else failure.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)

    def _seen(self) -> None:
        self._awaited -= 1
        self._last_delivery = time.perf_counter()
        if self._awaited == 0:
            self._over.set_result(None)

"""What a sync costs with its deliveries, where each identity has a few devices and its data to itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, count

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window, resident_bytes, settled
from tests.benchmarks.scenarios.commits import VALUE_BYTES
from tests.benchmarks.scenarios.watching import watch
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.tally import Tally
from tests.benchmarks.target import Target
from tests.benchmarks.wire.failures import LoadFailed
from tests.benchmarks.wire.websocket import SocketConnection
from tests.benchmarks.wire.writers import unless_failed
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
CONTENDERS = (Contender.SYNCLINE, Contender.STRAWBERRY, Contender.CACHED_STRAWBERRY)
_RESULT = b'{"id":"s"'
_APPLIED = b'"__typename":"SyncApplied"'
_COMPLETE = b'{"id":"s","type":"complete"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Every device watches; the first device of each identity writes on the same socket, one identity after another."""

    identities: int
    devices: int = 3
    under_way: int = 16
    """Identities that have a sync under way at any time."""
    warm_up_seconds: float = 1.0
    seconds: float = 4.0
    settling_seconds: float = 0.5

    def of(self, identity: int) -> list[tuple[str, str]]:
        return [(f"identity-{identity}", f"device-{number}") for number in range(self.devices)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    used: Used
    syncs: int
    seconds: Sequence[float]
    """From sending each sync to each of its deliveries."""
    resident_bytes: int


class OwnDevices:
    """See the module. Strawberry keeps nothing here: its mutation only publishes what it was sent."""

    name = "own-devices"
    title = "Own devices: a sync and its delivery to the identity's three devices; durable on SQLite, but for baselines"
    columns = (
        Column(name="CPU µs/sync", compared=True),
        Column(name="syncs/s", compared=True),
        Column(name="event p50 ms", decimals=1),
        Column(name="event p99 ms", decimals=1, compared=True),
        Column(name="RSS MiB", decimals=1),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        load = (
            Load(identities=4, under_way=2, warm_up_seconds=0.0, seconds=0.1, settling_seconds=0.01)
            if quick
            else Load(identities=300)
        )
        return [
            Case(
                load=f"{load.identities} identities, {load.devices} devices each",
                contender=contender,
                measure=partial(_measure, load=load, contender=contender),
            )
            for contender in (CONTENDERS[::2] if quick else CONTENDERS)
        ]


def _measure(bench: Workbench, *, load: Load, contender: Contender) -> Sample:
    devices = list(chain.from_iterable(load.of(identity) for identity in range(load.identities)))
    with bench.server(devices, contender=contender) as target:
        outcome = bench.generate(sync_and_watch, (target, load))
    return Sample(
        figures={
            "CPU µs/sync": outcome.used.server_seconds / outcome.syncs * 1e6,
            "syncs/s": outcome.syncs / outcome.used.wall_seconds,
            "event p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "event p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
            "RSS MiB": outcome.resident_bytes / 2**20,
        },
        generator_share=outcome.used.generator_share,
        others_share=outcome.used.others_share,
    )


async def sync_and_watch(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    crowd = _Crowd(load)
    for identity in range(load.identities):
        tokens = [target.tokens[device] for device in load.of(identity)]
        crowd.join(await asyncio.gather(*(watch(target, token, DATASET) for token in tokens)))
    grown = await settled(resident_bytes, target.pid, every=load.settling_seconds)
    await crowd.run(load.warm_up_seconds)
    crowd.tally.forget()
    window = Window(target.pid)
    syncs = await crowd.run(load.seconds)
    used = window.close()
    crowd.close()
    return Outcome(used=used, syncs=syncs, seconds=crowd.tally.seconds[:], resident_bytes=grown)


class _Crowd:
    """The identities. A sync is over when it was acknowledged and all devices of its identity have it."""

    def __init__(self, load: Load) -> None:
        self.tally = Tally(load.devices, self._one_step_of)
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._idle: deque[int] = deque()
        self._busy: dict[int, int] = {}
        """The identity of each sync that is under way."""
        self._sockets: list[Sequence[SocketConnection]] = []
        self._bodies: list[SyncBodies] = []
        self._steps_left: dict[int, int] = {}
        self._sent = 0
        self._over: asyncio.Future[None]

    def join(self, sockets: Sequence[SocketConnection]) -> None:
        """An identity's devices, the first of which writes."""
        identity = len(self._sockets)
        self._idle.append(identity)
        self._sockets.append(sockets)
        self._bodies.append(SyncBodies(DATASET, "writer", value_bytes=VALUE_BYTES, numbers=self._numbers))
        sockets[0].on_message = partial(self._on_message_to_writer, identity)
        for socket in sockets[1:]:
            socket.on_message = self.tally.take

    async def run(self, seconds: float) -> int:
        """Sync for so long; how many syncs they were. Returns when all have been delivered."""
        self._over = self._loop.create_future()
        self._until = self._loop.time() + seconds
        self._sent = 0
        for _ in range(self._load.under_way):
            self._send()
        await unless_failed(self._over, list(chain.from_iterable(self._sockets)))
        return self._sent

    def close(self) -> None:
        for socket in chain.from_iterable(self._sockets):
            socket.close()

    def _send(self) -> None:
        identity = self._idle.popleft()
        bodies = self._bodies[identity]
        body = bodies.next()
        self._sent += 1
        self._busy[bodies.number] = identity
        self._steps_left[bodies.number] = 2
        self.tally.sent(bodies.number)
        self._sockets[identity][0].subscribe(b"s", body)

    def _on_message_to_writer(self, identity: int, message: bytes) -> None:
        if not message.startswith(_RESULT):
            self.tally.take(message)
        elif message == _COMPLETE:
            self._one_step_of(self._bodies[identity].number)
        elif _APPLIED not in message:
            raise LoadFailed(message[:300].decode())

    def _one_step_of(self, number: int) -> None:
        """It was acknowledged, or all devices have it."""
        self._steps_left[number] -= 1
        if self._steps_left[number]:
            return
        del self._steps_left[number]
        self._idle.append(self._busy.pop(number))
        if self._loop.time() < self._until:
            self._send()
        elif not self._steps_left:
            self._over.set_result(None)

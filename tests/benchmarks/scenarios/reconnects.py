"""What an idle subscription takes, and what it costs when all devices come back at once and have missed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, Column, Sample
from tests.benchmarks.meter import Used, Window, resident_bytes, settled
from tests.benchmarks.scenarios.commits import first_of_everything
from tests.benchmarks.scenarios.watching import watch_all
from tests.benchmarks.target import Target
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITER = "writer"
BESIDE_MANY = (Contender.SYNCLINE, Contender.UVICORN)
"""With thousands more, Strawberry's part would take minutes, and tell nothing new."""
BESIDE_SOME = (Contender.SYNCLINE, Contender.STRAWBERRY, Contender.CACHED_STRAWBERRY, Contender.UVICORN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """All sockets watch one dataset, are killed at once, and return as fast as the server takes them."""

    sockets: int
    settling_seconds: float = 0.5

    @property
    def devices(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(self.sockets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Resident bytes at four moments, and what the return took."""

    empty: int
    connected: int
    returned: int
    left: int
    used: Used


class Reconnects:
    """See the module."""

    name = "reconnects"
    title = "Idle subscriptions and a reconnect storm: all sockets are killed, and subscribe anew with a checkpoint"
    columns = (
        Column(name="CPU µs/reconnect", compared=True),
        Column(name="reconnects/s", compared=True),
        Column(name="storm s", decimals=1),
        Column(name="RSS KiB/subscription", decimals=1, compared=True),
        Column(name="after storm KiB", decimals=1, compared=True),
        Column(name="after all left KiB", decimals=1),
        Column(name="RSS MiB with none", decimals=1),
        Column(name="RSS MiB after all left", decimals=1),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        loads = (
            [(Load(sockets=20, settling_seconds=0.01), BESIDE_MANY)]
            if quick
            else [(Load(sockets=2_000), BESIDE_SOME), (Load(sockets=9_000), BESIDE_MANY)]
        )
        return [
            Case(
                load=f"{load.sockets:,} sockets",
                contender=contender,
                measure=partial(_measure, load=load, contender=contender),
            )
            for load, contenders in loads
            for contender in contenders
        ]


def _measure(bench: Workbench, *, load: Load, contender: Contender) -> Sample:
    with bench.server([(IDENTITY, WRITER), *load.devices], contender=contender) as target:
        outcome = bench.generate(come_back, (target, load))

    def each(resident: int) -> float:
        return (resident - outcome.empty) / load.sockets / 1024

    used = outcome.used
    return Sample(
        figures={
            "CPU µs/reconnect": used.server_seconds / load.sockets * 1e6,
            "reconnects/s": load.sockets / used.wall_seconds,
            "storm s": used.wall_seconds,
            "RSS KiB/subscription": each(outcome.connected),
            "after storm KiB": each(outcome.returned),
            "after all left KiB": each(outcome.left),
            "RSS MiB with none": outcome.empty / 2**20,
            "RSS MiB after all left": outcome.left / 2**20,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def come_back(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    checkpoint = await first_of_everything(target, target.tokens[IDENTITY, WRITER], DATASET)
    tokens = [target.tokens[device] for device in load.devices]
    empty = await settled(resident_bytes, target.pid, every=load.settling_seconds)
    sockets = await watch_all(target, tokens, DATASET)
    connected = await settled(resident_bytes, target.pid, every=load.settling_seconds)

    window = Window(target.pid)
    for socket in sockets:
        socket.kill()
    sockets = await watch_all(target, tokens, DATASET, since=checkpoint)
    used = window.close()
    returned = await settled(resident_bytes, target.pid, every=load.settling_seconds)

    for socket in sockets:
        socket.kill()
    left = await settled(resident_bytes, target.pid, every=load.settling_seconds)
    return Outcome(empty=empty, connected=connected, returned=returned, left=left, used=used)

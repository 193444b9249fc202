"""What a pull costs: of a few changes, and of everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from tests.benchmarks.measurement import Case, Column, Sample, percentile
from tests.benchmarks.meter import Used, Window
from tests.benchmarks.scenarios.watching import checkpoint_of
from tests.benchmarks.syncs import many_puts
from tests.benchmarks.target import Target
from tests.benchmarks.wire.failures import LoadFailed
from tests.benchmarks.wire.http import HttpConnection, open_http
from tests.benchmarks.workbench import Workbench

DATASET = "notes"
IDENTITY = "alice"
WRITER = "writer"
CHANGED = 10
PUTS_A_SYNC = 500
UNDER_WAY = 16
"""Devices that wait for a page at any time."""
_PULL = """
query Pull($name: String!, $since: Checkpoint!, $first: Int!) {
  changes(dataset: {name: $name}, since: $since, first: $first) {
    __typename
    ... on ChangePage { records { key value deleted version } checkpoint hasMore }
  }
}
"""
_PAGE = 500
_WHERE = msgspec.json.encode({"query": f'{{ dataset(dataset: {{name: "{DATASET}"}}) {{ checkpoint }} }}'})
_HEAD, _TAIL = msgspec.json.encode(
    {"query": _PULL, "variables": {"name": DATASET, "first": _PAGE, "since": "@"}}
).split(b"@")
_KEY = b'"key":'
_MORE = b'"hasMore":true'


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Each device, on a connection of its own, pulls once: what changed last, or with ``whole`` all there is."""

    devices: int
    records: int
    whole: bool = False

    @property
    def name(self) -> str:
        return f"all of {self.records:,} records" if self.whole else f"{CHANGED} of {self.records:,} records"

    @property
    def identities(self) -> list[tuple[str, str]]:
        return [(IDENTITY, f"device-{number}") for number in range(self.devices)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    used: Used
    seconds: Sequence[float]
    answer_bytes: int


class CatchUp:
    """See the module."""

    name = "catch-up"
    title = "Catch-up: devices pull what they missed, 16 at a time"
    columns = (
        Column(name="CPU µs/device", compared=True),
        Column(name="devices/s"),
        Column(name="p50 ms", decimals=1, compared=True),
        Column(name="p99 ms", decimals=1),
        Column(name="KiB/device", decimals=1, compared=True),
    )

    def cases(self, *, quick: bool) -> Sequence[Case]:
        devices, records = (10, 100) if quick else (1_000, 1_000)
        few = Load(devices=devices, records=records)
        few_of_many = Load(devices=devices, records=records * 10)
        whole = Load(devices=devices // 5, records=records, whole=True)
        compared = [(few, whole), (whole, None)] if quick else [(few, whole), (few_of_many, few), (whole, None)]
        return [
            Case(load=load.name, other_load=None if other is None else other.name, measure=partial(_measure, load=load))
            for load, other in compared
        ]


def _measure(bench: Workbench, *, load: Load) -> Sample:
    devices = [(IDENTITY, WRITER), *load.identities]
    with bench.server(devices, "--max-records", "20000", "--max-dataset-bytes", "20000000") as target:
        outcome = bench.generate(pull, (target, load))
    used = outcome.used
    return Sample(
        figures={
            "CPU µs/device": used.server_seconds / load.devices * 1e6,
            "devices/s": load.devices / used.wall_seconds,
            "p50 ms": percentile(outcome.seconds, 0.50) * 1e3,
            "p99 ms": percentile(outcome.seconds, 0.99) * 1e3,
            "KiB/device": outcome.answer_bytes / 1024,
        },
        generator_share=used.generator_share,
        others_share=used.others_share,
    )


async def pull(argument: tuple[Target, Load]) -> Outcome:
    """The load, in the generator's process."""
    target, load = argument
    writer = await open_http(target, target.tokens[IDENTITY, WRITER])
    for begin in range(0, load.records, PUTS_A_SYNC):
        await writer.ask(many_puts(DATASET, 1, range(begin, min(begin + PUTS_A_SYNC, load.records))))
    checkpoint = "start" if load.whole else checkpoint_of(await writer.ask(_WHERE))
    for number in range(CHANGED):
        await writer.ask(many_puts(DATASET, 2, range(number, number + 1)))
    expected = load.records if load.whole else CHANGED
    size = await _pulled(writer, checkpoint, expected)
    writer.close()

    connections = [await open_http(target, target.tokens[device]) for device in load.identities]
    left = iter(connections)
    seconds: list[float] = []

    async def pull_some() -> None:
        for connection in left:
            began = time.perf_counter()
            await _pulled(connection, checkpoint, expected)
            seconds.append(time.perf_counter() - began)

    window = Window(target.pid)
    await asyncio.gather(*(pull_some() for _ in range(UNDER_WAY)))
    used = window.close()
    for connection in connections:
        connection.close()
    return Outcome(used=used, seconds=seconds, answer_bytes=size)


async def _pulled(connection: HttpConnection, since: str, expected: int) -> int:
    """Pull page by page; the bytes that were answered."""
    records = size = 0
    while True:
        answer = await connection.ask(_HEAD + since.encode() + _TAIL)
        records += answer.count(_KEY)
        size += len(answer)
        if _MORE not in answer:
            break
        since = checkpoint_of(answer)
    if records != expected:
        raise LoadFailed(f"{records} records, not {expected}: {answer[:300].decode()}")
    return size

"""What the bus between nodes costs a node: ``python -m tests.benchmarks.bus_cost``.

Processor time per hint, of the process that publishes and of the one that hears; and how long a hint takes from
publishing to its listener on another node. A Valkey of its own runs beside. The hint carries a commit of one record.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from syncline.bus.local import LocalBus
from syncline.bus.redis import RedisBus
from syncline.ports import Bus
from tests.support.hints import Ear, a_hint, a_topic
from tests.support.valkey import valkey

HINTS = 20_000
TOPICS = 50
SINGLES_PER_SECOND = 2_000
BURST = 50
HINT = a_hint(1, value='{"text":"buy milk and bread","done":false,"tags":["home","shop"]}')
SECRET = b"a secret of all nodes"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with valkey(Path(folder)) as server:
            bus = RedisBus.open(server.url, secret=SECRET)
            await bus.start()
            for name, pace in (("one by one", one_by_one), (f"in bursts of {BURST}", in_bursts)):
                idle = await seconds_of(LocalBus(), pace)
                busy = await seconds_of(bus, pace)
                print(f"publish, {name}: {(busy - idle) / HINTS * 1e6:.1f} µs a hint")
            print(f"publish, the call alone: {await call_alone(bus) * 1e6:.1f} µs")
            await bus.close()
            for name, watched in (("watched", True), ("watched by nobody", False)):
                for pace_name in ("one by one", "in bursts"):
                    cost = await receiving(server.url, watched=watched, pace_name=pace_name)
                    print(f"receive, {name}, {pace_name}: {cost * 1e6:.1f} µs a hint")
            await latency(server.url)


async def one_by_one(publish: Callable[[int], None]) -> None:
    """Each in a turn of its own, at an even pace."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(HINTS):
        publish(number)
        await asyncio.sleep(max(0, begun + number / SINGLES_PER_SECOND - loop.time()))


async def in_bursts(publish: Callable[[int], None]) -> None:
    """Many in one turn, as after a group of syncs was committed together."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(HINTS):
        publish(number)
        if number % BURST == 0:
            await asyncio.sleep(max(0, begun + number / (4 * SINGLES_PER_SECOND) - loop.time()))


async def seconds_of(bus: Bus, pace: Callable[[Callable[[int], None]], Awaitable[None]]) -> float:
    """Processor time of this process, sending and its own echo included."""
    topics = [a_topic(number) for number in range(TOPICS)]
    before = time.process_time()
    await pace(lambda number: bus.publish(topics[number % TOPICS], HINT))
    await asyncio.sleep(0.3)
    return time.process_time() - before


async def call_alone(bus: RedisBus) -> float:
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        for _ in range(10):
            bus.publish(a_topic(), HINT)
        times.append((time.perf_counter() - begun) / 10)
        await asyncio.sleep(0.001)
    return statistics.median(times)


async def receiving(url: str, *, watched: bool, pace_name: str) -> float:
    bus = RedisBus.open(url, secret=SECRET)
    await bus.start()
    ears = [Ear() for _ in range(TOPICS)]
    if watched:
        for number, ear in enumerate(ears):
            await bus.watch(a_topic(number), ear)
    publisher = multiprocessing.get_context("spawn").Process(target=publishing, args=(url, pace_name))
    before = time.process_time()
    started = time.monotonic()
    publisher.start()
    await asyncio.to_thread(publisher.join)
    await asyncio.sleep(0.3)
    used, lasted = time.process_time() - before, time.monotonic() - started
    idle_before = time.process_time()
    await asyncio.sleep(2)
    idle = (time.process_time() - idle_before) / 2 * lasted
    if watched:
        assert sum(len(ear.heard) for ear in ears) == HINTS
    await bus.close()
    return (used - idle) / HINTS


def publishing(url: str, pace_name: str) -> None:
    async def publish_all() -> None:
        bus = RedisBus.open(url, secret=SECRET)
        await bus.start()
        topics = [a_topic(number) for number in range(TOPICS)]
        pace = one_by_one if pace_name == "one by one" else in_bursts
        await pace(lambda number: bus.publish(topics[number % TOPICS], HINT))
        await bus.close()

    uvloop.run(publish_all())


async def latency(url: str) -> None:
    here, there = RedisBus.open(url, secret=SECRET), RedisBus.open(url, secret=SECRET)
    await here.start()
    await there.start()
    arrived = asyncio.Event()
    await there.watch(a_topic(), lambda _hint: arrived.set())
    times = []
    for _ in range(2_000):
        arrived.clear()
        begun = time.perf_counter()
        here.publish(a_topic(), HINT)
        await arrived.wait()
        times.append(time.perf_counter() - begun)
        await asyncio.sleep(0.001)
    times.sort()
    print(f"from node to node: p50 {times[1_000] * 1e3:.2f} ms, p99 {times[1_980] * 1e3:.2f} ms")
    await here.close()
    await there.close()


if __name__ == "__main__":
    uvloop.run(main())

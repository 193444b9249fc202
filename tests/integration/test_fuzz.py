"""Thousands of random requests and frames to a real server: none is a fault of the server's, none shows its insides."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from syncline.web.close_codes import CloseCode
from tests.support.fuzz import LEAKS, a_body, a_frame, headers
from tests.support.raw_socket import CLOSE, TEXT, Outcome, RawSocket, frame
from tests.support.server import PATIENCE_SECONDS, RunningServer, running_server

AT_ONCE = 8
SETTINGS = {"SYNCLINE_LOG_LEVEL": "debug", "SYNCLINE_MAX_MESSAGES_PER_SECOND": "100000"}
NEVER = {"INTERNAL", "UNAVAILABLE", "OVERLOADED"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data", settings=SETTINGS) as server:
        yield server
        assert server.stop() == 0
        logged = [line for line in server.output if "Traceback" in line or '"level": "error"' in line]
        assert logged == []


def assert_tells_nothing(text: str, sent: bytes) -> None:
    """What stands in an answer is not how the server is made, unless the request had it."""
    for found in LEAKS.finditer(text):
        assert found[0].encode() in sent, text[:2_000]


# --- HTTP -------------------------------------------------------------------------------------------------------------


class Keeping:
    """An HTTP connection that is kept as long as the server keeps it."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, fields: dict[str, str]) -> tuple[int, str]:
        """Status and body of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._server.port)
        reader, writer = self._streams
        given = {"Host": "localhost", **fields, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(b"POST /graphql HTTP/1.1\r\n" + head.encode("latin-1") + b"\r\n" + body)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            size = next(int(line[15:]) for line in answer.splitlines() if line.startswith("content-length:"))
            content = (await reader.readexactly(size)).decode()
        if "connection: close" in answer:
            self.close()
        return int(answer.split(" ", 2)[1]), content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def fuzz_bodies(server: RunningServer, seed: int, count: int) -> Counter[int]:
    """Send so many random bodies; how often there was which status."""
    random = Random(seed)  # noqa: S311 # no secret
    token, statuses = server.token("phone"), Counter[int]()
    connection = Keeping(server)
    for _ in range(count):
        body, fields = a_body(random), headers(random)
        if random.random() < 0.8:
            fields["authorization"] = f"Bearer {token}"
        status, content = await connection.post(body, fields)
        statuses[status] += 1
        assert status in (200, 400, 401, 406, 413, 415), (status, content[:500], body[:2_000])
        codes = {error["extensions"]["code"] for error in json.loads(content).get("errors", [])}
        assert not codes & NEVER, (codes, body[:2_000])
        assert_tells_nothing(content, body)
    connection.close()
    return statuses


async def in_parallel_bodies(server: RunningServer, seed: int, total: int) -> None:
    shares = await asyncio.gather(*(fuzz_bodies(server, seed + n, total // AT_ONCE) for n in range(AT_ONCE)))
    statuses = sum(shares, Counter[int]())
    assert statuses.total() == total
    # The fuzzer is of no use if nearly all of it is refused at the door.
    assert statuses[200] > total / 5
    assert statuses[400] > total / 10


# --- WebSocket --------------------------------------------------------------------------------------------------------


LAST = b'{"type":"ping","payload":{"last":true}}'


async def until_all_is_handled(socket: RawSocket) -> Outcome:
    """All that the server says until it closes the socket, or until it has read the last message: then we close it."""
    said: list[dict[str, Any]] = []
    while True:
        outcome = await socket.outcome(until_message=True)
        said += outcome.messages
        if not outcome.messages:
            outcome.messages = said
            return outcome
        if said[-1].get("payload") == {"last": True}:
            await socket.send(frame(CLOSE, (1000).to_bytes(2, "big")))


async def fuzz_frames(server: RunningServer, seed: int, count: int) -> tuple[int, Counter[int]]:
    """Send so many random frames, on sockets that last as long as they are let; the answers, and the close codes."""
    random, token = Random(seed), server.token("phone")  # noqa: S311 # no secret
    codes, messages, sent = Counter[int](), 0, 0
    while sent < count:
        async with RawSocket(server, init=False) as socket:
            data = b""
            if random.random() < 0.9:
                init = json.dumps({"type": "connection_init", "payload": {"authorization": token}})
                data += frame(TEXT, init.encode())
            frames = random.randint(1, 12)
            data += b"".join(a_frame(random) for _ in range(frames))
            sent += frames
            await socket.send(data + frame(TEXT, LAST))
            outcome = await until_all_is_handled(socket)
        assert outcome.code is not None, data
        assert outcome.code in set(CloseCode), (outcome, data)
        assert outcome.code not in (1006, 1011, CloseCode.TRY_AGAIN_LATER), (outcome, data)
        codes[outcome.code] += 1
        messages += len(outcome.messages)
        for message in outcome.messages:
            text = json.dumps(message)
            assert not any(f'"code": "{code}"' in text for code in NEVER), (text, data)
            assert_tells_nothing(text, data)
        assert_tells_nothing(outcome.reason, data)
    return messages, codes


async def in_parallel_frames(server: RunningServer, seed: int, total: int) -> None:
    shares = await asyncio.gather(*(fuzz_frames(server, seed + n, total // AT_ONCE) for n in range(AT_ONCE)))
    codes = sum((codes for _, codes in shares), Counter[int]())
    assert sum(messages for messages, _ in shares) > total / 10, codes
    # What is wrong in different ways is found out in different ways.
    assert {1000, 1002, 4400, 4429} <= set(codes)


async def test_five_thousand_random_bodies_are_no_fault_of_the_server(server: RunningServer) -> None:
    await in_parallel_bodies(server, seed=1, total=5_000)


async def test_five_thousand_random_frames_are_no_fault_of_the_server(server: RunningServer) -> None:
    await in_parallel_frames(server, seed=1, total=5_000)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_a_hundred_thousand_random_bodies_are_no_fault_of_the_server(server: RunningServer) -> None:
    await in_parallel_bodies(server, seed=1_000, total=100_000)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_a_hundred_thousand_random_frames_are_no_fault_of_the_server(server: RunningServer) -> None:
    await in_parallel_frames(server, seed=1_000, total=100_000)

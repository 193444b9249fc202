"""Bad input over WebSocket: each case ends in a close with a code, or in an error message, and in nothing else."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from syncline.web.limits import WebLimits
from tests.support.raw_socket import BINARY, CLOSE, PING, TEXT, RawSocket, frame, handshake, text
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, WebServer, web_server
from tests.support.ws_client import WsClient

HUGE_INTEGER = "9" * 5_000
DEEP = '{"a":' * 20_000 + "1" + "}" * 20_000
VALUES = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "negative": "-1",
    "float": "1.5",
    "huge integer": HUGE_INTEGER,
    "infinite": "1e999",
    "empty text": '""',
    "text": '"x"',
    "long text": '"' + "x" * 100_000 + '"',
    "lone surrogate": '"\\ud800"',
    "control character": '"a\u0001b"',
    "empty list": "[]",
    "list": '[{"type":"ping"}]',
    "deep list": "[" * 20_000 + "]" * 20_000,
    "empty object": "{}",
    "object": '{"a":1}',
    "object with huge integer": '{"a":' + HUGE_INTEGER + "}",
    "object with lone surrogate": '{"a":"\\udfff"}',
    "deep object": DEEP,
}
OBJECTS = {"null", "empty object", "object"}


def substituted(template: str, allowed: set[str]) -> dict[str, str]:
    return {name: template.replace("VALUE", value) for name, value in VALUES.items() if name not in allowed}


BAD_MESSAGES = {
    f"{field}: {name}": message
    for field, cases in {
        "whole": substituted("VALUE", set()),
        "type": substituted('{"id":"1","type":VALUE,"payload":{"query":"{__typename}"}}', set()),
        "id": substituted('{"id":VALUE,"type":"subscribe","payload":{"query":"{__typename}"}}', {"text"}),
        "complete id": substituted('{"id":VALUE,"type":"complete"}', {"text"}),
        "payload": substituted('{"id":"1","type":"subscribe","payload":VALUE}', set()),
        "query": substituted(
            '{"id":"1","type":"subscribe","payload":{"query":VALUE}}', {"empty text", "text", "long text"}
        ),
        "variables": substituted(
            '{"id":"1","type":"subscribe","payload":{"query":"{__typename}","variables":VALUE}}', OBJECTS
        ),
        "operationName": substituted(
            '{"id":"1","type":"subscribe","payload":{"query":"{__typename}","operationName":VALUE}}',
            {"null", "empty text", "text", "long text"},
        ),
        "extensions": substituted(
            '{"id":"1","type":"subscribe","payload":{"query":"{__typename}","extensions":VALUE}}', OBJECTS
        ),
        "init payload": substituted('{"type":"connection_init","payload":VALUE}', OBJECTS),
        "ping payload": substituted('{"type":"ping","payload":VALUE}', {*OBJECTS, "object with huge integer"}),
        "pong payload": substituted('{"type":"pong","payload":VALUE}', {*OBJECTS, "object with huge integer"}),
    }.items()
    for name, message in cases.items()
}
SUBSCRIBE = '{"id":"1","type":"subscribe","payload":{"query":"{__typename}","variables":{"a":[1,"b"]}}}'
BAD_MESSAGES |= {f"cut after {at}": SUBSCRIBE[:at] for at in range(len(SUBSCRIBE))}
BAD_MESSAGES |= {
    f"server's {kind}": json.dumps({"id": "1", "type": kind, "payload": payload})
    for kind, payload in {"next": {"data": {}}, "error": [{"message": "m"}], "connection_ack": {}}.items()
}
BAD_MESSAGES |= {
    "byte order mark": "\ufeff" + SUBSCRIBE,
    "two messages": SUBSCRIBE + SUBSCRIBE,
    "trailing comma": '{"type":"ping",}',
    "comment": '{"type":"ping"}//',
    "single quotes": "{'type':'ping'}",
    "not a number": '{"type":"ping","payload":{"a":NaN}}',
    "blanks": " \n\t ",
    "zeros": "\0" * 100,
    "old protocol": '{"id":"1","type":"start","payload":{"query":"{__typename}"}}',
    "upper case type": '{"type":"PING"}',
}

INVALID_UTF8 = [
    b"\xff",
    b"\xfe\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xc3",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b'{"type":"ping","payload":{"a":"\xff"}}',
    b'{"type":"\xed\xa0\x80"}',
    b'{"id":"\xc3\x28","type":"complete"}',
]

PING_TEXT = b'{"type":"ping"}'
BAD_FRAMES = {f"invalid UTF-8 {data!r}": (frame(TEXT, data), 4400) for data in INVALID_UTF8}
BAD_FRAMES |= {
    f"invalid UTF-8 in fragments {at}": (
        frame(TEXT, data[:at], fin=False) + frame(0, b"", fin=False) + frame(0, data[at:]),
        4400,
    )
    for data in [b'{"type":"\xe2\x28\xa1"}']
    for at in range(1, len(data))
}
BAD_FRAMES |= {f"binary {data!r}": (frame(BINARY, data), 4400) for data in (b"", PING_TEXT, b"\xff", b"\0" * 70_000)}
BAD_FRAMES |= {f"reserved bits {bits}": (frame(TEXT, PING_TEXT, reserved=bits), 1002) for bits in range(1, 8)}
BAD_FRAMES |= {f"opcode {opcode}": (frame(opcode, b""), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)}
BAD_FRAMES |= {
    "not masked": (frame(TEXT, PING_TEXT, masked=False), 1002),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "a text within a text": (frame(TEXT, b"{", fin=False) + frame(TEXT, PING_TEXT), 1002),
    "a ping in fragments": (frame(PING, b"", fin=False), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a long close": (frame(CLOSE, struct.pack("!H", 1000) + b"x" * 130), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close within a text": (frame(TEXT, b"{", fin=False) + frame(CLOSE, struct.pack("!H", 1000)), 1002),
    "a close with a reason that is not UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    "a length of 2**63 - 1": (frame(TEXT, b"", length=2**63 - 1), 1009),
    "a length of 2**64 - 1": (frame(TEXT, b"", length=2**64 - 1), 1009),
    "a length over the limit": (frame(TEXT, b"x" * 2_000_000), 1009),
    "fragments over the limit": (frame(TEXT, b"x" * 600_000, fin=False) + frame(0, b"x" * 600_000), 1009),
    "an endless text of nothing": (
        frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 5_000 + frame(0, b"x"),
        4400,
    ),
    "a text in single bytes": (
        frame(TEXT, b"[", fin=False) + b"".join(frame(0, b" ", fin=False) for _ in range(5_000)) + frame(0, b"]"),
        4400,
    ),
}
BAD_FRAMES |= {
    f"a close with the code {code}": (frame(CLOSE, struct.pack("!H", code)), 1002)
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
}
GOOD_CLOSES = (1000, 1001, 1003, 1011, 3000, 4000, 4400, 4999)

GRAPHQL_ERRORS = {
    "empty": "",
    "blank": "   ",
    "brace": "{",
    "unknown field": "{ nope }",
    "unknown type": "query ($a: Nope) { __typename }",
    "two anonymous": "{ __typename } { __typename }",
    "fragment cycle": "{ ...A } fragment A on Query { ...A }",
    "deep": "{a" * 2_000 + "}" * 2_000,
    "many aliases": "{" + " ".join(f"a{n}: __typename" for n in range(2_000)) + "}",
    "many directives": "{ __typename " + "@include(if: true)" * 2_000 + "}",
    "doubling fragments": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(30))
    + " fragment F30 on Query { __typename }",
    "open text": '{ a(b: "',
    "huge integer": "{ datasets(first: " + HUGE_INTEGER + ") { edges { cursor } } }",
    "control characters": "{ \u0001\u0002 }",
    "deep literal": "{ a(b: " + "[" * 3_000 + "]" * 3_000 + ") }",
    "many tokens": "{" + " a" * 20_000 + "}",
    "subscription with two fields": 'subscription { a: datasetChanges(dataset: {name: "n"}) { __typename } '
    'b: datasetChanges(dataset: {name: "n"}) { __typename } }',
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    options = WebOptions(limits=WebLimits(message_bytes=1_000_000))
    with web_server(tmp_path_factory.mktemp("frames"), options) as server:
        yield server


@pytest.fixture(autouse=True)
async def stays_healthy(server: WebServer) -> Any:
    yield
    assert server.errors == []
    async with WsClient(server) as bystander:
        assert await bystander.execute("{ __typename }") == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("name", BAD_MESSAGES)
async def test_a_bad_message_closes_4400(server: WebServer, name: str) -> None:
    async with RawSocket(server, init=not name.startswith("init payload")) as socket:
        await socket.send(frame(TEXT, BAD_MESSAGES[name].encode("utf-8", "surrogatepass")))
        outcome = await socket.outcome()
    assert (outcome.messages, outcome.code) == ([], 4400)
    assert 0 < len(outcome.reason.encode()) <= 123


@pytest.mark.parametrize("init", [True, False], ids=["acknowledged", "new"])
@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_a_bad_frame_closes_with_its_code(server: WebServer, name: str, init: bool) -> None:
    data, code = BAD_FRAMES[name]
    async with RawSocket(server, init=init) as socket:
        await socket.send(data)
        outcome = await socket.outcome()
    assert (outcome.messages, outcome.code) == ([], code)


@pytest.mark.parametrize("code", GOOD_CLOSES)
async def test_a_close_is_answered_with_its_own_code(server: WebServer, code: int) -> None:
    async with RawSocket(server) as socket:
        await socket.send(frame(CLOSE, struct.pack("!H", code) + b"bye"))
        assert (await socket.outcome()).code == code


@pytest.mark.parametrize("name", GRAPHQL_ERRORS)
async def test_a_bad_document_gets_an_error_and_the_socket_stays_open(server: WebServer, name: str) -> None:
    async with RawSocket(server) as socket:
        await socket.send(text({"id": "1", "type": "subscribe", "payload": {"query": GRAPHQL_ERRORS[name]}}))
        outcome = await socket.outcome(until_message=True)
        assert [(message["id"], message["type"]) for message in outcome.messages] == [("1", "error")]
        await socket.send(text({"type": "ping"}))
        assert (await socket.outcome(until_message=True)).messages == [{"type": "pong"}]


async def test_many_bad_messages_at_once_are_one_close(server: WebServer) -> None:
    async with RawSocket(server) as socket:
        await socket.send(text([]) * 2_000 + frame(TEXT, b"\xff") * 100)
        assert (await socket.outcome()).code == 4400


async def test_a_socket_cut_in_the_middle_of_a_frame_leaves_nothing(server: WebServer) -> None:
    async with RawSocket(server) as socket:
        await socket.send(frame(TEXT, b'{"type', length=1_000))
        socket.writer.transport.abort()


async def test_a_close_reaches_a_client_that_goes_on_sending(server: WebServer) -> None:
    async with RawSocket(server) as socket:
        await socket.send(frame(TEXT, b"x" * 3_000_000))
        for _ in range(50):
            socket.writer.write(b"\0" * 10_000)
        assert (await socket.outcome()).code == 1009


BAD_HANDSHAKES: dict[str, dict[str, str | None]] = {
    "no key": {"Sec_WebSocket_Key": None},
    "a short key": {"Sec_WebSocket_Key": "AAAA"},
    "a key that is no base64": {"Sec_WebSocket_Key": "\xff\xfe!!"},
    "no version": {"Sec_WebSocket_Version": None},
    "an old version": {"Sec_WebSocket_Version": "8"},
    "a version that is no number": {"Sec_WebSocket_Version": "x" * 1_000},
    "a bad subprotocol header": {"Sec_WebSocket_Protocol": "\x01, ;;"},
    "an empty subprotocol header": {"Sec_WebSocket_Protocol": ","},
    "a body": {"Content_Length": "5"},
    "a negative body": {"Content_Length": "-5"},
    "a chunked body": {"Transfer_Encoding": "chunked"},
    "a long header": {"X_Long": "x" * 20_000},
    "another upgrade": {"Upgrade": "websocket, h2c"},
    "a bad header of another kind": {"X_Bad": "a\x00b"},
}


@pytest.mark.parametrize("name", BAD_HANDSHAKES)
async def test_a_bad_handshake_is_answered_with_a_client_error(server: WebServer, name: str) -> None:
    assert await _status(server, handshake(server.port, **BAD_HANDSHAKES[name])) in range(400, 500)


async def test_many_headers_are_answered_with_a_client_error(server: WebServer) -> None:
    assert await _status(server, handshake(server.port, **{f"X_{n}": "x" for n in range(200)})) in range(400, 500)


@pytest.mark.parametrize(
    "line",
    [
        "POST /graphql HTTP/1.1",
        "GET /gr\xe4phql HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /gr%ffaphql HTTP/1.1",
        "GET /" + "x" * 20_000 + " HTTP/1.1",
    ],
)
async def test_a_bad_request_line_is_answered_with_a_client_error(server: WebServer, line: str) -> None:
    request = handshake(server.port).replace(b"GET /graphql HTTP/1.1", line.encode("latin-1"))
    assert await _status(server, request) in range(400, 500)


async def test_frames_before_the_handshake_is_answered_do_no_harm(server: WebServer) -> None:
    for early in (text({"type": "ping"}), frame(TEXT, b"\xff"), frame(3, b""), b"\0" * 1_000, frame(CLOSE, b"")):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake(server.port))
        writer.write(early)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reader.read(4)
        writer.close()


async def _status(server: WebServer, request: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await reader.readline()
        return int(line.split(b" ")[1])
    finally:
        writer.close()

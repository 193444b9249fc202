"""Bad input over HTTP: each case is a client error with a GraphQL error in its body, and never a 5xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.integration.test_ws_bad_frames import GRAPHQL_ERRORS, INVALID_UTF8, OBJECTS, VALUES, substituted
from tests.support.web_server import PATIENCE_SECONDS, WebServer, a_token, web_server

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
QUERY = '{"query":"{__typename}","variables":{"a":[1,"b"]}}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("bad")) as server:
        yield server


@pytest.fixture(autouse=True)
def logs_no_error(server: WebServer) -> Iterator[None]:
    yield
    assert server.errors == []


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {a_token()}"}
    async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE_SECONDS, headers=headers) as client:
        yield client


def assert_refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"].partition(";")[0] in (JSON, GRAPHQL_RESPONSE)
    body = answer.json()
    assert body["errors"]
    for error in body["errors"]:
        assert error["message"]
        assert error["extensions"]["code"] not in ("INTERNAL", None)
        assert error["extensions"]["retryable"] is False


BAD_BODIES: dict[str, bytes] = {
    f"{field}: {name}": body.encode("utf-8", "surrogatepass")
    for field, cases in {
        "whole": substituted("VALUE", set()),
        "query": substituted('{"query":VALUE}', {"empty text", "text", "long text"}),
        "variables": substituted('{"query":"{__typename}","variables":VALUE}', OBJECTS),
        "operationName": substituted(
            '{"query":"{__typename}","operationName":VALUE}', {"null", "empty text", "text", "long text"}
        ),
        "extensions": substituted('{"query":"{__typename}","extensions":VALUE}', OBJECTS),
    }.items()
    for name, body in cases.items()
}
BAD_BODIES |= {f"cut after {at}": QUERY[:at].encode() for at in range(len(QUERY))}
BAD_BODIES |= {f"invalid UTF-8 {data!r}": data for data in INVALID_UTF8}
BAD_BODIES |= {
    f"invalid UTF-8 in a query {data!r}": b'{"query":"{__typename} #' + data + b'"}' for data in INVALID_UTF8[:11]
}
BAD_BODIES |= {
    "byte order mark": b"\xef\xbb\xbf" + QUERY.encode(),
    "UTF-16": QUERY.encode("utf-16"),
    "two bodies": (QUERY + QUERY).encode(),
    "trailing comma": b'{"query":"{__typename}",}',
    "not a number": b'{"query":"{__typename}","variables":{"a":NaN}}',
    "a form": b"query=%7B__typename%7D",
    "a document": b"{ __typename }",
    "zeros": b"\0" * 1_000,
    "a batch": b"[" + QUERY.encode() + b"]",
    "blanks before a batch": b" \n[" + QUERY.encode() + b"]",
}


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_400(client: httpx.AsyncClient, name: str, accept: str) -> None:
    answer = await client.post("/graphql", content=BAD_BODIES[name], headers={"content-type": JSON, "accept": accept})
    assert_refused(answer, 400)
    assert answer.headers["content-type"].startswith(accept)


@pytest.mark.parametrize("name", GRAPHQL_ERRORS)
async def test_a_bad_document_is_400_or_for_old_clients_200(client: httpx.AsyncClient, name: str) -> None:
    body = {"query": GRAPHQL_ERRORS[name]}
    # Subscriptions are refused for the transport, whatever is accepted.
    old = (400,) if name.startswith("subscription") else (200,)
    assert_refused(await client.post("/graphql", json=body, headers={"accept": GRAPHQL_RESPONSE}), 400)
    assert_refused(await client.post("/graphql", json=body, headers={"accept": JSON}), 200, *old)


SYNC = "mutation ($input: SyncInput!) { sync(input: $input) { __typename } }"
GOOD_INPUT: dict[str, Any] = {"dataset": {"name": "n"}, "mutationId": "1", "changes": []}
BAD_INPUTS: dict[str, Any] = {
    "null": None,
    "a text": "x",
    "a list": [[]],
    "no dataset": {"mutationId": "1"},
    "two names": GOOD_INPUT | {"dataset": {"name": "n", "id": "0" * 32}},
    "no name": GOOD_INPUT | {"dataset": {}},
    "null name": GOOD_INPUT | {"dataset": {"name": None}},
    "empty name": GOOD_INPUT | {"dataset": {"name": ""}},
    "long name": GOOD_INPUT | {"dataset": {"name": "n" * 129}},
    "strange name": GOOD_INPUT | {"dataset": {"name": "a/b"}},
    "bad id": GOOD_INPUT | {"dataset": {"id": "x"}},
    "unknown id": GOOD_INPUT | {"dataset": {"id": "0" * 32}},
    "no mutation id": {"dataset": {"name": "n"}, "changes": []},
    "empty mutation id": GOOD_INPUT | {"mutationId": ""},
    "long mutation id": GOOD_INPUT | {"mutationId": "m" * 1_000},
    "mutation id of zeros": GOOD_INPUT | {"mutationId": "\0"},
    "bad checkpoint": GOOD_INPUT | {"since": "x" * 65},
    "checkpoint of emptiness": GOOD_INPUT | {"since": ""},
    "checkpoint of another type": GOOD_INPUT | {"since": {}},
    "bad policy": GOOD_INPUT | {"onConflict": "NOPE"},
    "bad atomic": GOOD_INPUT | {"atomic": "yes"},
    "changes of another type": GOOD_INPUT | {"changes": "x"},
    "an unknown member": GOOD_INPUT | {"nope": 1},
} | {
    f"change {name}": GOOD_INPUT | {"changes": [change]}
    for name, change in {
        "null": None,
        "empty": {},
        "two": {"put": {"key": "a", "value": 1}, "remove": {"key": "a"}},
        "without key": {"put": {"value": 1}},
        "empty key": {"put": {"key": "", "value": 1}},
        "key of zeros": {"put": {"key": "\0", "value": 1}},
        "long key": {"put": {"key": "é" * 600, "value": 1}},
        "value of zeros": {"put": {"key": "a", "value": "\0"}},
        "deep value": {"put": {"key": "a", "value": json.loads("[" * 100 + "]" * 100)}},
        "huge value": {"put": {"key": "a", "value": 10**400}},
        "bad base": {"put": {"key": "a", "value": 1, "base": {"version": -1}}},
        "two bases": {"put": {"key": "a", "value": 1, "base": {"version": 1, "any": True}}},
        "text increment": {"increment": {"key": "a", "by": "x"}},
        "infinite increment": {"increment": {"key": "a", "by": 10**400}},
        "null increment": {"increment": {"key": "a", "by": None}},
        "null merge": {"merge": {"key": "a", "patch": None}},
        "max of a list": {"max": {"key": "a", "value": []}},
        "set of nothing": {"addToSet": {"key": "a", "members": None}},
        "bad time": {"put": {"key": "a", "value": 1, "deviceTime": "yesterday"}},
        "time without zone": {"put": {"key": "a", "value": 1, "deviceTime": "2026-01-01T00:00:00"}},
        "time far off": {"put": {"key": "a", "value": 1, "deviceTime": "99999-01-01T00:00:00Z"}},
    }.items()
}


@pytest.mark.parametrize("name", BAD_INPUTS)
async def test_a_bad_sync_is_an_error_with_a_code(client: httpx.AsyncClient, name: str) -> None:
    # json.dumps, because msgspec and httpx would refuse to write 10**400.
    body = json.dumps({"query": SYNC, "variables": {"input": BAD_INPUTS[name]}}).encode()
    answer = await client.post("/graphql", content=body, headers={"content-type": JSON, "accept": GRAPHQL_RESPONSE})
    assert_refused(answer, 200, 400)


BAD_QUERY_STRINGS = {
    "nothing": "",
    "no query": "a=b",
    "two queries": "query=%7B__typename%7D&query=%7B__typename%7D",
    "invalid UTF-8": "query=%ff",
    "lone surrogate": "query=%ed%a0%80",
    "many parameters": "&".join(f"a{n}=b" for n in range(1_000)),
    "a document cut": "query=%7B",
    "a mutation": f"query={quote('mutation { __typename }')}",
    "a subscription": f"query={quote(GRAPHQL_ERRORS['subscription with two fields'])}",
} | {
    f"{parameter} {name}": f"query=%7B__typename%7D&{parameter}={quote(value)}"
    for parameter in ("variables", "extensions")
    for name, value in VALUES.items()
    if name not in OBJECTS and len(value) < 10_000 and name != "control character"
}


@pytest.mark.parametrize("name", BAD_QUERY_STRINGS)
async def test_a_bad_query_string_is_a_client_error(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/graphql?{BAD_QUERY_STRINGS[name]}", headers={"accept": GRAPHQL_RESPONSE})
    assert_refused(answer, 400, 405)


BAD_HEADERS: dict[str, tuple[dict[str, str], int]] = (
    {
        f"content-type {value!r}": ({"content-type": value}, 415)
        for value in (
            "",
            "text/plain",
            "application/graphql",
            "application/json; charset=latin1",
            "a",
            ";",
            "multipart/form-data",
        )
    }
    | {
        f"accept {value!r}": ({"accept": value, "content-type": JSON}, 406)
        for value in ("text/html", "image/*", "application/json;q=0", "x", ";q=1", "text/event-stream")
    }
    | {
        f"content-encoding {value!r}": ({"content-type": JSON, "content-encoding": value}, 415)
        for value in ("gzip", "br", "deflate, gzip", "x")
    }
    | {
        f"authorization {value!r}": ({"content-type": JSON, "authorization": value}, 401)
        for value in ("", "Bearer", "Bearer a b", "Basic YTpi", "Bearer " + "x" * 9_000, "Bearer ..", "Bearer a,b")
    }
)


@pytest.mark.parametrize("name", BAD_HEADERS)
async def test_a_bad_header_is_a_client_error(client: httpx.AsyncClient, name: str) -> None:
    headers, status = BAD_HEADERS[name]
    assert_refused(await client.post("/graphql", content=QUERY.encode(), headers=headers), status)


POST = b"POST /graphql HTTP/1.1\r\nHost: x\r\n"
POST_JSON = POST + b"Content-Type: application/json\r\n"
RAW = {
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no version": b"GET /graphql\r\n\r\n",
    "a strange version": b"GET /graphql HTTP/9.9\r\n\r\n",
    "an empty method": b" /graphql HTTP/1.1\r\n\r\n",
    "an absolute URL of nonsense": b"GET http:///// HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without colon": b"GET /graphql HTTP/1.1\r\nHost\r\n\r\n",
    "a header with a zero": b"GET /graphql HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a huge length": POST_JSON + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a large length": POST_JSON + b"Content-Length: 999999999999\r\n\r\n",
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunks": POST_JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an unknown transfer coding": POST + b"Transfer-Encoding: nope\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
async def test_what_is_no_http_is_a_client_error(server: WebServer, name: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(RAW[name])
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await reader.readline()
    writer.close()
    assert int(line.split(b" ")[1]) in range(400, 500), line

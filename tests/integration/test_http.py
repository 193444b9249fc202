"""GraphQL over HTTP, beside what the audits look at; health and pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from syncline.ports import CompleteStore
from syncline.web.limits import WebLimits
from tests.support.gated_store import Gate
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, WebServer, a_token, now, web_server

GRAPHQL_RESPONSE = "application/graphql-response+json"
VIEWER = "{ viewer { identityId } }"
PUT = (
    'mutation { sync(input: {dataset: {name: "n"}, mutationId: "1", '
    'changes: [{put: {key: "a", value: 1}}]}) { __typename } }'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    options = WebOptions(limits=WebLimits(body_bytes=100_000, body_timeout=timedelta(seconds=0.5)))
    with web_server(tmp_path_factory.mktemp("http"), options) as server:
        yield server
        assert server.errors == []


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE_SECONDS) as client:
        yield client


def authorised(**headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {a_token()}", **headers}


# --- who is calling --------------------------------------------------------------------------------------------------


async def test_a_token_says_who_is_calling(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": VIEWER}, headers=authorised())
    assert answer.json() == {"data": {"viewer": {"identityId": "alice"}}}


async def test_the_schema_can_be_read_without_a_token(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{ __schema { queryType { name } } }"})
    assert (answer.status_code, answer.json()["data"]["__schema"]["queryType"]["name"]) == (200, "Query")


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_RESPONSE])
async def test_what_needs_a_token_is_401_without(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.post("/graphql", json={"query": VIEWER}, headers={"accept": accept})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_data_beside_the_error_is_a_success(client: httpx.AsyncClient) -> None:
    query = '{ __typename dataset(dataset: {name: "n"}) { id } }'
    answer = await client.post("/graphql", json={"query": query})
    assert answer.status_code == 200
    assert answer.json()["data"] == {"__typename": "Query", "dataset": None}
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer junk",
        "Basic YTpi",
        "Bearer",
        f"Bearer {a_token(lifetime=timedelta(minutes=1), at=now() - timedelta(hours=1))}",
    ],
)
async def test_a_bad_token_is_401_whatever_is_asked(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert header.split(" ")[-1] not in answer.text or header == "Bearer"


# --- the request -----------------------------------------------------------------------------------------------------


async def test_an_answer_carries_the_request_id_it_was_given(client: httpx.AsyncClient) -> None:
    given = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"x-request-id": "abc-1"})
    unsafe = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"x-request-id": "a b\t<c>"})
    assert given.headers["x-request-id"] == "abc-1"
    assert len(unsafe.headers["x-request-id"]) == 16


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"])
async def test_other_methods_are_405(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/graphql")
    assert answer.status_code in ({405} if method != "NONSENSE" else {400, 405})
    if answer.status_code == 405:
        assert answer.headers["allow"] == "GET, POST"


async def test_a_mutation_by_get_is_405(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": PUT}, headers=authorised())
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_query_by_get_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": VIEWER, "operationName": ""}, headers=authorised())
    assert answer.json() == {"data": {"viewer": {"identityId": "alice"}}}


async def test_a_subscription_says_where_it_is_served(client: httpx.AsyncClient) -> None:
    query = 'subscription { datasetChanges(dataset: {name: "n"}) { __typename } }'
    answer = await client.post("/graphql", json={"query": query}, headers=authorised())
    assert answer.status_code == 400
    assert "WebSocket" in answer.json()["errors"][0]["message"]


async def test_a_batch_is_refused_clearly(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json=[{"query": "{ __typename }"}])
    assert answer.status_code == 400
    assert "batch" in answer.json()["errors"][0]["message"]


async def test_an_answer_that_no_one_accepts_is_406(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"accept": "text/html"})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (406, "BAD_REQUEST")


# --- limits ----------------------------------------------------------------------------------------------------------


def over_the_limit(answer: httpx.Response) -> tuple[int, dict[str, object]]:
    extensions = answer.json()["errors"][0]["extensions"]
    return answer.status_code, {name: extensions[name] for name in ("code", "limit", "maximum")}


LIMIT_EXCEEDED = {"code": "LIMIT_EXCEEDED", "limit": "bodyBytes", "maximum": 100_000}


async def test_an_announced_body_over_the_limit_is_413(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "#" * 200_000})
    assert over_the_limit(answer) == (413, LIMIT_EXCEEDED)


async def test_a_streamed_body_over_the_limit_is_413(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    headers = {"content-type": "application/json"}
    assert over_the_limit(await client.post("/graphql", content=chunks(), headers=headers)) == (413, LIMIT_EXCEEDED)


async def test_an_endless_query_string_is_400(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /graphql?query=" + b"%20" * 40_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_body_that_does_not_come_is_408(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408")


# --- mutations go on -------------------------------------------------------------------------------------------------


async def test_a_disconnect_does_not_stop_a_mutation(tmp_path: Path) -> None:
    gate = Gate()
    with web_server(tmp_path, WebOptions(wrap_store=gate)) as server:
        gate.close(server)
        body = json.dumps({"query": PUT}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {a_token()}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await gate.reached()
        writer.transport.abort()
        gate.open(server)
        version = '{ dataset(dataset: {name: "n"}) { version } }'
        async with httpx.AsyncClient(base_url=server.http_url) as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await client.post("/graphql", json={"query": version}, headers=authorised())
                if answer.json()["data"]["dataset"] is not None:
                    break
        assert server.errors == []


# --- health and pages ------------------------------------------------------------------------------------------------


async def test_the_server_lives_and_is_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"store": "ok", "draining": "ok"})


async def test_a_server_whose_store_is_gone_is_not_ready(tmp_path: Path) -> None:
    stores: list[CompleteStore] = []

    def remember(store: CompleteStore) -> CompleteStore:
        stores.append(store)
        return store

    with web_server(tmp_path, WebOptions(wrap_store=remember)) as server:
        server.call(stores[0].close)
        async with httpx.AsyncClient(base_url=server.http_url) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["checks"]["store"] != "ok"
            assert (await client.get("/livez")).status_code == 200


async def test_pages_are_off_unless_asked_for(client: httpx.AsyncClient) -> None:
    assert [(await client.get(path)).status_code for path in ("/graphiql", "/graphiql/config", "/assets/a.js")] == [
        404
    ] * 3
    assert "Demo" not in (await client.get("/")).text
    assert (await client.post("/demo/token", json={"device": "a"})).status_code == 404


@pytest.fixture
def static(tmp_path: Path) -> Path:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "graphiql.html").write_text("<title>GraphiQL</title>")
    (static / "index.html").write_text("<title>Demo</title>")
    (static / "assets" / "app-1a2b.js").write_text("1")
    return static


@pytest.fixture
async def dev(tmp_path: Path, static: Path) -> AsyncIterator[httpx.AsyncClient]:
    options = WebOptions(with_pages=True, dev=True, static=static)
    with web_server(tmp_path, options) as server:
        async with httpx.AsyncClient(base_url=server.http_url) as client:
            yield client
        assert server.errors == []


async def test_in_development_the_pages_come_with_a_token(dev: httpx.AsyncClient) -> None:
    assert "GraphiQL" in (await dev.get("/graphiql")).text
    assert "Demo" in (await dev.get("/")).text
    config = (await dev.get("/graphiql/config")).json()
    assert config["graphqlPath"] == "/graphql"
    for token in (config["token"], (await dev.post("/demo/token", json={"device": "tablet"})).json()["token"]):
        answer = await dev.post("/graphql", json={"query": VIEWER}, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200


async def test_in_development_one_can_be_whoever_one_likes(dev: httpx.AsyncClient) -> None:
    async def who(token: str) -> str:
        headers = {"authorization": f"Bearer {token}"}
        answer = await dev.post("/graphql", json={"query": "{ viewer { identityId } }"}, headers=headers)
        return str(answer.json()["data"]["viewer"]["identityId"])

    made = (await dev.post("/demo/token", json={"device": "tablet", "identity": "ben"})).json()["token"]
    assert await who(made) == "ben"
    assert await who((await dev.get("/graphiql/config", params={"identity": "ana"})).json()["token"]) == "ana"
    for bad in ("", "a\u0000", "x" * 1_000):
        refused = await dev.post("/demo/token", json={"device": "tablet", "identity": bad})
        assert (refused.status_code, "identity" in refused.text) == (400, True) if bad else (200, False)


async def test_the_demo_may_run_nothing_from_elsewhere(dev: httpx.AsyncClient) -> None:
    policy = (await dev.get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_assets_are_kept_for_good_and_pages_are_not(dev: httpx.AsyncClient) -> None:
    assert "immutable" in (await dev.get("/assets/app-1a2b.js")).headers["cache-control"]
    page = await dev.get("/graphiql")
    assert page.headers["cache-control"] == "no-cache"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["..%2f..%2fsecret", "%00", "x" * 5_000, "../graphiql.html", "nope.js", "%2e%2e/index.html"]
)
async def test_no_other_file_is_served(dev: httpx.AsyncClient, path: str) -> None:
    assert (await dev.get(f"/assets/{path}")).status_code in (400, 404)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"device": 1}', b'{"device": ""}', b"\xff", b"[" * 10_000, b'{"device": "a\\u0000"}']
)
async def test_a_device_without_a_name_gets_no_token(dev: httpx.AsyncClient, body: bytes) -> None:
    answer = await dev.post("/demo/token", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 413)


async def test_a_form_of_another_site_gets_no_token(dev: httpx.AsyncClient) -> None:
    assert (await dev.post("/demo/token", data={"device": "a"})).status_code == 415


async def test_in_development_only_loopback_names_are_answered(dev: httpx.AsyncClient) -> None:
    assert (await dev.get("/graphiql/config", headers={"host": "evil.example"})).status_code == 403
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    key = {"sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert (await dev.get("/graphql", headers={"host": "evil.example", **upgrade, **key})).status_code == 403


async def test_pages_that_are_not_built_say_how(tmp_path: Path) -> None:
    options = WebOptions(with_pages=True, static=tmp_path / "none")
    with web_server(tmp_path, options) as server:
        async with httpx.AsyncClient(base_url=server.http_url) as client:
            for path, status in (("/graphiql", 404), ("/", 200)):
                page = await client.get(path)
                assert (page.status_code, "make run" in page.text) == (status, True)
            assert (await client.get("/assets/a.js")).status_code == 404
            assert (await client.get("/graphiql/config")).json()["token"] is None
            assert (await client.post("/demo/token", json={"device": "a"})).status_code == 404
            assert "/graphql" in (await client.get("/")).text
        assert server.errors == []

"""What browsers and strangers get: origins, CORS, security headers, and no plain text on a public address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.support.command_line import refused, syncline
from tests.support.web_server import WebOptions, WebServer, a_token, web_server
from tests.support.ws_client import WsClient

APP = "https://app.example.org"
STRANGER = "https://evil.example"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "static" / "assets").mkdir(parents=True)
    for name in ("graphiql.html", "index.html", "assets/a.js"):
        (folder / "static" / name).write_text("x")
    options = WebOptions(origins=frozenset({APP}), with_pages=True, dev=True, static=folder / "static")
    with web_server(folder, options) as server:
        yield server
        assert server.errors == []


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/graphiql", "/graphiql/config", "/assets/a.js")),
        *(("GET", path) for path in ("/livez", "/readyz", "/metrics", "/nope", "/assets/nope")),
        *(("GET", path) for path in ("/graphql", "/graphql?query={__typename}", "/assets/%00")),
        *((method, "/graphql") for method in ("POST", "PUT", "TRACE", "OPTIONS", "DELETE", "HEAD")),
        ("POST", "/demo/token"),
    ],
)
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code < 500
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe-eval'" not in answer.headers["content-security-policy"].replace("wasm-unsafe-eval", "")
    assert "x-powered-by" not in answer.headers


async def test_only_what_is_the_same_for_all_may_be_cached(client: httpx.AsyncClient) -> None:
    for path in ("/graphql?query={__typename}", "/graphiql/config", "/livez", "/metrics", "/nope"):
        assert (await client.get(path)).headers["cache-control"] == "no-store"
    assert "immutable" in (await client.get("/assets/a.js")).headers["cache-control"]


async def test_a_refusal_for_the_host_has_the_headers_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"host": "rebound.example"})
    assert answer.status_code == 403
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


# --- CORS -------------------------------------------------------------------------------------------------------------


async def test_a_preflight_of_an_allowed_origin_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.options("/graphql", headers={"origin": APP, **PREFLIGHT})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_allowed_origin_may_read_answers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{__typename}"}, headers={"origin": APP})
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert answer.headers["access-control-allow-origin"] == APP
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]


async def test_another_origin_may_neither_send_json_nor_read_answers(client: httpx.AsyncClient) -> None:
    preflight = await client.options("/graphql", headers={"origin": STRANGER, **PREFLIGHT})
    assert preflight.status_code == 400
    answer = await client.get("/graphql?query={__typename}", headers={"origin": STRANGER})
    for each in (preflight, answer):
        assert "access-control-allow-origin" not in each.headers


async def test_by_default_no_other_origin_may(tmp_path: Path) -> None:
    with web_server(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.http_url) as client:
            for origin in (APP, STRANGER, "null"):
                answer = await client.options("/graphql", headers={"origin": origin, **PREFLIGHT})
                assert answer.status_code == 405
                assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_a_form_can_send_has_no_effect(client: httpx.AsyncClient, content_type: str | None) -> None:
    mutation = b'{"query":"mutation { createDataset(name: \\"x\\") { id } }"}'
    headers = {"authorization": f"Bearer {a_token()}"} | (
        {} if content_type is None else {"content-type": content_type}
    )
    for path in ("/graphql", "/demo/token"):
        assert (await client.post(path, content=mutation, headers=headers)).status_code == 415


# --- WebSockets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [STRANGER, "null", "https://127.0.0.1.evil.example", "http://127.0.0.1:1"])
async def test_a_socket_of_another_origin_is_refused(server: WebServer, origin: str) -> None:
    with pytest.raises(InvalidStatus) as raised:
        await WsClient(server, origin=Origin(origin)).__aenter__()
    response = raised.value.response
    assert response.status_code == 403
    assert b'"code":"ORIGIN_NOT_ALLOWED"' in response.body
    assert origin.encode() not in response.body
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_socket_of_the_own_an_allowed_or_no_origin_is_opened(server: WebServer) -> None:
    for origin in (None, server.http_url, APP):
        async with WsClient(server, origin=None if origin is None else Origin(origin)) as client:
            assert await client.execute("{ __typename }") == {"data": {"__typename": "Query"}}


# --- plain text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "flags"),
    [
        ("0.0.0.0", ()),  # noqa: S104 # to be refused
        ("::", ("--workers", "2", "--embedded-redis")),
        ("sync.example.org", ("--trusted-proxies", "10.0.0.1")),
    ],
)
def test_plain_text_on_a_public_address_is_refused_unless_it_is_meant(
    host: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    run = syncline("serve", "--host", host, *flags, cwd=tmp_path, SYNCLINE_TOKEN_SECRET="x" * 32)
    line = refused(run)
    assert line.startswith(f"syncline: host = {host}: this server speaks no TLS")
    assert line.endswith("--allow-plain-text")
    assert list(tmp_path.iterdir()) == []


def test_plain_text_on_a_public_address_is_served_if_it_is_meant(tmp_path: Path) -> None:
    # An address that this machine does not have: all that is left to refuse is the address itself.
    flags = ("--host", "192.0.2.1", "--allow-plain-text", "--port", "0")
    assert "cannot listen on 192.0.2.1" in refused(
        syncline("serve", *flags, cwd=tmp_path, SYNCLINE_TOKEN_SECRET="x" * 32)
    )

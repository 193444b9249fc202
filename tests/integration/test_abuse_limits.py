"""What one caller may do at most: each limit is an answer that names it, and is counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from syncline.web import message_pace
from syncline.web.limits import WebLimits
from tests.integration.test_ws import COUNT, PUT, WATCH
from tests.support.figures import scrape
from tests.support.gated_store import Gate
from tests.support.server import RunningServer, running_server
from tests.support.valkey import eventually, valkey
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, WebServer, a_token, web_server
from tests.support.ws_client import GRAPHQL_TRANSPORT_WS, WsClient

LIMITS = WebLimits(
    subscriptions_per_connection=3,
    operations_in_flight=2,
    messages_per_second=200,
    message_burst=50,
    connections_per_identity=2,
    connections_per_address=3,
    unauthenticated_per_minute=4,
)
ADDRESS = "192.0.2.1"
GOOD = f"Bearer {a_token()}"
BAD = "Bearer x.y.z"


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def server(tmp_path: Path, gate: Gate) -> Iterator[WebServer]:
    options = WebOptions(limits=LIMITS, trusted_proxies="127.0.0.1", wrap_store=gate)
    with web_server(tmp_path, options) as server:
        yield server
        assert server.errors == []


def hit(server: WebServer, limit: str) -> float:
    return scrape(server.http_url).of("limits_hit_total", limit=limit)


def a_socket(server: WebServer, address: str | None = None, **options: Any) -> WsClient:
    headers = {} if address is None else {"x-forwarded-for": address}
    return WsClient(server, additional_headers=headers, **options)


@asynccontextmanager
async def http(server: WebServer, address: str | None = ADDRESS) -> AsyncIterator[httpx.AsyncClient]:
    headers = {} if address is None else {"x-forwarded-for": address}
    async with httpx.AsyncClient(base_url=server.http_url, headers=headers, timeout=PATIENCE_SECONDS) as client:
        yield client


async def status(client: httpx.AsyncClient, authorization: str | None) -> int:
    headers = {} if authorization is None else {"authorization": authorization}
    return (await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)).status_code


# --- one connection ---------------------------------------------------------------------------------------------------


async def test_more_operations_in_flight_than_may_be_are_refused_until_one_is_done(
    server: WebServer, gate: Gate
) -> None:
    async with a_socket(server) as client:
        gate.close(server)
        for number in ("1", "2"):
            await client.subscribe(number, PUT, id=number, key=number)
            await gate.reached()
        await client.subscribe("3", COUNT)
        refused = await client.receive()
        assert (refused["id"], refused["type"]) == ("3", "error")
        assert refused["payload"][0]["extensions"] == {
            "code": "RATE_LIMITED",
            "retryable": True,
            "limit": "operationsInFlight",
            "maximum": 2,
            "retryAfter": 1,
        }
        # A subscription is none of those.
        await client.subscribe("4", WATCH)
        assert (await client.receive())["type"] == "next"
        await client.send({"type": "complete", "id": "4"})
        gate.open(server)
        kinds = [(await client.receive())["type"] for _ in range(4)]
        assert sorted(kinds) == ["complete", "complete", "next", "next"]
        assert "data" in await client.execute(COUNT)
    assert hit(server, "operationsInFlight") == 1


async def test_an_operation_that_is_given_up_counts_no_more(server: WebServer, gate: Gate) -> None:
    async with a_socket(server) as client:
        gate.close(server)
        for number in ("1", "2", "3", "4", "5"):
            await client.subscribe(number, PUT, id=number, key=number)
            await gate.reached()
            await client.send({"type": "complete", "id": number})
        gate.open(server)
        assert "data" in await client.execute(COUNT)
    assert hit(server, "operationsInFlight") == 0


async def test_a_burst_of_messages_is_slowed_and_none_is_lost(server: WebServer) -> None:
    async with a_socket(server) as client:
        for number in range(200):
            await client.send({"type": "ping", "payload": {"number": number}})
        pongs = [(await client.receive())["payload"]["number"] for _ in range(200)]
        assert pongs == list(range(200))
    assert hit(server, "messagesPerSecond") == 1


async def test_a_flood_of_messages_is_closed_with_a_code_that_lets_the_device_return(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_pace, "PATIENCE_SECONDS", 0.2)
    async with a_socket(server) as client:
        for _ in range(2_000):
            await client.send({"type": "ping"})
        _, code, reason = await client.receive_until_closed()
        assert code == 1013
        assert reason == "over the limit messagesPerSecond: at most 200; try again in 1 s"
    async with a_socket(server) as client:
        assert "data" in await client.execute(COUNT)


# --- an identity, an address ------------------------------------------------------------------------------------------


async def test_one_connection_too_many_of_an_identity_is_closed_with_a_reason(server: WebServer) -> None:
    async with a_socket(server), a_socket(server):
        async with a_socket(server, init=False) as third:
            await third.send({"type": "connection_init", "payload": {"authorization": GOOD}})
            messages, code, reason = await third.receive_until_closed()
        assert (messages, code) == ([], 1013)
        assert reason == "over the limit connectionsPerIdentity: at most 2; try again in 5 s"
        async with a_socket(server, token=a_token("bob")):
            pass
    await eventually(lambda: server.sockets_open() == 0)
    async with a_socket(server), a_socket(server):
        pass
    assert hit(server, "connectionsPerIdentity") == 1


async def test_one_connection_too_many_of_an_address_is_answered_with_429(server: WebServer) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(a_socket(server, ADDRESS, init=False))
        with pytest.raises(InvalidStatus) as raised:
            await stack.enter_async_context(a_socket(server, ADDRESS, init=False))
        response = raised.value.response
        assert (response.status_code, response.headers["retry-after"]) == (429, "5")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert b'"limit":"connectionsPerAddress"' in response.body
        assert b'"retryAfter":5' in response.body
        async with a_socket(server, "192.0.2.2", init=False):
            pass
    await eventually(lambda: server.sockets_open() == 0)
    async with a_socket(server, ADDRESS):
        pass
    assert hit(server, "connectionsPerAddress") == 1


async def test_loopback_is_nobody_in_particular(server: WebServer) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(a_socket(server, init=False))


async def test_an_address_without_credentials_is_told_to_wait_and_a_good_one_never_is(server: WebServer) -> None:
    async with http(server) as client, http(server, "192.0.2.2") as other, http(server, None) as local:
        assert [await status(client, each) for each in (None, BAD, BAD, None)] == [200, 401, 401, 200]
        for each in (None, BAD):
            headers = {} if each is None else {"authorization": each}
            answer = await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
            assert answer.status_code == 429
            extensions = answer.json()["errors"][0]["extensions"]
            assert {name: extensions[name] for name in ("code", "limit", "maximum", "retryable")} == {
                "code": "RATE_LIMITED",
                "limit": "unauthenticatedPerMinute",
                "maximum": 4,
                "retryable": True,
            }
            assert 1 <= extensions["retryAfter"] <= 60
            assert answer.headers["retry-after"] == str(int(extensions["retryAfter"]))
        assert await status(client, GOOD) == 200
        assert await status(other, BAD) == 401
        assert [await status(local, BAD) for _ in range(20)] == [401] * 20
    assert hit(server, "unauthenticatedPerMinute") == 2


async def test_sockets_without_a_good_token_count_among_them(server: WebServer) -> None:
    codes = []
    for _ in range(5):
        async with a_socket(server, ADDRESS, init=False) as client:
            await client.send({"type": "connection_init", "payload": {"authorization": BAD}})
            codes.append(await client.closed_with())
    assert codes == [4401] * 4 + [1013]
    async with a_socket(server, ADDRESS):
        pass


async def test_tokens_that_are_refused_on_an_open_socket_count_for_its_device_and_not_for_the_proxy_before_it(
    server: WebServer,
) -> None:
    async with a_socket(server, ADDRESS) as client:
        for _ in range(4):
            await client.send({"type": "authorize", "payload": {"authorization": BAD}})
            assert (await client.receive())["payload"]["type"] == "authorize_error"
    async with http(server) as device, http(server, "192.0.2.2") as other:
        assert [await status(device, BAD), await status(other, BAD)] == [429, 401]


async def test_a_refused_request_has_no_effect(server: WebServer) -> None:
    body = {"query": PUT, "variables": {"id": "1", "key": "k"}}
    async with http(server) as client:
        for _ in range(4):
            assert await status(client, None) == 200
        assert (await client.post("/graphql", json=body)).status_code == 429
        answer = await client.post("/graphql", json={"query": COUNT}, headers={"authorization": GOOD})
        assert answer.json() == {"data": {"dataset": None}}


def test_an_operator_with_a_proxy_that_is_not_trusted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("syncline.web.admission.caller_of", lambda scope, trusted: scope["client"][0])
    with web_server(tmp_path, WebOptions(limits=LIMITS)) as server:
        headers = {"x-forwarded-for": ADDRESS}
        answers = [httpx.get(f"{server.http_url}/graphql?query={{__typename}}", headers=headers) for _ in range(8)]
        assert answers[-1].status_code == 429
    assert caplog.text.count("proxy_not_trusted") == 1


# --- several nodes ----------------------------------------------------------------------------------------------------


async def opened(server: RunningServer, stack: AsyncExitStack) -> str | None:
    """Open a socket of alice's, to stay open; code and reason if it is closed instead of acknowledged."""
    socket = await stack.enter_async_context(connect(server.socket_url, subprotocols=[GRAPHQL_TRANSPORT_WS]))
    token = server.token("phone", "alice")
    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else f"{closed.rcvd.code} {closed.rcvd.reason}"
    return "open"


async def test_two_servers_that_share_a_redis_count_an_identity_together_and_alone_without_it(tmp_path: Path) -> None:
    async with valkey(tmp_path / "valkey") as redis, AsyncExitStack() as stack:
        settings = {"SYNCLINE_REDIS_URL": redis.url, "SYNCLINE_MAX_CONNECTIONS_PER_IDENTITY": "3"}
        here, there = (stack.enter_context(running_server(tmp_path / "data", settings=settings)) for _ in range(2))
        assert [await opened(here, stack) for _ in range(2)] == ["open", "open"]
        over = "1013 over the limit connectionsPerIdentity: at most 3; try again in 5 s"
        assert [await opened(there, stack) for _ in range(2)] == ["open", over]
        redis.kill()
        assert [await opened(there, stack) for _ in range(3)] == ["open", "open", over]
        assert not any("Traceback" in line for line in [*here.output, *there.output])

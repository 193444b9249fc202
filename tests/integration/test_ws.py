"""graphql-transport-ws as a device sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from syncline.web.limits import WebLimits
from tests.support.gated_store import Gate
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, WebServer, a_token, now, web_server
from tests.support.ws_client import WsClient

WATCH = (
    'subscription { datasetChanges(dataset: {name: "notes"}) { __typename ... on Commit { records { key value } } } }'
)
PUT = (
    'mutation ($id: ID!, $key: String!) { sync(input: {dataset: {name: "notes"}, mutationId: $id, '
    "changes: [{put: {key: $key, value: 1, base: {any: true}}}]}) { __typename } }"
)
COUNT = 'query { dataset(dataset: {name: "notes"}) { version } }'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("ws")) as server:
        yield server
        assert server.errors == []


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[WebServer]:
    limits = WebLimits(
        init_timeout=timedelta(seconds=0.3),
        ping_interval=timedelta(seconds=0.3),
        pong_timeout=timedelta(seconds=0.3),
        subscriptions_per_connection=2,
        connections=2,
        message_bytes=2_000,
    )
    with web_server(tmp_path, WebOptions(limits=limits)) as server:
        yield server
        assert server.errors == []


# --- the handshake ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"]])
async def test_a_socket_without_the_subprotocol_is_closed_4406(server: WebServer, subprotocols: Any) -> None:
    async with WsClient(server, init=False, subprotocols=subprotocols) as client:
        assert await client.closed_with() == 4406


async def test_another_path_has_no_socket(server: WebServer) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(server.ws_url + "/other")
    assert refusal.value.response.status_code == 403


async def test_a_socket_over_the_limit_is_refused_until_one_is_closed(quick: WebServer) -> None:
    async with WsClient(quick):
        async with WsClient(quick):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(quick.ws_url)
            assert refusal.value.response.status_code == 503
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    async with WsClient(quick):
                        return
                except InvalidStatus:
                    continue


# --- connection_init -------------------------------------------------------------------------------------------------


async def test_no_connection_init_in_time_closes_4408(quick: WebServer) -> None:
    async with WsClient(quick, init=False) as client:
        assert await client.closed_with() == 4408


async def test_a_second_connection_init_closes_4429(server: WebServer) -> None:
    async with WsClient(server) as client:
        await client.send({"type": "connection_init"})
        assert await client.closed_with() == 4429


async def test_subscribe_before_the_acknowledgement_closes_4401(server: WebServer) -> None:
    async with WsClient(server, init=False) as client:
        await client.subscribe("1", "{ __typename }")
        assert await client.closed_with() == 4401


@pytest.mark.parametrize(
    "payload", [None, {}, {"authorization": "junk"}, {"authorization": 1}, {"headers": {"Authorization": "Basic x"}}]
)
async def test_no_or_a_bad_token_closes_4401(server: WebServer, payload: Any) -> None:
    async with WsClient(server, init=False) as client:
        await client.send({"type": "connection_init", "payload": payload})
        assert await client.closed_with() == 4401


async def test_an_expired_token_closes_4403_so_that_the_device_comes_back(server: WebServer) -> None:
    expired = a_token(lifetime=timedelta(minutes=1), at=now() - timedelta(hours=1))
    async with WsClient(server, init=False) as client:
        await client.send({"type": "connection_init", "payload": {"authorization": expired}})
        assert await client.closed_with() == 4403


async def test_the_header_of_the_upgrade_counts_if_the_payload_has_no_token(server: WebServer) -> None:
    headers = {"Authorization": f"Bearer {a_token(identity='carol')}"}
    async with WsClient(server, init=False, additional_headers=headers) as client:
        await client.send({"type": "connection_init"})
        assert (await client.receive())["type"] == "connection_ack"
        assert await client.execute("{ viewer { identityId } }") == {"data": {"viewer": {"identityId": "carol"}}}


async def test_a_token_that_expires_closes_4403_within_a_second(server: WebServer) -> None:
    expires_at = now() + timedelta(seconds=2)
    async with WsClient(server, token=a_token(lifetime=timedelta(seconds=1))) as client:
        await client.subscribe("1", WATCH)
        assert (await client.receive())["type"] == "next"
        assert await client.closed_with() == 4403
        assert now() < expires_at + timedelta(seconds=1)


# --- ping and pong ---------------------------------------------------------------------------------------------------


async def test_a_ping_is_answered_with_its_payload(server: WebServer) -> None:
    async with WsClient(server, init=False) as client:
        await client.send({"type": "ping", "payload": {"n": [1, "é"]}})
        assert await client.receive() == {"type": "pong", "payload": {"n": [1, "é"]}}
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        await client.send({"type": "pong", "payload": {"unsolicited": True}})
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}


async def test_an_idle_socket_is_pinged_and_stays_open_while_it_answers(quick: WebServer) -> None:
    async with WsClient(quick) as client:
        for _ in range(3):
            assert await client.receive() == {"type": "ping"}
            await client.send({"type": "pong"})
        await client.execute("{ __typename }")


async def test_a_socket_that_does_not_answer_a_ping_is_closed_4499(quick: WebServer) -> None:
    async with WsClient(quick) as client:
        messages, code, _ = await client.receive_until_closed()
        assert messages == [{"type": "ping"}]
        assert code == 4499


# --- operations ------------------------------------------------------------------------------------------------------


async def test_queries_mutations_and_subscriptions_share_a_socket(server: WebServer) -> None:
    async with WsClient(server, token=a_token("share")) as client:
        await client.subscribe("s", WATCH)
        ready = await client.receive()
        assert ready == {"id": "s", "type": "next", "payload": {"data": {"datasetChanges": {"__typename": "Ready"}}}}
        await client.subscribe("m", PUT, id="1", key="a")
        messages = [await client.receive() for _ in range(3)]
        assert [message["type"] for message in messages if message["id"] == "m"] == ["next", "complete"]
        commit = next(message for message in messages if message["id"] == "s")["payload"]["data"]["datasetChanges"]
        assert commit == {"__typename": "Commit", "records": [{"key": "a", "value": 1}]}
        assert await client.execute(COUNT) == {"data": {"dataset": {"version": 1}}}


async def test_an_id_in_use_closes_4409(server: WebServer) -> None:
    async with WsClient(server) as client:
        await client.subscribe("same", WATCH)
        await client.receive()
        await client.subscribe("same", "{ __typename }")
        _, code, reason = await client.receive_until_closed()
        assert (code, reason) == (4409, "Subscriber for same already exists")


async def test_an_id_is_free_after_results_errors_and_complete(server: WebServer) -> None:
    async with WsClient(server) as client:
        await client.execute("{ __typename }", operation_id="1")
        await client.subscribe("1", "{ nope }")
        assert (await client.receive())["type"] == "error"
        await client.subscribe("1", WATCH)
        assert (await client.receive())["type"] == "next"
        await client.send({"type": "complete", "id": "1"})
        await client.execute("{ __typename }", operation_id="1")


async def test_complete_for_an_unknown_id_is_ignored(server: WebServer) -> None:
    async with WsClient(server) as client:
        await client.send({"type": "complete", "id": "never"})
        await client.execute("{ __typename }")


async def test_nothing_comes_after_complete(server: WebServer) -> None:
    async with WsClient(server, token=a_token("quiet")) as client:
        await client.subscribe("s", WATCH)
        await client.receive()
        await client.send({"type": "complete", "id": "s"})
        assert (await client.execute(PUT, id="1", key="a"))["data"]["sync"]["__typename"] == "SyncApplied"
        await client.execute("{ __typename }")


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ nope }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { dataset(dataset: {id: $id}) { id } }", {"id": None}, "INVALID_INPUT"),
        ('subscription { datasetChanges(dataset: {id: "x"}) { __typename } }', {}, "INVALID_INPUT"),
    ],
)
async def test_a_request_that_cannot_be_executed_gets_an_error(
    server: WebServer, query: str, variables: dict[str, Any], code: str
) -> None:
    async with WsClient(server) as client:
        await client.subscribe("1", query, **variables)
        error = await client.receive()
        assert (error["id"], error["type"]) == ("1", "error")
        assert error["payload"][0]["message"]
        assert error["payload"][0]["extensions"]["code"] == code


async def test_one_subscription_too_many_is_told_which_limit_it_is_over(quick: WebServer) -> None:
    async with WsClient(quick) as client:
        for operation_id in ("1", "2"):
            await client.subscribe(operation_id, WATCH)
            await client.receive()
        await client.subscribe("3", WATCH)
        error = await client.receive()
        assert (error["id"], error["type"]) == ("3", "error")
        extensions = error["payload"][0]["extensions"]
        assert {name: extensions[name] for name in ("code", "limit", "maximum", "actual")} == {
            "code": "LIMIT_EXCEEDED",
            "limit": "subscriptionsPerConnection",
            "maximum": 2,
            "actual": 3,
        }
        await client.send({"type": "complete", "id": "1"})
        await client.subscribe("4", WATCH)
        assert (await client.receive())["type"] == "next"


async def test_subscriptions_and_other_operations_do_not_count_together(quick: WebServer) -> None:
    async with WsClient(quick) as client:
        for operation_id in ("1", "2"):
            await client.subscribe(operation_id, WATCH)
            await client.receive()
        assert await client.execute("{ __typename }") == {"data": {"__typename": "Query"}}


async def test_a_message_that_is_too_big_closes_1009(quick: WebServer) -> None:
    async with WsClient(quick) as client:
        await client.send({"type": "ping", "payload": {"x": "x" * 200_000}})
        assert await client.closed_with() == 1009


# --- mutations go on -------------------------------------------------------------------------------------------------


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(tmp_path: Path, gate: Gate) -> Iterator[WebServer]:
    options = WebOptions(wrap_store=gate, limits=WebLimits(max_pending_mutations=1))
    with web_server(tmp_path, options) as server:
        yield server
        assert server.errors == []


async def committed(server: WebServer) -> None:
    """Wait until the one dataset has its first commit."""
    async with asyncio.timeout(PATIENCE_SECONDS), WsClient(server) as client:
        while (await client.execute(COUNT))["data"]["dataset"] is None:
            continue


async def test_a_disconnect_does_not_stop_a_mutation(gated: WebServer, gate: Gate) -> None:
    gate.close(gated)
    async with WsClient(gated) as client:
        await client.subscribe("m", PUT, id="1", key="a")
        await gate.reached()
    gate.open(gated)
    await committed(gated)


async def test_complete_does_not_stop_a_mutation_but_silences_it(gated: WebServer, gate: Gate) -> None:
    gate.close(gated)
    async with WsClient(gated) as client:
        await client.subscribe("m", PUT, id="1", key="a")
        await gate.reached()
        await client.send({"type": "complete", "id": "m"})
        await client.execute("{ __typename }")
        gate.open(gated)
        await committed(gated)
        await client.execute("{ __typename }")


async def test_a_mutation_too_many_is_refused_and_worth_a_retry(gated: WebServer, gate: Gate) -> None:
    gate.close(gated)
    async with WsClient(gated) as client:
        await client.subscribe("m", PUT, id="1", key="a")
        await gate.reached()
        await client.subscribe("n", PUT, id="2", key="b")
        error = await client.receive()
        assert (error["id"], error["type"]) == ("n", "error")
        assert (error["payload"][0]["extensions"]["code"], error["payload"][0]["extensions"]["retryable"]) == (
            "OVERLOADED",
            True,
        )
        gate.open(gated)
        assert [(await client.receive())["type"] for _ in range(2)] == ["next", "complete"]


# --- without our server protocol -------------------------------------------------------------------------------------


async def test_the_handler_works_on_another_asgi_server(tmp_path: Path) -> None:
    with web_server(tmp_path, WebOptions(ws=WebSocketsSansIOProtocol)) as server:
        async with WsClient(server) as client:
            await client.subscribe("s", WATCH)
            await client.receive()
            await client.subscribe("m", PUT, id="1", key="a")
            assert {(await client.receive())["id"] for _ in range(3)} == {"s", "m"}
            await client.send([])
            assert await client.closed_with() == 4400
        assert server.errors == []

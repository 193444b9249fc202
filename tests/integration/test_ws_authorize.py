"""A fresh credential on an open socket: ``authorize``."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_http_audits import NODE, installed
from tests.support.web_server import WebServer, a_token, now, web_server
from tests.support.ws_client import WsClient

QUERY = "{ viewer { identityId } }"
ACK = {"type": "pong", "payload": {"type": "authorize_ack"}}
WATCH = 'subscription { datasetChanges(dataset: {name: "notes"}) { __typename } }'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("authorize")) as server:
        yield server
        assert server.errors == []


def short() -> str:
    """A token that is valid for one to two seconds more."""
    return a_token(lifetime=timedelta(seconds=1))


async def test_a_socket_outlives_its_token_with_a_fresh_one(server: WebServer) -> None:
    token = short()
    async with WsClient(server, token=token) as renewed, WsClient(server, token=token) as other:
        await renewed.subscribe("1", WATCH)
        assert (await renewed.receive())["type"] == "next"
        await renewed.send({"type": "authorize", "payload": {"authorization": f"Bearer {a_token()}"}})
        assert await renewed.receive() == ACK

        assert await other.closed_with() == 4403

        assert (await renewed.execute(QUERY))["data"]


async def test_what_was_renewed_ends_when_the_new_token_does(server: WebServer) -> None:
    async with WsClient(server) as client:
        expires_at = now() + timedelta(seconds=2)
        await client.send({"type": "authorize", "payload": {"authorization": short()}})
        assert await client.receive() == ACK

        assert await client.closed_with() == 4403
        assert now() < expires_at + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "send a token"),
        ({}, "send a token"),
        ({"authorization": "nonsense"}, "no JWT"),
        ({"authorization": 7}, "must be a text"),
        ({"authorization": "{another}"}, "another identity"),
        ({"authorization": "{tablet}"}, "another device"),
        ({"authorization": "{old}"}, "has expired"),
    ],
)
async def test_a_token_that_will_not_do_changes_nothing(server: WebServer, payload: Any, reason: str) -> None:
    tokens = {
        "{another}": a_token(identity="mallory"),
        "{tablet}": a_token(device="tablet"),
        "{old}": a_token(at=now() - timedelta(days=1)),
    }
    if payload and payload.get("authorization") in tokens:
        payload = {"authorization": tokens[payload["authorization"]]}
    async with WsClient(server) as client:
        await client.send({"type": "authorize", "payload": payload})

        answer = await client.receive()

        assert (answer["type"], answer["payload"]["type"]) == ("pong", "authorize_error")
        assert answer["payload"]["error"]["extensions"]["code"] == "UNAUTHENTICATED"
        assert reason in answer["payload"]["error"]["message"]
        assert (await client.execute(QUERY))["data"]["viewer"]["identityId"] == "alice"


async def test_before_connection_init_there_is_nothing_to_renew(server: WebServer) -> None:
    async with WsClient(server, init=False) as client:
        await client.send({"type": "authorize", "payload": {"authorization": a_token()}})

        assert await client.closed_with() == 4401


async def test_the_client_graphql_ws_renews_its_token_on_the_raw_socket(server: WebServer) -> None:
    arguments = ["node", "renewal.mjs", server.ws_url, short(), a_token(), "2500"]

    renewal = await asyncio.to_thread(
        subprocess.run, arguments, cwd=installed(NODE), check=True, capture_output=True, timeout=60
    )

    assert json.loads(renewal.stdout) == {
        "said": {"type": "authorize_ack"},
        "viewer": {"identityId": "alice"},
        "sockets": 1,
    }

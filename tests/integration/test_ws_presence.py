"""Presence over graphql-transport-ws: who has a socket is there, and who lost it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.figures import scrape
from tests.support.graphql_socket import GraphqlSocket
from tests.support.presence_watcher import (
    BE_PRESENT,
    CREATE,
    NOTES,
    SET,
    WATCH,
    PresenceWatcher,
    presence_watcher,
)
from tests.support.valkey import eventually
from tests.support.web_server import WebServer, a_token, web_server
from tests.support.ws_client import WsClient


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with web_server(tmp_path) as server:
        answer = post(server, "phone", CREATE, {"name": "notes"})
        assert "errors" not in answer, answer
        yield server
        assert server.errors == []


def post(server: WebServer, device: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request over HTTP."""
    answer = httpx.post(
        f"{server.http_url}/graphql",
        json={"query": query, "variables": variables},
        headers={"authorization": f"Bearer {a_token(device=device)}"},
        timeout=20,
    )
    body: dict[str, Any] = answer.json()
    return body


def on(server: WebServer, device: str, *state: Any, **how: Any) -> AbstractAsyncContextManager[PresenceWatcher]:
    return presence_watcher(server.ws_url, a_token(device=device), *state, **how)


@pytest.fixture
async def tablet(server: WebServer) -> AsyncIterator[PresenceWatcher]:
    """Only watches."""
    async with on(server, "tablet") as watcher:
        await watcher.sees()
        yield watcher


async def test_joins_updates_and_leaves_reach_who_watches(server: WebServer, tablet: PresenceWatcher) -> None:
    async with on(server, "phone", {"cursor": 1}) as phone:
        await phone.sees(phone={"cursor": 1})
        await tablet.sees(phone={"cursor": 1})
        answer = await phone.socket.execute(SET, {"dataset": NOTES, "state": {"cursor": [2, "é"]}})
        present = answer["data"]["setPresence"]
        assert (present["identityId"], present["deviceId"]) == ("alice", "phone")
        assert present["state"] == {"cursor": [2, "é"]}
        await tablet.sees(phone={"cursor": [2, "é"]})
        [joined] = tablet.events[1]["joined"]
        assert joined["since"] == present["since"]
    await tablet.sees()
    assert [each["deviceId"] for each in tablet.events[-1]["left"]] == ["phone"]


async def test_a_state_may_be_set_over_http_while_the_socket_is_open(
    server: WebServer, tablet: PresenceWatcher
) -> None:
    async with on(server, "phone", 1):
        await tablet.sees(phone=1)
        assert "errors" not in post(server, "phone", SET, {"dataset": NOTES, "state": None})
        await tablet.sees(phone=None)
    await tablet.sees()
    [error] = post(server, "phone", SET, {"dataset": NOTES, "state": 2})["errors"]
    assert error["extensions"] == {"code": "NOT_PRESENT", "retryable": False, "dataset": "notes"}


async def test_a_socket_that_breaks_without_a_word_is_a_leave(server: WebServer, tablet: PresenceWatcher) -> None:
    async with on(server, "phone", 1) as phone:
        await tablet.sees(phone=1)
        phone.socket.abort()
        await tablet.sees()


async def test_complete_is_a_leave_and_the_socket_goes_on(server: WebServer, tablet: PresenceWatcher) -> None:
    async with on(server, "phone", 1) as phone:
        await tablet.sees(phone=1)
        await phone.socket.complete(phone.operation)
        await tablet.sees()
        answer = await phone.socket.execute("{ __typename }", {})
        assert "errors" not in answer


async def test_a_device_with_two_sockets_leaves_with_the_last(server: WebServer, tablet: PresenceWatcher) -> None:
    async with on(server, "phone", 1) as first:
        await tablet.sees(phone=1)
        async with on(server, "phone", 2):
            await tablet.sees(phone=2)
            first.socket.abort()
            await first.socket.closed()
            post(server, "phone", SET, {"dataset": NOTES, "state": 3})
            await tablet.sees(phone=3)
    await tablet.sees()


async def test_when_the_dataset_is_deleted_the_subscription_says_so_and_is_complete(server: WebServer) -> None:
    async with GraphqlSocket(server.ws_url, a_token()) as socket:
        operation = await socket.start(BE_PRESENT, {"dataset": NOTES, "state": 1})
        await socket.next_payload(operation)
        deleted = post(server, "laptop", 'mutation { deleteDataset(dataset: {name: "notes"}) { datasetId } }', {})
        payload = await socket.next_payload(operation)
        assert payload["data"]["presence"] == {
            "__typename": "DatasetDeleted",
            "datasetId": deleted["data"]["deleteDataset"]["datasetId"],
            "name": "notes",
        }
        message = await socket._next_message(operation)
        assert message["type"] == "complete"


async def test_by_name_a_device_waits_for_its_dataset(server: WebServer) -> None:
    async with on(server, "phone", 1, dataset={"name": "later"}) as phone:
        await phone.sees()
        post(server, "laptop", CREATE, {"name": "later"})
        await phone.sees(phone=1)


@pytest.mark.parametrize(
    ("variables", "extensions"),
    [
        ({"dataset": {"id": "f" * 32}}, {"code": "DATASET_NOT_FOUND", "dataset": "f" * 32}),
        (
            {"state": "x" * 1_023},
            {"code": "LIMIT_EXCEEDED", "limit": "presenceBytes", "maximum": 1_024, "actual": 1_025},
        ),
        ({"state": "\x00"}, {"code": "INVALID_INPUT", "field": "state", "reason": "a text has U+0000"}),
        (
            {"state": 10**400},
            {"code": "INVALID_INPUT", "field": "state", "reason": "a number is outside the IEEE double range"},
        ),
    ],
)
async def test_what_is_wrong_is_named(server: WebServer, variables: Any, extensions: Any) -> None:
    expected = {"retryable": False, **extensions}
    async with WsClient(server) as client:
        await client.subscribe("1", BE_PRESENT, **{"dataset": NOTES, "state": 1, **variables})
        message = await client.receive()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"] == expected
    [error] = post(server, "phone", SET, {"dataset": NOTES, "state": 1, **variables})["errors"]
    assert error["extensions"] == expected


async def test_a_state_has_to_be_set_to_something(server: WebServer) -> None:
    [error] = post(server, "phone", SET, {"dataset": NOTES})["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_INPUT", "state")


async def test_who_sets_its_state_too_often_is_told_when_to_try_again(server: WebServer) -> None:
    async with on(server, "phone", 0) as phone:
        await phone.sees(phone=0)
        answers = []
        for begin in range(0, 90, 15):
            states = range(begin, begin + 15)
            operations = [await phone.socket.start(SET, {"dataset": NOTES, "state": n}) for n in states]
            answers += [await phone.socket.answer(operation) for operation in operations]
        errors = [answer["errors"][0]["extensions"] for answer in answers if "errors" in answer]
        assert 0 < len(errors) <= 50
        for error in errors:
            assert (error["code"], error["limit"], error["retryable"]) == ("RATE_LIMITED", "presenceUpdates", True)
            assert 0 < error["retryAfter"] <= 2
        last = max(n for n, answer in enumerate(answers) if "errors" not in answer)
        await phone.sees(phone=last)
        assert scrape(server.http_url).of("limits_hit_total", limit="presenceUpdates") == len(errors)


async def test_presence_cannot_be_subscribed_to_over_http_nor_without_a_token(server: WebServer) -> None:
    assert post(server, "phone", WATCH, {"dataset": NOTES})["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    async with httpx.AsyncClient(timeout=20) as nobody:
        variables = {"dataset": NOTES, "state": 1}
        answer = await nobody.post(f"{server.http_url}/graphql", json={"query": SET, "variables": variables})
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_figures_tell_how_many_are_present(server: WebServer, tablet: PresenceWatcher) -> None:
    async with on(server, "phone", 1), on(server, "laptop", 1):
        await tablet.sees(phone=1, laptop=1)
        figures = scrape(server.http_url)
        assert (figures.of("present"), figures.of("subscriptions")) == (2, 3)
    await tablet.sees()
    await eventually(lambda: scrape(server.http_url).of("subscriptions") == 1)
    assert scrape(server.http_url).of("present") == 0


MANY_TIMES = " ".join(f"state{n}: state" for n in range(25))
WATCH_MUCH = f"""
subscription ($dataset: DatasetRef!) {{
  presence(dataset: $dataset) {{
    __typename
    ... on PresenceList {{ present {{ deviceId state }} }}
    ... on PresenceChanges {{
      joined {{ deviceId state }} updated {{ deviceId state {MANY_TIMES} }} left {{ deviceId state }}
    }}
  }}
}}
"""


async def test_a_device_that_takes_nothing_is_left_behind_and_then_told_what_is_so_now(server: WebServer) -> None:
    async def left_behind() -> bool:
        [room] = server.backend.services.presence._rooms._rooms.values()
        live = sum(map(len, room.audience._live.values()))
        return live < len(room.audience.watchers)

    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(on(server, "tablet", query=WATCH_MUCH))
        phones = [await stack.enter_async_context(on(server, f"phone-{n}", "")) for n in range(10)]
        for watcher in (slow, *phones):
            await watcher.sees(**{f"phone-{n}": "" for n in range(10)})
        slow.socket.freeze()
        number = 0
        while not server.call(left_behind):
            number += 1
            state = f"{number}{'x' * 1_000}"
            # Some 250 kB for who selects it so often.
            for phone in phones:
                await phone.socket.execute(SET, {"dataset": NOTES, "state": state})
            await phones[0].sees(**{f"phone-{n}": state for n in range(10)})
        slow.socket._socket.transport.resume_reading()
        await slow.sees(**{f"phone-{n}": state for n in range(10)})
        await phones[0].socket.execute(SET, {"dataset": NOTES, "state": "live again"})
        await slow.sees(**{f"phone-{n}": state for n in range(1, 10)}, **{"phone-0": "live again"})

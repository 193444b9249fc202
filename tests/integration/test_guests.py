"""Guests over HTTP and WebSocket: how one begins, goes on, signs in, and is disabled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncline.auth.guest_tokens import JwtGuestTokens
from syncline.core.guests import guest_id
from syncline.core.ids import DeviceId, IdentityId
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest, LinkRule
from syncline.core.model import Viewer
from syncline.web.limits import WebLimits
from tests.support.web_server import PATIENCE_SECONDS, SECRET, WebOptions, WebServer, a_token, now, web_server
from tests.support.ws_client import WsClient

VIEWER = "{ viewer { identityId deviceId guest } }"
CREATE = "mutation ($device: ID) { createGuest(deviceId: $device) { token identityId deviceId expiresAt } }"
RENEW = """mutation ($guest: String!, $device: ID) { renewGuest(guestToken: $guest, deviceId: $device) {
  token identityId deviceId } }"""
LINK = """mutation ($guest: String!, $rule: LinkRule!) { linkGuest(guestToken: $guest, rule: $rule) {
  guestId rule linkedAt datasets { datasetId name formerName fate accountsDatasetId } memberships { datasetId role }
  conflicts { name key accountValue guestValue } } }"""
PUT = """mutation ($name: String!, $key: String!, $value: JSON!, $id: ID!) { sync(input: {dataset: {name: $name},
  mutationId: $id, changes: [{put: {key: $key, value: $value, base: {any: true}}}]}) { __typename } }"""
PULL = """query ($name: String!) { changes(dataset: {name: $name}, since: "start") {
  ... on ChangePage { records { key value } } } }"""
EVERYTHING = """subscription { identityChanges { __typename ... on AccessEnded { datasetId }
  ... on DatasetCreated { name } } }"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("guests"), WebOptions(guests=True)) as server:
        yield server
        assert server.errors == []


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE_SECONDS) as http:
        yield Client(http)


class Client:
    """Asks, with a token or without."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self._mutations = 0

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        body: dict[str, Any] = answer.json()
        return body

    async def data(self, query: str, token: str | None = None, **variables: Any) -> Any:
        body = await self.ask(query, token, **variables)
        assert "errors" not in body, body
        [value] = body["data"].values()
        return value

    async def refused(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        body = await self.ask(query, token, **variables)
        extensions: dict[str, Any] = body["errors"][0]["extensions"]
        return extensions

    async def guest(self, device: str = "phone") -> str:
        return str((await self.data(CREATE, device=device))["token"])

    async def put(self, token: str, key: str, value: Any, name: str = "notes") -> None:
        self._mutations += 1
        await self.data(PUT, token, name=name, key=key, value=value, id=f"m{self._mutations}-{token[-9:]}")

    async def content(self, token: str, name: str = "notes") -> dict[str, Any]:
        page = await self.data(PULL, token, name=name)
        return {record["key"]: record["value"] for record in page["records"]}


_accounts = iter(range(1_000))


def an_account() -> str:
    """A token of an identity that no other test has."""
    return a_token(f"account-{next(_accounts)}")


def a_guest_token(
    *, secret: bytes = SECRET, lifetime: timedelta = timedelta(days=30), at: datetime | None = None, number: int = 5
) -> str:
    tokens = JwtGuestTokens(secret, lambda: at or now(), lifetime=lifetime, renewal=timedelta(days=365))
    return tokens.mint(Viewer(identity=guest_id(number), device=DeviceId("phone"))).text


# --- beginning and going on -------------------------------------------------------------------------------------------


async def test_a_guest_needs_no_token_and_gets_one(client: Client) -> None:
    answer = await client.http.post("/auth/guest", json={"deviceId": "phone"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    guest = answer.json()
    assert guest.keys() == {"token", "identityId", "deviceId", "expiresAt", "renewableUntil"}
    assert await client.data(VIEWER, guest["token"]) == {
        "identityId": guest["identityId"],
        "deviceId": "phone",
        "guest": True,
    }
    await client.put(guest["token"], "a", 1)
    assert await client.content(guest["token"]) == {"a": 1}


async def test_by_graphql_too_and_a_device_is_made_if_none_is_named(client: Client) -> None:
    one, two = await client.data(CREATE), await client.data(CREATE)
    assert one["identityId"] != two["identityId"]
    assert one["deviceId"] != two["deviceId"]
    assert (await client.data(VIEWER, one["token"]))["deviceId"] == one["deviceId"]


async def test_who_has_signed_in_is_no_guest(client: Client) -> None:
    assert (await client.data(VIEWER, a_token()))["guest"] is False


@pytest.mark.parametrize("days", [0, 31, 90, 394])
async def test_a_token_is_renewed_for_the_same_guest_and_device_also_months_later(client: Client, days: int) -> None:
    old = a_guest_token(at=now() - timedelta(days=days))
    if days:
        refusal = await client.refused(VIEWER, old)
        assert (refusal["code"], refusal["reason"]) == ("UNAUTHENTICATED", "the token has expired")
    answer = await client.http.post("/auth/guest/renew", json={"guestToken": old})
    assert answer.status_code == 200
    viewer = await client.data(VIEWER, answer.json()["token"])
    assert viewer == {"identityId": guest_id(5), "deviceId": "phone", "guest": True}
    assert (await client.data(RENEW, guest=old))["identityId"] == guest_id(5)


async def test_a_guest_brings_a_second_device(client: Client) -> None:
    token = await client.guest("phone")
    await client.put(token, "a", 1)
    second = await client.data(RENEW, guest=token, device="tablet")
    assert second["deviceId"] == "tablet"
    assert await client.content(second["token"]) == {"a": 1}


async def test_a_token_that_is_too_old_is_not_renewed(client: Client) -> None:
    answer = await client.http.post(
        "/auth/guest/renew", json={"guestToken": a_guest_token(at=now() - timedelta(days=396))}
    )
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "token",
    [
        "junk",
        "",
        "a.b.c",
        "x" * 9_000,
        a_token(),
        a_guest_token(secret=b"another secret of 32 bytes or more"),
        a_guest_token()[:-4] + "AAAA",
    ],
    ids=["junk", "empty", "three parts", "huge", "an account's", "another secret's", "another signature"],
)
async def test_what_is_no_guests_token_is_not_renewed_and_not_linked(client: Client, token: str) -> None:
    answer = await client.http.post("/auth/guest/renew", json={"guestToken": token})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    refusal = await client.refused(LINK, an_account(), guest=token, rule="MERGE")
    assert refusal["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "token", [a_guest_token(secret=b"another secret of 32 bytes or more"), a_guest_token()[:-4] + "AAAA"]
)
async def test_a_forged_guests_token_is_nobodys(client: Client, token: str) -> None:
    assert (await client.refused(VIEWER, token))["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ["/auth/guest", "/auth/guest/renew"])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "BAD_REQUEST"),
        (b"[]", "application/json", 400, "BAD_REQUEST"),
        (b"\xff", "application/json", 400, "BAD_REQUEST"),
        (b"[" * 100_000, "application/json", 400, "BAD_REQUEST"),
        (b'{"deviceId": 1, "guestToken": 2}', "application/json", 400, "BAD_REQUEST"),
        (b"{}", "text/plain", 415, "BAD_REQUEST"),
        (b"{}", "application/x-www-form-urlencoded", 415, "BAD_REQUEST"),
    ],
)
async def test_a_bad_body_is_told_what_is_wrong_with_it(
    client: Client, path: str, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = await client.http.post(path, content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code)


async def test_a_bad_device_id_is_told_what_is_wrong_with_it(client: Client) -> None:
    answer = await client.http.post("/auth/guest", json={"deviceId": "x" * 300})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["field"]) == (400, "device")
    assert (await client.refused(CREATE, device="\x00"))["field"] == "device"
    assert (await client.http.get("/auth/guest")).status_code == 405


async def test_there_are_no_guests_unless_they_are_switched_on(tmp_path: Path) -> None:
    with web_server(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE_SECONDS) as http:
            answer = await http.post("/auth/guest", json={})
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
            assert (await Client(http).refused(CREATE))["code"] == "FORBIDDEN"
            # Those that are there go on.
            renewed = await http.post("/auth/guest/renew", json={"guestToken": a_guest_token()})
            assert renewed.status_code == 200


async def test_an_address_can_become_only_so_many_guests(tmp_path: Path) -> None:
    options = WebOptions(guests=True, limits=WebLimits(guests_per_minute=2), trusted_proxies="127.0.0.1")
    with web_server(tmp_path, options) as server:
        headers = {"x-forwarded-for": "203.0.113.7"}
        async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE_SECONDS, headers=headers) as http:
            assert (await http.post("/auth/guest", json={})).status_code == 200
            token = (await Client(http).data(CREATE))["token"]
            answer = await http.post("/auth/guest", json={})
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
            refusal = answer.json()["errors"][0]["extensions"]
            assert (refusal["code"], refusal["limit"], refusal["maximum"]) == ("RATE_LIMITED", "guestsPerMinute", 2)
            assert refusal["retryable"] is True
            assert (await Client(http).refused(CREATE))["code"] == "RATE_LIMITED"
            # Others are not in its place, and a socket is no way around.
            other = {"x-forwarded-for": "203.0.113.8"}
            assert (await http.post("/auth/guest", json={}, headers=other)).status_code == 200
        async with WsClient(server, token=token) as socket:
            answers = [await socket.execute(CREATE) for _ in range(3)]
            assert ["errors" in each for each in answers] == [False, False, True]


async def test_guessing_at_renewals_is_limited_as_all_requests_without_a_credential(tmp_path: Path) -> None:
    options = WebOptions(guests=True, limits=WebLimits(unauthenticated_per_minute=3), trusted_proxies="127.0.0.1")
    with web_server(tmp_path, options) as server:
        headers = {"x-forwarded-for": "203.0.113.7"}
        async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE_SECONDS, headers=headers) as http:
            statuses = [(await http.post("/auth/guest/renew", json={"guestToken": "x"})).status_code for _ in range(4)]
            assert statuses == [401, 401, 401, 429]


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_signing_in_keeps_the_data(client: Client) -> None:
    guest, account = await client.guest(), an_account()
    await client.put(guest, "a", 1)
    linked = await client.data(LINK, account, guest=guest, rule="KEEP_BOTH")
    assert [(each["name"], each["fate"]) for each in linked["datasets"]] == [("notes", "MOVED")]
    assert await client.content(account) == {"a": 1}


async def test_a_conflict_of_a_merge_is_reported_with_both_values(client: Client) -> None:
    guest, account = await client.guest(), an_account()
    await client.put(guest, "a", {"from": "guest", "more": 1})
    await client.put(account, "a", {"from": "account"})
    linked = await client.data(LINK, account, guest=guest, rule="MERGE")
    assert linked["conflicts"] == [
        {
            "name": "notes",
            "key": "a",
            "accountValue": {"from": "account"},
            "guestValue": {"from": "guest", "more": 1},
        }
    ]
    assert await client.content(account) == {"a": {"from": "account", "more": 1}}


async def test_a_guest_signs_in_with_a_token_that_has_expired(client: Client) -> None:
    old = a_guest_token(at=now() - timedelta(days=120), number=77)
    assert (await client.data(LINK, an_account(), guest=old, rule="MERGE"))["guestId"] == guest_id(77)


async def test_a_retry_after_a_lost_answer_gives_the_same_answer(client: Client) -> None:
    guest, account = await client.guest(), an_account()
    await client.put(guest, "a", 1)
    await client.put(account, "a", 2)
    first = await client.data(LINK, account, guest=guest, rule="MERGE")
    assert await client.data(LINK, account, guest=guest, rule="PREFER_GUEST") == first
    assert await client.content(account) == {"a": 2}


async def test_another_account_cannot_have_the_guest_any_more(client: Client) -> None:
    guest = await client.guest()
    await client.data(LINK, an_account(), guest=guest, rule="MERGE")
    refusal = await client.refused(LINK, an_account(), guest=guest, rule="MERGE")
    assert (refusal["code"], refusal["retryable"]) == ("GUEST_LINKED", False)


async def test_only_who_has_signed_in_can_link(client: Client) -> None:
    guest, other = await client.guest(), await client.guest()
    assert (await client.refused(LINK, guest=guest, rule="MERGE"))["code"] == "UNAUTHENTICATED"
    assert (await client.refused(LINK, other, guest=guest, rule="MERGE"))["code"] == "FORBIDDEN"
    assert (await client.refused(LINK, guest, guest=guest, rule="MERGE"))["code"] == "INVALID_INPUT"


# --- the guest's other devices ----------------------------------------------------------------------------------------


async def test_a_linked_guest_is_refused_whatever_it_asks_and_is_not_renewed(client: Client) -> None:
    guest = await client.guest()
    await client.put(guest, "a", 1)
    await client.data(LINK, an_account(), guest=guest, rule="MERGE")
    for query in (VIEWER, "{ datasets { nodes { name } } }"):
        answer = await client.http.post("/graphql", json={"query": query}, headers={"authorization": f"Bearer {guest}"})
        refusal = answer.json()["errors"][0]["extensions"]
        assert (answer.status_code, refusal["code"], refusal["retryable"]) == (401, "GUEST_LINKED", False)
    answer = await client.http.post("/auth/guest/renew", json={"guestToken": guest})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "GUEST_LINKED")
    assert (await client.refused(RENEW, guest=guest, device="new"))["code"] == "GUEST_LINKED"


@pytest.mark.parametrize("has_data", [True, False])
async def test_the_sockets_of_a_linked_guest_are_closed_4403(server: WebServer, client: Client, has_data: bool) -> None:
    guest = await client.guest("phone")
    tablet = (await client.data(RENEW, guest=guest, device="tablet"))["token"]
    if has_data:
        await client.put(guest, "a", 1)
    async with WsClient(server, token=tablet) as watching, WsClient(server, token=guest) as idle:
        await watching.subscribe("all", EVERYTHING)
        assert (await watching.receive())["payload"]["data"]["identityChanges"]["__typename"] == "Ready"
        async with asyncio.timeout(PATIENCE_SECONDS):
            await client.data(LINK, an_account(), guest=guest, rule="MERGE")
            messages, code, reason = await watching.receive_until_closed()
            assert (code, "signed in" in reason) == (4403, True)
            assert all(
                message["payload"]["data"]["identityChanges"]["__typename"] == "AccessEnded"
                for message in messages
                if message["type"] == "next"
            )
            assert await idle.closed_with() == 4403
    async with WsClient(server, token=tablet, init=False) as again:
        await again.send({"type": "connection_init", "payload": {"authorization": f"Bearer {tablet}"}})
        assert await again.closed_with() == 4403


def _link_request(guest: IdentityId) -> LinkRequest:
    viewer = Viewer(identity=IdentityId("late-account"), device=DeviceId("x"))
    return LinkRequest(guest=guest, viewer=viewer, rule=LinkRule.KEEP_BOTH, limits=Limits(), now=now())


async def test_a_socket_whose_hint_was_lost_is_closed_by_the_sweep(server: WebServer, client: Client) -> None:
    guest = await client.guest()
    standings = server.backend.services.guests.standings
    async with WsClient(server, token=guest) as idle:
        # As on another node: the store knows, and nobody rang.
        store = standings._store
        identity = IdentityId((await client.data(VIEWER, guest))["identityId"])
        request = _link_request(identity)
        await asyncio.to_thread(server.call, lambda: store.link_guest(request))
        await asyncio.to_thread(server.call, standings.sweep)
        assert await idle.closed_with() == 4403


async def test_what_an_open_socket_of_a_linked_guest_still_sends_is_refused(server: WebServer, client: Client) -> None:
    guest = await client.guest()
    await client.put(guest, "a", 1)
    async with WsClient(server, token=guest) as late:
        identity = IdentityId((await client.data(VIEWER, guest))["identityId"])
        store = server.backend.services.guests.standings._store
        request = _link_request(identity)
        await asyncio.to_thread(server.call, lambda: store.link_guest(request))
        for query, variables in (
            (PUT, {"name": "notes", "key": "b", "value": 1, "id": "late"}),
            (PUT, {"name": "new", "key": "b", "value": 1, "id": "later"}),
            (PULL, {"name": "notes"}),
            ('{ dataset(dataset: {name: "notes"}) { id } }', {}),
        ):
            answer = await late.execute(query, **variables)
            assert answer["errors"][0]["extensions"]["code"] == "GUEST_LINKED", answer
    assert await client.content(a_token("late-account")) == {"a": 1}


async def test_the_accounts_devices_learn_of_what_the_guest_brings(server: WebServer, client: Client) -> None:
    guest, account = await client.guest(), an_account()
    await client.put(guest, "a", 1)
    async with WsClient(server, token=account) as watching:
        await watching.subscribe("all", EVERYTHING)
        assert (await watching.receive())["payload"]["data"]["identityChanges"]["__typename"] == "Ready"
        await client.data(LINK, account, guest=guest, rule="MERGE")
        created = (await watching.receive())["payload"]["data"]["identityChanges"]
        assert created == {"__typename": "DatasetCreated", "name": "notes"}

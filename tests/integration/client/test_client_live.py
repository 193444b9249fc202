"""subscribe() of the Python device against a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from syncline.client import (
    KEEP_MINE,
    Connectivity,
    DatasetGone,
    Device,
    Disconnected,
    Ready,
    RecordChange,
    Role,
    ServerRefused,
    ServerUnreachable,
    Status,
    TokenRejected,
)
from syncline.client.dataset import Dataset
from tests.integration.client.conftest import OpenDevice, quick_backoff
from tests.integration.client.test_client_synchronize import delete_dataset
from tests.support.lossy_proxy import lossy_proxy
from tests.support.server import RunningServer

PATIENCE_SECONDS = 20


class Watcher:
    """Collects what a dataset's subscription tells, so that none of it is missed."""

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        self._events = dataset.events(**options)
        self.seen: list[Any] = []

    async def until(self, wanted: Any) -> list[Any]:
        """Events up to and with the first for which ``wanted`` holds."""
        got: list[Any] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self._events:
                got.append(event)
                self.seen.append(event)
                if wanted(event):
                    return got
        raise AssertionError(f"the subscription ended after {got}")

    async def until_ready(self) -> list[Any]:
        return await self.until(lambda event: isinstance(event, Ready))

    async def until_key(self, key: str) -> list[Any]:
        return await self.until(lambda event: isinstance(event, RecordChange) and event.key == key)

    async def close(self) -> None:
        await self._events.aclose()


@asynccontextmanager
async def watching(dataset: Dataset, **options: Any) -> AsyncIterator[Watcher]:
    watcher = Watcher(dataset, **options)
    try:
        yield watcher
    finally:
        await watcher.close()


@pytest.fixture
def phone(open_device: OpenDevice, shared_server: RunningServer) -> Device:
    return open_device(shared_server, "phone")


@pytest.fixture
def laptop(open_device: OpenDevice, shared_server: RunningServer) -> Device:
    return open_device(shared_server, "laptop")


async def test_what_was_missed_comes_first_then_every_change_as_it_happens(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.update({"a": 1, "b": 2})
    await mine.synchronize()
    async with watching(theirs) as watcher:
        await watcher.until_ready()
        missed = await watcher.until_key("b")
        mine.put("c", 3)
        await mine.synchronize()
        mine.remove("a")
        await mine.synchronize()
        live = await watcher.until_key("c") + await watcher.until_key("a")
    assert [event.key for event in missed] == ["a", "b"]
    assert [(event.key, event.value, event.deleted, event.author.device) for event in live] == [
        ("c", 3, False, "phone"),
        ("a", None, True, "phone"),
    ]
    assert theirs.records() == mine.records() == {"b": 2, "c": 3}


async def test_each_commit_is_told_even_if_they_come_fast(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    async with watching(theirs) as watcher:
        await watcher.until_ready()
        for number in range(20):
            mine.put("k", number)
            await mine.synchronize()
        mine.put("end", True)
        await mine.synchronize()
        events = await watcher.until_key("end")
    versions = [event.version for event in events]
    assert versions == sorted(set(versions))
    assert theirs.records() == {"k": 19, "end": True}


async def test_watching_a_dataset_that_is_not_there_yet_tells_its_first_record(phone: Device, laptop: Device) -> None:
    async with watching(laptop.dataset("later")) as watcher:
        await watcher.until_ready()
        phone.dataset("later").put("k", 1)
        await phone.dataset("later").synchronize()
        [event] = await watcher.until_key("k")
    assert event.value == 1


async def test_pending_edits_stay_on_top_of_what_comes_in(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("n", 1)
    await mine.synchronize()
    async with watching(theirs) as watcher:
        await watcher.until_key("n")
        theirs.increment("n", 10)
        mine.increment("n")
        await mine.synchronize()
        [event] = await watcher.until_key("n")
    assert (event.value, theirs.get("n")) == (2, 12)


async def test_with_push_edits_are_sent_as_they_are_made(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("before", 1)
    async with watching(theirs) as watcher, watching(mine, push=True) as pushing:
        await watcher.until_ready()
        await pushing.until_key("before")
        await watcher.until_key("before")
        for number in range(5):
            mine.put(f"k{number}", number)
        await watcher.until_key("k4")
    assert theirs.records() == {"before": 1, **{f"k{number}": number for number in range(5)}}


async def test_synchronize_and_subscribe_at_the_same_time_agree(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    async with watching(mine) as at_mine, watching(theirs) as at_theirs:
        await at_mine.until_ready()
        await at_theirs.until_ready()

        async def count(dataset: Dataset) -> None:
            for _ in range(15):
                dataset.increment("n")
                await dataset.synchronize()

        async with asyncio.TaskGroup() as group:
            group.create_task(count(mine))
            group.create_task(count(theirs))
            group.create_task(at_mine.until(lambda event: isinstance(event, RecordChange) and event.value == 30))
            group.create_task(at_theirs.until(lambda event: isinstance(event, RecordChange) and event.value == 30))
    assert mine.records() == theirs.records() == {"n": 30}


async def test_an_app_may_synchronize_while_it_iterates(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("ping", 1)
    await mine.synchronize()
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(theirs.subscribe()) as changes:
        async for change in changes:
            if change.key == "ping":
                theirs.put("pong", change.value)
                await theirs.synchronize()
            else:
                break
    await mine.synchronize()
    assert mine.records() == {"ping": 1, "pong": 1}


async def test_a_lost_connection_is_made_again_and_goes_on_from_its_checkpoint(
    phone: Device, open_device: OpenDevice, shared_server: RunningServer
) -> None:
    mine = phone.dataset("notes")
    async with lossy_proxy(shared_server.port) as proxy:
        theirs = open_device(shared_server, "laptop", url=proxy.url).dataset("notes")
        async with watching(theirs) as watcher:
            await watcher.until_ready()
            mine.put("before", 1)
            await mine.synchronize()
            await watcher.until_key("before")
            proxy.cut()
            await watcher.until(lambda event: isinstance(event, Disconnected))
            mine.put("while away", 2)
            await mine.synchronize()
            events = await watcher.until_key("while away")
    assert [event.resumed for event in events if isinstance(event, Ready)] == [True]
    assert [event.key for event in events if isinstance(event, RecordChange)] == ["while away"]


async def test_an_increment_whose_answer_was_lost_is_not_seen_twice_when_its_commit_arrives(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    async with lossy_proxy(shared_server.port) as proxy:
        notes = open_device(shared_server, "phone", url=proxy.url, attempts=2).dataset("notes")
        notes.put("k", 1)
        await notes.synchronize()
        notes.increment("n")
        proxy.lose_answers(2)
        with pytest.raises(ServerUnreachable):
            await notes.synchronize()
        async with watching(notes) as watcher:
            event = await watcher.until(lambda event: isinstance(event, RecordChange) and event.key == "n")
            assert notes.get("n") == 1, event
    assert notes.pending() == []


async def test_a_killed_server_that_comes_back_is_found_again(
    own_server: RunningServer, open_device: OpenDevice
) -> None:
    mine = open_device(own_server, "phone").dataset("notes")
    theirs = open_device(own_server, "laptop").dataset("notes")
    mine.put("before", 1)
    await mine.synchronize()
    async with watching(theirs, push=True) as watcher:
        await watcher.until_key("before")
        own_server.kill()
        await watcher.until(lambda event: isinstance(event, Disconnected))
        theirs.put("offline", 2)
        await asyncio.to_thread(own_server.start)
        await watcher.until_key("offline")
        await mine.synchronize()
    assert mine.records() == theirs.records() == {"before": 1, "offline": 2}


async def test_a_deleted_dataset_is_told_and_a_new_one_of_its_name_follows(
    phone: Device, laptop: Device, shared_server: RunningServer, identity: str
) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("old", 1)
    await mine.synchronize()
    async with watching(theirs) as watcher:
        await watcher.until_key("old")
        await delete_dataset(shared_server, identity, "notes")
        events = await watcher.until(lambda event: isinstance(event, DatasetGone))
        assert [(event.key, event.deleted) for event in events[:-1]] == [("old", True)]
        assert theirs.records() == {}
        await mine.synchronize()
        mine.put("new", 2)
        await mine.synchronize()
        await watcher.until_key("new")
    assert theirs.records() == {"new": 2}


async def test_a_deleted_dataset_can_be_created_again_by_who_watches(
    phone: Device, laptop: Device, shared_server: RunningServer, identity: str
) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("k", 1)
    await mine.synchronize()
    async with watching(theirs, push=True, on_dataset_deleted=lambda name: KEEP_MINE) as watcher:
        await watcher.until_key("k")
        await delete_dataset(shared_server, identity, "notes")
        await watcher.until(lambda event: isinstance(event, DatasetGone))
        await watcher.until(lambda event: isinstance(event, RecordChange) and not event.deleted)
    await mine.synchronize()
    assert mine.records() == {"k": 1}


async def test_after_a_new_epoch_a_watcher_holds_what_the_server_holds(
    own_server: RunningServer, open_device: OpenDevice
) -> None:
    mine = open_device(own_server, "phone").dataset("notes")
    theirs = open_device(own_server, "laptop").dataset("notes")
    mine.update({"a": 1, "b": 2})
    await mine.synchronize()
    async with watching(theirs) as watcher:
        await watcher.until_key("b")
        own_server.stop()
        await asyncio.to_thread(own_server.renew_epoch)
        await asyncio.to_thread(own_server.start)
        mine.put("c", 3)
        await mine.synchronize()
        await watcher.until_key("c")
    assert theirs.records() == {"a": 1, "b": 2, "c": 3}


async def test_an_expired_token_is_replaced_and_the_subscription_goes_on(
    phone: Device, shared_server: RunningServer, identity: str, tmp_path: Any
) -> None:
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        lifetime = timedelta(seconds=2) if asked == 1 else timedelta(hours=1)
        return shared_server.token("laptop", identity, lifetime=lifetime)

    async with (
        Device(shared_server.url, token=provider, cache=tmp_path / "laptop.db", backoff=quick_backoff) as laptop,
        watching(laptop.dataset("notes")) as watcher,
    ):
        await watcher.until_ready()
        await watcher.until_ready()
        phone.dataset("notes").put("k", 1)
        await phone.dataset("notes").synchronize()
        await watcher.until_key("k")
    assert asked == 2


async def test_an_expired_token_without_a_provider_ends_the_subscription(
    shared_server: RunningServer, identity: str, tmp_path: Any
) -> None:
    token = shared_server.token("laptop", identity, lifetime=timedelta(seconds=2))
    async with (
        Device(shared_server.url, token=token, cache=tmp_path / "laptop.db") as laptop,
        watching(laptop.dataset("notes")) as watcher,
    ):
        await watcher.until_ready()
        with pytest.raises(TokenRejected):
            await watcher.until_key("never")


async def test_closing_the_device_ends_its_subscriptions(phone: Device) -> None:
    watcher = Watcher(phone.dataset("notes"))
    await watcher.until_ready()
    waiting = asyncio.create_task(watcher.until_key("never"))
    await asyncio.sleep(0)
    await phone.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(AssertionError, match="the subscription ended"):
            await waiting


async def test_the_status_says_how_the_dataset_stands_to_the_server(
    open_device: OpenDevice, own_server: RunningServer
) -> None:
    notes = open_device(own_server, "phone").dataset("notes")
    assert notes.status() == Status(Connectivity.OFFLINE)
    notes.put("a", 1)
    await notes.synchronize()
    assert (notes.version, notes.role) == (1, Role.OWNER)
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(notes.events()) as events:
        async for event in events:
            if isinstance(event, Ready):
                assert notes.status() == Status(Connectivity.LIVE)
                own_server.stop()
            if isinstance(event, Disconnected):
                assert notes.status().state in (Connectivity.OFFLINE, Connectivity.CONNECTING)
                break
    assert notes.status() == Status(Connectivity.OFFLINE)


async def test_the_status_says_why_a_dataset_is_not_followed_any_more(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    notes = open_device(shared_server, "phone").dataset(id="0" * 32)
    with pytest.raises(ServerRefused):
        async for _ in notes.subscribe():
            pass
    assert notes.status().state is Connectivity.STOPPED
    assert notes.status().reason is not None

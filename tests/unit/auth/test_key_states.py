"""What a node knows of API keys, and what it does while the store does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncline.auth import key_states
from syncline.auth.key_states import KeyStates
from syncline.errors import (
    CredentialExpired,
    CredentialUnavailable,
    StoreUnavailable,
    SynclineError,
    Unauthenticated,
)
from syncline.ports import ApiKey, ApiKeyId, ApiKeys, KeyUse
from syncline.storage.sqlite import SqliteStore
from tests.support.logins import an_api_key

PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.02


class Gate:
    """The store's keys, as long as it is open; counts how often they are asked for."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self.open = True
        self.asked = 0

    async def found(self, ids: Sequence[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        self.asked += 1
        if not self.open:
            raise StoreUnavailable("the gate is closed")
        return await self._keys.found(ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keys, name)


class World:
    def __init__(self, store: SqliteStore) -> None:
        self.keys = store.api_keys
        self.gate = Gate(store.api_keys)
        self.states = KeyStates(self.gate, lambda: datetime.now(UTC), poll_seconds=POLL_SECONDS)
        self.ended: asyncio.Queue[SynclineError] = asyncio.Queue()

    async def key(self, **more: Any) -> ApiKey:
        key = an_api_key(now=datetime.now(UTC), **more)
        await self.keys.add(key)
        return key

    async def end(self) -> SynclineError:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.ended.get()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await SqliteStore.open(tmp_path / "keys.db")
    each = World(store)
    yield each
    await each.states.close()
    await store.close()


def use_of(key: ApiKey) -> KeyUse:
    return KeyUse(key=key.id, secret_hash=key.secret_hash)


async def test_a_key_in_use_is_not_asked_for_by_each_request(world: World) -> None:
    key = await world.key()
    for _ in range(100):
        assert (await world.states.good(use_of(key))).id == key.id

    assert world.gate.asked < 20


async def test_a_revoked_key_ends_all_who_watch_it_and_nobody_else(world: World) -> None:
    key, other = await world.key(), await world.key(name="other")
    await world.states.good(use_of(key))
    await world.states.good(use_of(other))
    world.states.watch(use_of(key), world.ended.put_nowait)
    world.states.watch(use_of(key), world.ended.put_nowait)
    world.states.watch(use_of(other), lambda error: pytest.fail(error.message))

    await world.keys.revoke(key.id, now=datetime.now(UTC))

    assert [(await world.end()).message for _ in range(2)] == ["not authenticated: the API key was revoked"] * 2
    with pytest.raises(Unauthenticated):
        await world.states.good(use_of(key))


async def test_a_watch_that_is_closed_hears_nothing(world: World) -> None:
    key = await world.key()
    await world.states.good(use_of(key))
    closed = world.states.watch(use_of(key), lambda error: pytest.fail(error.message))
    world.states.watch(use_of(key), world.ended.put_nowait)
    closed.close()

    await world.keys.revoke(key.id, now=datetime.now(UTC))

    await world.end()


async def test_a_key_that_expires_ends_those_who_watch_it(world: World) -> None:
    key = await world.key()
    await world.states.good(use_of(key))
    world.states.watch(use_of(key), world.ended.put_nowait)
    soon = datetime.now(UTC) + timedelta(seconds=0.1)

    await world.keys.rotate(key.id, key.secret_hash, old_until=soon, expires_at=soon)

    assert isinstance(await world.end(), CredentialExpired)


async def test_a_new_secret_counts_at_once(world: World) -> None:
    key = await world.key()
    await world.states.good(use_of(key))
    now = datetime.now(UTC)

    await world.keys.rotate(key.id, b"n" * 32, old_until=now, expires_at=now + timedelta(days=1))

    assert (await world.states.good(KeyUse(key=key.id, secret_hash=b"n" * 32))).id == key.id


async def test_without_the_store_what_is_known_counts_for_a_while_and_then_nobody_can_say(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_states, "TRUSTED_SECONDS", 1.0)
    monkeypatch.setattr(key_states, "_FRESH_SECONDS", 0.0)
    key = await world.key()
    await world.states.good(use_of(key))
    world.states.watch(use_of(key), world.ended.put_nowait)

    world.gate.open = False

    assert (await world.states.good(use_of(key))).id == key.id
    assert isinstance(await world.end(), CredentialUnavailable)
    with pytest.raises(StoreUnavailable):
        await world.states.good(use_of(key))
    world.gate.open = True
    assert (await world.states.good(use_of(key))).id == key.id


async def test_a_short_outage_ends_nobody(world: World) -> None:
    key = await world.key()
    await world.states.good(use_of(key))
    world.states.watch(use_of(key), world.ended.put_nowait)
    world.gate.open = False
    asked = world.gate.asked
    async with asyncio.timeout(PATIENCE_SECONDS):
        while world.gate.asked < asked + 3:  # noqa: ASYNC110 # nobody rings
            await asyncio.sleep(POLL_SECONDS)
    world.gate.open = True
    async with asyncio.timeout(PATIENCE_SECONDS):
        while world.gate.asked < asked + 6:  # noqa: ASYNC110 # nobody rings
            await asyncio.sleep(POLL_SECONDS)

    assert world.ended.empty()


async def test_keys_that_nobody_uses_are_not_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_states, "_KEPT_SECONDS", 0.0)
    key = await world.key()
    await world.states.good(use_of(key))

    async with asyncio.timeout(PATIENCE_SECONDS):
        while world.states.in_use:  # noqa: ASYNC110 # nobody rings
            await asyncio.sleep(POLL_SECONDS)

    assert world.gate.asked <= 2


async def test_when_a_key_is_used_is_written_down(world: World) -> None:
    key = await world.key()
    await world.states.good(use_of(key))

    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await world.keys.found([key.id]))[key.id].last_used_at is None:  # noqa: ASYNC110 # nobody rings
            await asyncio.sleep(POLL_SECONDS)


async def test_who_watches_a_key_that_was_given_up_is_told_to_come_back(world: World) -> None:
    key = await world.key()

    world.states.watch(use_of(key), world.ended.put_nowait)

    assert isinstance(await world.end(), CredentialUnavailable)

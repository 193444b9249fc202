"""API keys: what every store must do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.core.ids import Tenant
from syncline.errors import ApiKeyNotFound
from syncline.ports import ApiKeyId, CompleteStore, Scope
from tests.support.builders import NOW
from tests.support.logins import an_api_key

HOUR = timedelta(hours=1)


async def test_a_key_is_kept_as_it_is(store: CompleteStore) -> None:
    key = an_api_key("Ünï😀", scopes=frozenset(Scope), tenant=Tenant("acme"))
    other = an_api_key("other", now=NOW + HOUR)

    await store.api_keys.add(other)
    await store.api_keys.add(key)

    assert await store.api_keys.all() == [key, other]
    assert await store.api_keys.found([key.id, ApiKeyId("nothing")]) == {key.id: key}
    assert await store.api_keys.found([]) == {}


async def test_a_key_is_revoked_once(store: CompleteStore) -> None:
    key = an_api_key()
    await store.api_keys.add(key)

    revoked = await store.api_keys.revoke(key.id, now=NOW)

    assert revoked == replace(key, revoked_at=NOW)
    assert await store.api_keys.revoke(key.id, now=NOW + HOUR) == revoked
    assert await store.api_keys.found([key.id]) == {key.id: revoked}


async def test_a_key_that_is_rotated_remembers_the_secret_before(store: CompleteStore) -> None:
    key = an_api_key()
    await store.api_keys.add(key)

    rotated = await store.api_keys.rotate(key.id, b"n" * 32, old_until=NOW + HOUR, expires_at=NOW + 2 * HOUR)

    assert rotated == replace(
        key, secret_hash=b"n" * 32, old_hash=key.secret_hash, old_until=NOW + HOUR, expires_at=NOW + 2 * HOUR
    )
    assert await store.api_keys.all() == [rotated]


async def test_a_key_that_is_revoked_or_not_there_is_not_rotated(store: CompleteStore) -> None:
    key = an_api_key()
    await store.api_keys.add(key)
    await store.api_keys.revoke(key.id, now=NOW)

    for id_ in (key.id, ApiKeyId("nothing")):
        with pytest.raises(ApiKeyNotFound):
            await store.api_keys.rotate(id_, b"n" * 32, old_until=NOW, expires_at=NOW)
    with pytest.raises(ApiKeyNotFound):
        await store.api_keys.revoke(ApiKeyId("nothing"), now=NOW)


async def test_when_a_key_was_used_last_only_grows(store: CompleteStore) -> None:
    key, other = an_api_key(), an_api_key("other")
    await store.api_keys.add(key)
    await store.api_keys.add(other)

    await store.api_keys.used({key.id: NOW + HOUR, other.id: NOW, ApiKeyId("nothing"): NOW})
    await store.api_keys.used({key.id: NOW})

    found = await store.api_keys.found([key.id, other.id])
    assert (found[key.id].last_used_at, found[other.id].last_used_at) == (NOW + HOUR, NOW)

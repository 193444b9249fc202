"""The adapters that each contract is run for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncline.ports import CompleteStore
from tests.support import stores
from tests.support.stores import StoreFactory


@pytest.fixture(params=["sqlite", "postgres"])
def store_factory(request: pytest.FixtureRequest, tmp_path: Path) -> StoreFactory:
    """The contract suite runs for each of these."""
    if request.param == "sqlite":
        return stores.sqlite(tmp_path)
    return stores.postgres(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def store(store_factory: StoreFactory) -> AsyncIterator[CompleteStore]:
    store = await store_factory()
    yield store
    await store.close()

"""The adapters that each contract is run for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncline.ports import Store
from tests.support.stores import STORES, StoreFactory


@pytest.fixture(params=STORES)
def store_factory(request: pytest.FixtureRequest, tmp_path: Path) -> StoreFactory:
    name: str = request.param
    return STORES[name](tmp_path)


@pytest.fixture
async def store(store_factory: StoreFactory) -> AsyncIterator[Store]:
    store = await store_factory()
    yield store
    await store.close()

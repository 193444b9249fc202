"""A SQLite store on a disk that is watched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from syncline.storage.sqlite import SqliteStore
from tests.support.watched_disk import WatchedDisk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "syncline.db"


@pytest.fixture
def disk() -> Iterator[WatchedDisk]:
    disk = WatchedDisk()
    yield disk
    disk.unregister()


@pytest.fixture
async def store(path: Path, disk: WatchedDisk) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, vfs=disk.name)
    yield store
    await store.close()

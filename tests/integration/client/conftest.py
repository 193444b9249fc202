"""Devices against a server process. Each test has an identity of its own on a shared server, or a server of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.client import Device
from syncline.client.backoff import Backoff
from tests.support.server import RunningServer, running_server

OpenDevice = Callable[..., Device]
SCALE = timedelta(milliseconds=20)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that nobody stops."""
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that this test may kill."""
    with running_server(tmp_path / "server") as server:
        yield server


@pytest.fixture
def identity() -> str:
    return f"alice-{uuid.uuid4().hex[:8]}"


def quick_backoff() -> Backoff:
    return Backoff(shortest=SCALE, longest=10 * SCALE)


@pytest.fixture
async def open_device(tmp_path: Path, identity: str) -> AsyncIterator[Callable[..., Device]]:
    """Opens ``device`` of the test's identity; the same name is the same cache file."""
    async with AsyncExitStack() as stack:

        def opened(server: RunningServer, name: str, *, url: str | None = None, attempts: int = 5) -> Device:
            device = Device(
                url or server.url,
                token=server.token(name, identity),
                cache=tmp_path / f"{name}.db",
                backoff=quick_backoff,
                attempts=attempts,
            )
            stack.push_async_exit(device)
            return device

        yield opened

"""A store whose syncs wait at a gate, for tests of what happens meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from syncline.core.commit import Resync, SyncRequest
from syncline.core.pages import PageRequest
from syncline.ports import CompleteStore, Synced
from tests.support.web_server import PATIENCE_SECONDS, WebServer


class Gate:
    """To be handed to a server as ``wrap_store``; it is open until it is closed."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = asyncio.Event()
        self._open.set()

    def __call__(self, store: CompleteStore) -> CompleteStore:
        return cast(CompleteStore, _GatedStore(store, self))

    def close(self, server: WebServer) -> None:
        server.loop.call_soon_threadsafe(self._open.clear)

    def open(self, server: WebServer) -> None:
        server.loop.call_soon_threadsafe(self._open.set)

    async def reached(self) -> None:
        """Wait until a sync stands at the gate."""
        assert await asyncio.to_thread(self._reached.wait, PATIENCE_SECONDS)
        self._reached.clear()

    async def pass_through(self) -> None:
        self._reached.set()
        await self._open.wait()


class _GatedStore:
    def __init__(self, store: CompleteStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        await self._gate.pass_through()
        return await self._store.sync(request, page)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

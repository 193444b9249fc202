"""A subscription's connection: a sink for its feed at the node's end, events one by one at the device's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from syncline.core.events import FeedEvent
from syncline.errors import SynclineError
from syncline.service.sinks import SinkClosed
from tests.simulation.world import World

_STEP_SECONDS = 1e-6
"""What is sent later arrives later."""


class Cut(Exception):
    """The connection broke: nobody knows what the other side got."""


@dataclass(frozen=True)
class _End:
    error: SynclineError | None


class Stream:
    """It holds at most ``room`` events, on the wire or not yet looked at. More than that the sink refuses."""

    def __init__(self, world: World, room: int, hang_up: Callable[[Stream], None]) -> None:
        self._world = world
        self._room = room
        self._hang_up = hang_up
        self._inside = 0
        self._last_arrival = 0.0
        self._inbox: deque[Any] = deque()
        self._changed: asyncio.Future[None] | None = None
        self._has_room: asyncio.Future[None] | None = None
        self.closed = False
        """The node's end knows that it is over."""
        self.cut = False
        """The device's end knows that it is over."""

    # --- the node's end -----------------------------------------------------------------------------------------------

    def push(self, payload: Any) -> bool:
        if self.closed or self._inside >= self._room:
            return False
        self._put(payload)
        return True

    async def send(self, payload: Any) -> None:
        while self._inside >= self._room and not self.closed:
            self._has_room = self._world.loop.create_future()
            await self._has_room
        if self.closed:
            raise SinkClosed
        self._put(payload)

    def end(self, error: SynclineError | None) -> None:
        if not self.closed:
            self._put(_End(error))
            self._hang_up(self)

    def close(self) -> None:
        self.closed = True
        _wake(self._has_room)

    # --- the wire -----------------------------------------------------------------------------------------------------

    def _put(self, item: Any) -> None:
        world = self._world
        self._inside += 1
        arrival = world.loop.time() + world.within(world.weather.link_seconds)
        self._last_arrival = max(self._last_arrival + _STEP_SECONDS, arrival)
        world.loop.call_at(self._last_arrival, self._arrive, item)

    def _arrive(self, item: Any) -> None:
        if not self.cut:
            self._inbox.append(item)
            _wake(self._changed)

    # --- the device's end ---------------------------------------------------------------------------------------------

    async def next(self) -> FeedEvent | None:
        """The next event; None: there will be no more. Raises Cut, and what ended the feed."""
        while not self._inbox and not self.cut:
            self._changed = self._world.loop.create_future()
            await self._changed
        if self.cut:
            raise Cut
        item = self._inbox.popleft()
        self._inside -= 1
        _wake(self._has_room)
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return None
        event: FeedEvent = item
        return event

    def cut_off(self) -> None:
        """The connection breaks. The node hears of it later."""
        if not self.cut:
            self.cut = True
            self._inbox.clear()
            _wake(self._changed)
            self._world.loop.call_later(self._world.within(1.0), self._hang_up, self)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)

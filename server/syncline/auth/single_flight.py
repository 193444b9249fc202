"""Many who ask the same thing at once, and one who goes and looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Owns the tasks that look."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[T]] = {}

    async def run(self, key: K, look: Callable[[], Awaitable[T]]) -> T:
        """What ``look`` returns or raises, asked once for all who wait. Cancelling gives up the waiting only."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(_awaited(look), name="look")
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: K, flight: asyncio.Task[T]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            # All who waited may be gone: then nobody else takes note of the exception.
            flight.exception()

    async def close(self) -> None:
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


async def _awaited(look: Callable[[], Awaitable[T]]) -> T:
    return await look()

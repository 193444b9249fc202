"""The flush tick: under load, what is due to a socket within two milliseconds leaves in one write.

Of what a delivered event costs, most is the kernel's work for each write; fewer writes are the only way below that.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

TICK_SECONDS = 0.002
_SLICE = 1_000
"""Sockets that are written to in one go; between two slices the event loop gets its turn."""


class Flushable(Protocol):
    """Something with messages that may wait for the tick."""

    def flush(self) -> None:
        """Write what waits."""
        ...


class FlushTick:
    """One timer for all sockets. It runs only while something waits."""

    def __init__(self, seconds: float = TICK_SECONDS) -> None:
        self.seconds = seconds
        self._waiting: dict[Flushable, None] = {}
        self._timer: asyncio.Handle | None = None

    def add(self, waiting: Flushable) -> None:
        """Have ``waiting`` flushed at the next tick."""
        self._waiting[waiting] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._fire)

    def _fire(self) -> None:
        for _ in range(min(_SLICE, len(self._waiting))):
            first = next(iter(self._waiting))
            del self._waiting[first]
            first.flush()
        self._timer = asyncio.get_running_loop().call_soon(self._fire) if self._waiting else None

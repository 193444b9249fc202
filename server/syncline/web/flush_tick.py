"""The flush tick: under load, what is due to a socket within two milliseconds leaves in one write.

Of what a delivered event costs, most is the kernel's work for each write; fewer writes are the only way below that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
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
    """One clock for all sockets. It runs only while somebody needs it."""

    def __init__(self, seconds: float = TICK_SECONDS) -> None:
        self.seconds = seconds
        self.number = 0
        """Of the tick. Who was written to in this one waits for its end with what comes next."""
        self.running = False
        self._waiting: dict[Flushable, None] = {}

    def run(self) -> None:
        """Let the tick end, two milliseconds from now at the latest."""
        if not self.running:
            self.running = True
            asyncio.get_running_loop().call_later(self.seconds, self._end)

    def add(self, waiting: Flushable) -> None:
        """Have ``waiting`` flushed when the tick ends."""
        self._waiting[waiting] = None
        self.run()

    def _end(self) -> None:
        self.running = False
        self.number += 1
        waiting, self._waiting = self._waiting, {}
        self._flush(iter(waiting))

    def _flush(self, waiting: Iterator[Flushable]) -> None:
        slice_ = list(islice(waiting, _SLICE))
        for each in slice_:
            each.flush()
        if len(slice_) == _SLICE:
            asyncio.get_running_loop().call_soon(self._flush, waiting)

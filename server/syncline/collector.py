"""Keeps the cyclic garbage collector's walks short.

Each of its full collections walks over all that lives: schema, documents, and every connection. With nothing else done
that stops a server for 60 ms when it has just started, and for half a second when it holds thousands of sockets.

So what has lived for a while is taken out of all collections. It still goes when its last reference does; only a cycle
in it would stay. Nothing that lives long may therefore be part of one when it ends, as ``tests/integration/
test_cycles.py`` makes sure for sockets and subscriptions. What lives briefly may: the validation of a document leaves
hundreds of objects. For those not to be taken out while they are at work, it is done between two turns of the event
loop, when no code of the loop is running.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

THRESHOLDS = (10_000, 5, 1_000)
"""How many more objects, or collections of the generation before, bring the next collection of each generation."""
_LOOK_SECONDS = 1.0
_THOROUGHLY_EVERY = timedelta(hours=6)
"""Then all is walked over after all, should a cycle have slipped through."""


class _Collector:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._something_aged = False
        self._thorough_at = loop.time() + _THOROUGHLY_EVERY.total_seconds()
        self._next = loop.call_later(_LOOK_SECONDS, self._look)

    def on_collection(self, phase: str, info: dict[str, Any]) -> None:
        # In whichever thread made the last object.
        if phase == "stop" and info["generation"] == 1:
            self._something_aged = True

    def _look(self) -> None:
        if self._loop.time() >= self._thorough_at:
            gc.unfreeze()
            self.take_out(2)
            self._thorough_at = self._loop.time() + _THOROUGHLY_EVERY.total_seconds()
        elif self._something_aged:
            self.take_out(1)
        self._next = self._loop.call_later(_LOOK_SECONDS, self._look)

    def take_out(self, generation: int) -> None:
        """Leave all that lives out of later collections, once those up to ``generation`` have been looked through."""
        gc.collect(generation)
        gc.freeze()
        self._something_aged = False

    def stop(self) -> None:
        self._next.cancel()


@contextmanager
def short_collections() -> Iterator[None]:
    """To be entered on the event loop when all is set up."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    collector = _Collector(asyncio.get_running_loop())
    gc.callbacks.append(collector.on_collection)
    collector.take_out(2)
    try:
        yield
    finally:
        gc.callbacks.remove(collector.on_collection)
        collector.stop()
        gc.unfreeze()
        gc.set_threshold(*before)

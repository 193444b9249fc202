"""What all parts of a run share: time, dice, weather, books, and a place to report what went wrong."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.database import Database
from tests.simulation.ledger import Ledger
from tests.simulation.trace import Trace
from tests.simulation.violation import Violation
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.weather import Weather, rough

if TYPE_CHECKING:
    from tests.simulation.node import Node

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """One run. ``dice`` is the only source of chance in it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 # to be repeatable
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(self._on_unhandled)
        self.trace = Trace(self.loop.time)
        self.ledger = Ledger()
        self.database = Database()
        self.weather: Weather = rough(self.dice)
        self.bus_down = False
        self.sweeps = True
        self.nodes: list[Node] = []
        self.failed: asyncio.Future[None] = self.loop.create_future()

    def now(self) -> datetime:
        return _BEGINNING + timedelta(seconds=self.loop.time())

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.dice.random() < probability

    def within(self, seconds: float) -> float:
        """A moment of the next so many seconds."""
        return self.dice.random() * seconds

    def fail(self, error: BaseException) -> None:
        """End the run: the first error counts."""
        if not self.failed.done():
            self.trace.add("VIOLATION", error)
            self.failed.set_exception(error)

    def _on_unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.fail(context.get("exception") or Violation("no callback fails", context["message"]))


def short(id_: str) -> str:
    """An id as a trace names it."""
    return id_[:6]

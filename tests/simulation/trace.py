"""What happened, in order: the same for the same seed, in whatever process it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

Entry = tuple[float, str, tuple[Any, ...]]


class Trace:
    """A list of events with their virtual times. It costs little until somebody reads it."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._entries: list[Entry] = []

    def add(self, event: str, *facts: Any) -> None:
        """``facts`` must be values that print alike in every process, and that nobody changes."""
        self._entries.append((self._time(), event, facts))

    def events(self) -> set[str]:
        """The kinds of events that there are."""
        return {event for _, event, _ in self._entries}

    def lines(self) -> list[str]:
        return [f"{time:10.6f}  {event:<22} {' '.join(map(str, facts))}" for time, event, facts in self._entries]

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()

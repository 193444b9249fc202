"""Who has which event: notes are numbered, and each is awaited from every watcher."""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable

from tests.benchmarks.wire.failures import LoadFailed

_NUMBERS = re.compile(rb'"n":(\d+)')


class Tally:
    """Counts deliveries of the notes that ``sent`` was told of. Several may arrive in one event."""

    def __init__(self, watchers: int, on_everywhere: Callable[[int], None]) -> None:
        self.seconds = array("d")
        """From sending to each delivery."""
        self.frames = 0
        """Messages that the notes came in."""
        self.last_message = b""
        self._watchers = watchers
        self._on_everywhere = on_everywhere
        self._awaited: dict[bytes, int] = {}
        self._began: dict[bytes, float] = {}

    @property
    def all_delivered(self) -> bool:
        """Everybody has all that was sent."""
        return not self._awaited

    def sent(self, number: int) -> None:
        """From now on every watcher is to get the note ``number``."""
        key = b"%d" % number
        self._awaited[key] = self._watchers
        self._began[key] = time.perf_counter()

    def take(self, message: bytes) -> None:
        """An event, as a watcher got it."""
        now = time.perf_counter()
        awaited = self._awaited
        self.frames += 1
        self.last_message = message
        for number in _NUMBERS.findall(message):
            left = awaited.get(number)
            if left is None:
                raise LoadFailed(f"note {number.decode()} came again when everybody had it")
            self.seconds.append(now - self._began[number])
            if left == 1:
                del awaited[number], self._began[number]
                self._on_everywhere(int(number))
            else:
                awaited[number] = left - 1

    def forget(self) -> None:
        """Measure anew."""
        del self.seconds[:]
        self.frames = 0

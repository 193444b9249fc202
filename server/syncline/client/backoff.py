"""How long to wait before the next attempt: exponential with full jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

_DOUBLINGS = 32


class Backoff:
    """Delays anywhere between zero and a bound that doubles with each one, up to ``longest``.

    Full jitter keeps devices that lost the same server from coming back at the same moment:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(
        self,
        *,
        shortest: timedelta = timedelta(milliseconds=250),
        longest: timedelta = timedelta(seconds=30),
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not timedelta(0) < shortest <= longest:
            raise ValueError("shortest must be positive and at most longest")
        self._shortest = shortest
        self._longest = longest
        self._chance = chance
        self._delays = 0

    @property
    def bound(self) -> timedelta:
        """The next delay is at most this."""
        return min(self._longest, self._shortest * (1 << min(self._delays, _DOUBLINGS)))

    def next_delay(self) -> timedelta:
        """Time to wait now; the following delay may be twice as long."""
        delay = self.bound * self._chance()
        self._delays += 1
        return delay

    def reset(self) -> None:
        """An attempt went well: the next delay is a short one again."""
        self._delays = 0

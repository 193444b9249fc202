"""How often somebody may do something: so many times a second in the long run, and some more at once."""

from __future__ import annotations


class Allowance:
    """One caller's, unused so far. The generic cell rate algorithm, as in ``core/pace.py``, which refuses."""

    __slots__ = ("_ahead", "_interval", "_used_up_to")

    def __init__(self, *, per_second: float, at_once: int) -> None:
        self._interval = 1 / per_second
        self._ahead = (at_once - 1) * self._interval
        self._used_up_to = float("-inf")

    def take(self, now: float) -> float:
        """Use it once, at ``now`` in seconds; 0: it was allowed. Otherwise the seconds until it will be."""
        used_up_to = max(self._used_up_to, now)
        wait = used_up_to - self._ahead - now
        if wait > 0:
            return wait
        self._used_up_to = used_up_to + self._interval
        return 0.0

    def whole(self, now: float) -> bool:
        """Whether nothing of it is used: it is like a new one."""
        return self._used_up_to <= now

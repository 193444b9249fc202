"""How often a dataset's followers are served, so that a hot dataset leaves time for the others."""

from __future__ import annotations

_FOLLOWER_SECONDS = 50e-6
"""Some seven times what serving one follower takes."""
_LONGEST_SECONDS = 0.05
_CREDIT = 20
"""Passes: what a second holds where the interval is longest."""


def interval(followers: int) -> float:
    """Seconds from one pass over so many followers to the next: from 1,000 of them on, 20 passes a second."""
    return min(_LONGEST_SECONDS, followers * _FOLLOWER_SECONDS)


class Pace:
    """Says when the next pass may begin.

    At once, as long as commits come one by one: up to 20 passes may run ahead of the interval before they have to keep
    it. As soon as commits have to wait for each other that credit is used up, and it grows again with the time. This is
    the generic cell rate algorithm of ITU-T I.371, with that one addition.
    """

    def __init__(self) -> None:
        self._expected_at = float("-inf")

    def due_at(self, now: float, interval: float) -> float:
        """When the next pass may begin; not before ``now``."""
        return max(now, self._expected_at - _CREDIT * interval)

    def begun(self, now: float, interval: float, *, crowded: bool) -> None:
        """A pass begins now; ``crowded``: with several commits, because they came faster than they could be served."""
        used_up = now + _CREDIT * interval if crowded else now
        self._expected_at = max(self._expected_at, used_up) + interval

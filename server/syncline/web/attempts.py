"""How often each caller did something in the last minute. Pure: the time is passed in, in seconds."""

from __future__ import annotations

import math

WINDOW_SECONDS = 60.0


class Attempts:
    """A sliding window of a minute: this minute's count, and of the last minute's as much as still reaches into it.

    What was refused does not count, so a caller that keeps trying gets as much as one that waits. Both minutes are
    forgotten as a whole: that costs nothing, however many callers there are.
    """

    __slots__ = ("_before", "_now", "_window")

    def __init__(self) -> None:
        self._window = 0
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def hit(self, caller: str, *, most: int, now: float) -> float:
        """Count one more, if that is not over ``most``: then nothing is counted, and the seconds to wait returned."""
        window, elapsed = int(now // WINDOW_SECONDS), now % WINDOW_SECONDS
        if window != self._window:
            self._before = self._now if window == self._window + 1 else {}
            self._now, self._window = {}, window
        count, before = self._now.get(caller, 0), self._before.get(caller, 0)
        if count + 1 + before * (WINDOW_SECONDS - elapsed) / WINDOW_SECONDS <= most:
            self._now[caller] = count + 1
            return 0.0
        free_at = WINDOW_SECONDS if count + 1 > most else WINDOW_SECONDS - (most - count - 1) * WINDOW_SECONDS / before
        return float(max(1, math.ceil(free_at - elapsed)))

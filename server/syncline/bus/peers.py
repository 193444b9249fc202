"""Noticing that hints may have been lost: from the numbers that messages carry, and from silence."""

from __future__ import annotations

from typing import Final

_MOST_PEERS: Final = 1_024
_SILENT_BEATS: Final = 2
"""A connection that lives is heard at every beat; one may be late, or lost."""
_FORGOTTEN_BEATS: Final = 40
"""Who says nothing for so long (a minute) is gone, not cut off."""


class Peers:
    """How far each connection of the other nodes has been heard."""

    def __init__(self) -> None:
        self.gaps = 0
        """How often numbers were skipped."""
        self._next: dict[bytes, int] = {}
        self._quiet_beats: dict[bytes, int] = {}
        """For how many beats a connection was not heard; none: it was."""

    def heard(self, origin: bytes, sequence: int) -> bool:
        """Take note of a message; True: something may have been lost, so the log has to be looked at.

        A connection not heard of before is such a case: the one that its node had before may have broken with hints
        on their way.
        """
        expected = self._next.get(origin)
        if expected is None:
            if len(self._next) >= _MOST_PEERS:
                # Not that many nodes: most of these are gone, or somebody invents them.
                self.forget()
            self._next[origin] = sequence + 1
            return True
        if self._quiet_beats:
            self._quiet_beats.pop(origin, None)
        if sequence < expected:
            return False
        self._next[origin] = sequence + 1
        if sequence > expected:
            self.gaps += 1
            return True
        return False

    def beat_passed(self) -> bool:
        """To be called at each beat of our own; True: somebody fell silent, and may be committing unheard.

        Whoever is cut off from Redis alone cannot tell the others.
        """
        silent = False
        for origin in list(self._next):
            quiet = self._quiet_beats[origin] = self._quiet_beats.get(origin, -1) + 1
            if quiet >= _FORGOTTEN_BEATS:
                del self._next[origin], self._quiet_beats[origin]
            elif quiet >= _SILENT_BEATS:
                silent = True
        return silent

    def forget(self) -> None:
        """Begin anew, as after an outage of our own."""
        self._next.clear()
        self._quiet_beats.clear()

"""Noticing that hints were lost, from the numbers that they carry."""

from __future__ import annotations

from typing import Final

_MOST_PEERS: Final = 1_024


class Peers:
    """How far each connection of another node has been heard."""

    def __init__(self) -> None:
        self.gaps = 0
        """How often numbers were skipped."""
        self._next: dict[bytes, int] = {}

    def heard(self, origin: bytes, sequence: int) -> bool:
        """Take note of a message; True: something may have been lost, so the log has to be looked at.

        A connection not heard of before is such a case: the one that its node had before may have broken with hints
        on their way.
        """
        expected = self._next.get(origin)
        if expected is None:
            if len(self._next) >= _MOST_PEERS:
                # Not that many nodes: most of these are gone, or somebody invents them.
                self._next.clear()
            self._next[origin] = sequence + 1
            return True
        if sequence < expected:
            return False
        self._next[origin] = sequence + 1
        if sequence > expected:
            self.gaps += 1
            return True
        return False

    def forget(self) -> None:
        """Begin anew, as after an outage of our own."""
        self._next.clear()

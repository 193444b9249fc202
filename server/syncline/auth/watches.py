"""Watches of credentials that nobody can take back."""

from __future__ import annotations

from typing import Final

from syncline.ports import Watch


class _Unwatched:
    def close(self) -> None:
        return


UNWATCHED: Final[Watch] = _Unwatched()

"""What was found out about a token, remembered by its hash; at most so many, the longest unused go first."""

from __future__ import annotations

import hashlib
from typing import Final, Generic, TypeVar

REMEMBERED: Final = 4_096

T = TypeVar("T")


def hash_of(*texts: str) -> bytes:
    """A name for ``texts`` that does not give them away."""
    return hashlib.sha256(repr(texts).encode("utf-8", "surrogatepass")).digest()


class Remembered(Generic[T]):
    """A bounded map from hashes."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._known: dict[bytes, T] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: bytes) -> bool:
        return name in self._known

    def get(self, name: bytes) -> T | None:
        value = self._known.pop(name, None)
        if value is not None:
            self._known[name] = value
        return value

    def keep(self, name: bytes, value: T) -> None:
        self._known.pop(name, None)
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[name] = value

    def clear(self) -> None:
        self._known.clear()

"""What one task at a time waits for, at a few bytes while nobody does.

asyncio's own queue and event hold up to four deques of 0.7 KB each, which for thousands of idle sockets is a good part
of all their memory.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue with one reader; the part of ``asyncio.Queue`` that uvicorn's protocol uses."""

    __slots__ = ("_items", "_reader")

    def __init__(self) -> None:
        self._items: list[T] = []
        self._reader: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        return not self._items

    def put_nowait(self, item: T) -> None:
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> T:
        """The next item. Only one task at a time may wait for it."""
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.pop(0)


class Gate:
    """Open or shut; the part of ``asyncio.Event`` that is used here. It begins open."""

    __slots__ = ("opening",)

    def __init__(self) -> None:
        self.opening: asyncio.Future[None] | None = None
        """There while it is shut."""

    def is_set(self) -> bool:
        return self.opening is None

    def set(self) -> None:
        """Open it."""
        opening, self.opening = self.opening, None
        if opening is not None and not opening.done():
            opening.set_result(None)

    def clear(self) -> None:
        """Shut it."""
        if self.opening is None:
            self.opening = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Wait until it is opened; any number of tasks may."""
        if self.opening is not None:
            # One of them being cancelled must not end it for all.
            await asyncio.shield(self.opening)

"""Mutations under way. Neither a disconnect nor ``complete`` stops one: what a device asked for, it may rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from syncline.errors import Overloaded
from syncline.logs import get_logger

_log = get_logger(__name__)

T = TypeVar("T")


class Mutations:
    """Owns the tasks of all mutations of this server."""

    def __init__(self, *, max_pending: int) -> None:
        self._max_pending = max_pending
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def pending(self) -> int:
        return len(self._tasks)

    async def run(self, mutation: Callable[[], Awaitable[T]]) -> T:
        """The mutation's outcome. Cancelling gives up the waiting; the mutation itself goes on.

        Raises Overloaded, before anything was done, when as many are under way as may be.
        """
        if len(self._tasks) >= self._max_pending:
            raise Overloaded("too many mutations are under way")
        task = asyncio.create_task(_awaited(mutation), name="mutation")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def drain(self) -> None:
        """Wait until none is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def _awaited(mutation: Callable[[], Awaitable[T]]) -> T:
    return await mutation()


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("abandoned_mutation_failed", exc_info=task.exception())

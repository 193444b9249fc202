"""An event loop whose clock jumps to the next timer as soon as nothing is left to do: hours pass in no time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from contextvars import Context, ContextVar
from typing import Any


class Deadlock(Exception):
    """Everybody waits, and no timer is set: nothing would ever happen again."""


class Owner:
    """Whoever's tasks are to be known, to be cancelled all at once, or to be awaited."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def running(self) -> list[asyncio.Task[Any]]:
        """In the order in which they began."""
        self.tasks = [task for task in self.tasks if not task.done()]
        return self.tasks


OWNER: ContextVar[Owner] = ContextVar("OWNER")
"""Whose code runs. What it starts inherits it: tasks, timers and callbacks."""


class _NeverWaits:
    """In place of the system's selector: there are no files here, only time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self._loop.jump()
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """The standard library's loop, with timers and callbacks alone. The same calls give the same order each time."""

    # What the base class expects of its subclasses, and what its timers are kept in; the type stubs name neither.
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = _NeverWaits(self)
        self.set_task_factory(_owned_task)  # type: ignore[arg-type] # that there is a context the type stubs do not know

    def time(self) -> float:
        """Seconds since the beginning, in the loop's own world."""
        return self._now

    def jump(self) -> None:
        """Go on to the next timer. To its very moment: a sum of differences would miss it by a rounding."""
        self._now = max(self._now, self._scheduled[0].when())
        # What is due by then is what comes before this much later, which must be later, however late it is.
        self._clock_resolution = math.ulp(self._now)

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        raise RuntimeError("the simulation has no threads")


def _owned_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    owner = OWNER.get(None) if context is None else context.get(OWNER)
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context)
    if owner is not None:
        owner.tasks.append(task)
    return task

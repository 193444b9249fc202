"""The way between devices and nodes: what is asked may be lost, doubled, or late, and so may the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from syncline.errors import SynclineError
from tests.simulation.node import Incarnation, Node, OpenFeed
from tests.simulation.stream import Cut, Stream
from tests.simulation.world import World

_PATIENCE_SECONDS = 2.0

T = TypeVar("T")
Work = Callable[[Incarnation], Coroutine[Any, Any, T]]


class Network:
    def __init__(self, world: World) -> None:
        self._world = world

    def _delay(self) -> float:
        return self._world.within(self._world.weather.link_seconds)

    # --- requests -----------------------------------------------------------------------------------------------------

    async def request(self, node: Node, work: Work[T]) -> T:
        """What ``work`` returns or raises on the node. Raises Cut if that is not known; it may be done all the same."""
        world = self._world
        answer: asyncio.Future[T] = world.loop.create_future()
        copies = 2 if world.happens(world.weather.request_doubled) else 1
        for _ in range(copies):
            if not world.happens(world.weather.request_lost):
                world.loop.call_later(self._delay(), self._arrive, node, work, answer)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await answer
        except TimeoutError:
            raise Cut from None

    def _arrive(self, node: Node, work: Work[T], answer: asyncio.Future[T]) -> None:
        if node.now is None:
            self._world.loop.call_later(self._delay(), _settle, answer, None, Cut())
            return
        # Once it was taken in it goes on, whoever still waits for it.
        task = node.now.spawn(work(node.now))
        task.add_done_callback(lambda task: self._answer(task, answer))

    def _answer(self, task: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
        world = self._world
        if task.cancelled():
            world.loop.call_later(self._delay(), _settle, answer, None, Cut())
            return
        error = task.exception()
        if error is not None and not isinstance(error, SynclineError):
            world.fail(error)
            return
        if world.happens(world.weather.answer_lost):
            return
        world.loop.call_later(self._delay(), _settle, answer, None if error is not None else task.result(), error)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    async def subscribe(self, node: Node, open_feed: OpenFeed, room: int) -> Stream:
        """A stream on which the feed arrives, or why it does not. Raises Cut."""
        await asyncio.sleep(self._delay())
        now = node.now
        if now is None or self._world.happens(self._world.weather.request_lost):
            raise Cut
        stream = Stream(self._world, room, now.hang_up)
        task = now.spawn(now.subscribe(stream, open_feed))
        task.add_done_callback(self._check_opened)
        return stream

    def _check_opened(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._world.fail(error)


def _settle(answer: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)

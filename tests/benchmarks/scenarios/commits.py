"""Syncs that are sent when every watcher has an earlier one, a given number of them under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from itertools import count

from tests.benchmarks.scenarios.watching import checkpoint_of, watch_all
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.tally import Tally
from tests.benchmarks.target import Target
from tests.benchmarks.wire.websocket import SocketConnection
from tests.benchmarks.wire.writers import Transport, Writer, open_writer

VALUE_BYTES = 1
"""Makes an event's frame about 320 bytes long."""


class Commits:
    """Writers to one dataset, and those who watch it."""

    @classmethod
    async def open(
        cls,
        target: Target,
        tokens: Sequence[str],
        dataset: str,
        watchers: Sequence[SocketConnection],
        *,
        name: str = "writer",
    ) -> Commits:
        """One writer for each token. ``name`` tells these commits from others to the dataset."""
        writers = [await open_writer(target, Transport.WEBSOCKET, token) for token in tokens]
        return cls(writers, dataset, watchers, name)

    def __init__(
        self, writers: Sequence[Writer], dataset: str, watchers: Sequence[SocketConnection], name: str
    ) -> None:
        self.tally = Tally(len(watchers), self._one_step_of)
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._writers = writers
        self._bodies = [
            SyncBodies(dataset, f"{name}-{at}", value_bytes=VALUE_BYTES, numbers=self._numbers)
            for at in range(len(writers))
        ]
        self._steps_left: dict[int, int] = {}
        self._writer_of: dict[int, int] = {}
        self._over: asyncio.Future[None]
        for at, writer in enumerate(writers):
            writer.on_done = partial(self._acknowledged, at)
            writer.failed.add_done_callback(self._on_failure)
        for watcher in watchers:
            watcher.on_message = self.tally.take
            watcher.failed.add_done_callback(self._on_failure)

    async def run(self, *, under_way: int, seconds: float, at_least: int, at_most: int | None = None) -> None:
        """Send for so long, but so many at least and at most. Returns when all have been delivered.

        A writer's next sync follows as soon as its last one has reached everybody.
        """
        self._over = self._loop.create_future()
        self._until = time.perf_counter() + seconds
        self._at_least = at_least
        self._at_most = at_most
        self._sent = 0
        for at in range(under_way):
            self._send(at)
        await self._over

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def _send(self, at: int) -> None:
        body = self._bodies[at].next()
        number = self._bodies[at].number
        self._sent += 1
        self._steps_left[number] = 2
        self._writer_of[number] = at
        self.tally.sent(number)
        self._writers[at].send(body)

    def _acknowledged(self, at: int) -> None:
        self._one_step_of(self._bodies[at].number)

    def _one_step_of(self, number: int) -> None:
        """It was acknowledged, or everybody has it."""
        self._steps_left[number] -= 1
        if self._steps_left[number]:
            return
        del self._steps_left[number]
        at = self._writer_of.pop(number)
        if self._over.done():
            return
        if self._wants_more():
            self._send(at)
        elif not self._steps_left:
            self._over.set_result(None)

    def _wants_more(self) -> bool:
        if self._at_most is not None and self._sent >= self._at_most:
            return False
        return self._sent < self._at_least or time.perf_counter() < self._until

    def _on_failure(self, failure: asyncio.Future[None]) -> None:
        error = None if failure.cancelled() else failure.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)


async def first_of_everything(target: Target, token: str, dataset: str) -> str:
    """Make the dataset, with a watcher, so that the server has done all of it once; the checkpoint it has then."""
    sockets = await watch_all(target, [token], dataset)
    commits = await Commits.open(target, [token], dataset, sockets, name="first")
    await commits.run(under_way=1, seconds=0.0, at_least=1)
    commits.close()
    sockets[0].close()
    return checkpoint_of(commits.tally.last_message)

"""The rooms of this node: one for each dataset that somebody here is present on or watches, kept up to date.

A room is silent but for what happens in it and, while somebody is present in it by this node, one announcement every
few seconds. A server on which nobody asks for presence has no room, no timer, and tells other nodes nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from itertools import count
from typing import Any, Final

from syncline.core.events import DatasetDeleted
from syncline.core.ids import DatasetId
from syncline.core.model import DatasetHead
from syncline.core.presence import ConnectionId, NodeId, PresenceLimits, Who
from syncline.errors import SynclineError
from syncline.logs import get_logger
from syncline.ports import Bus, Clock, Store
from syncline.service.presence_room import PresenceTiming, Room

_log = get_logger(__name__)

_random = random.Random()  # noqa: S311 # ids open nothing
_TICKS: Final = 10
"""In the time from one announcement to the next."""
_BURST: Final = 50
"""Rooms that announce in one go: the bus takes no more letters at once than it can send."""
_BETWEEN_BURSTS_SECONDS: Final = 0.01


class Rooms:
    """Opens rooms, and closes those that nobody has used for a while."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, limits: PresenceLimits, timing: PresenceTiming) -> None:
        self.subscriptions = 0
        """That are open."""
        self._store = store
        self._bus = bus
        self._clock = clock
        self._limits = limits
        self._timing = timing
        self._node = NodeId(f"{_random.getrandbits(64):016x}")
        self._numbers = count()
        self._connections = count()
        self._rooms: dict[DatasetId, Room] = {}
        self._bus_was_up = bus.up
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        bus.on_change(self._on_bus)

    @property
    def present(self) -> int:
        """By how many connections to this node somebody is present."""
        return sum(len(room.roster.own) for room in self._rooms.values())

    def room(self, head: DatasetHead) -> Room:
        """The dataset's room, which stays open as long as it has watchers, and some seconds more."""
        dataset = head.id
        room = self._rooms.get(dataset)
        if room is None:
            room = self._rooms[dataset] = Room(
                head,
                node=self._node,
                numbers=self._numbers,
                bus=self._bus,
                clock=self._clock,
                timing=self._timing,
                on_look=lambda: self._own(self._look([dataset])),
            )
            self._own(self._open(room))
            if self._keeping is None:
                self._keeping = asyncio.create_task(self._keep(), name="presence")
        room.used_at = asyncio.get_running_loop().time()
        return room

    def check_space(self, dataset: DatasetId, who: Who) -> None:
        """Raises LimitExceeded if one more device than may be would be present, as far as this node knows."""
        room = self._rooms.get(dataset)
        present = {} if room is None else room.roster.present()
        if who not in present:
            self._limits.check_present(len(present) + 1)

    def new_connection(self) -> ConnectionId:
        return ConnectionId(next(self._connections))

    async def close(self) -> None:
        """Close all rooms. To be called when no subscription is open any more."""
        tasks = [*self._tasks, *([] if self._keeping is None else [self._keeping])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._rooms:
            self._rooms.popitem()[1].close()

    # --- keeping them up to date -------------------------------------------------------------------------------------

    async def _open(self, room: Room) -> None:
        await room.open()
        # It may have been deleted since it was found, and before anybody here could hear of it.
        await self._look([room.dataset])

    async def _keep(self) -> None:
        loop, every = asyncio.get_running_loop(), self._timing.announce_every.total_seconds()
        looked_at = loop.time()
        try:
            while self._rooms:
                await asyncio.sleep(every / _TICKS)
                try:
                    await self._tick(loop.time())
                    if loop.time() - looked_at >= every:
                        looked_at = loop.time()
                        await self._look(list(self._rooms))
                except Exception:
                    # A fault of ours must not leave the others' people there for good.
                    _log.exception("presence_failed")
        finally:
            self._keeping = None

    async def _tick(self, now: float) -> None:
        lingers = self._timing.announce_every.total_seconds()
        busy = 0
        for room in list(self._rooms.values()):
            if not room.in_use and now - room.used_at > lingers:
                del self._rooms[room.dataset]
                room.close()
                continue
            busy += room.tick(now)
            if busy == _BURST:
                busy = 0
                await asyncio.sleep(_BETWEEN_BURSTS_SECONDS)

    async def _look(self, datasets: Sequence[DatasetId]) -> None:
        """End the rooms of those that are deleted, and whatever is of those who may not see the others any more."""
        try:
            heads = await self._store.heads(datasets)
        except SynclineError as error:
            # It is looked for again, with all others.
            _log.warning("presence_look_failed", code=error.code)
            return
        for dataset in datasets:
            head, room = heads.get(dataset), self._rooms.get(dataset)
            if room is None:
                continue
            if head is None or head.deleted:
                for watcher in list(room.audience.watchers):
                    watcher.end_with(DatasetDeleted(dataset=dataset, name=room.name))
            elif room.needs_a_look(head.scope):
                await self._look_who_sees(room)

    async def _look_who_sees(self, room: Room) -> None:
        try:
            access = await self._store.access(room.tenant, room.dataset)
        except SynclineError as error:
            _log.warning("presence_look_failed", code=error.code)
            return
        if access is not None:
            room.seen_by(access.roles, access.scope)

    async def sweep(self) -> None:
        """Look at all rooms that are open."""
        if self._rooms:
            await self._look(list(self._rooms))

    def _on_bus(self) -> None:
        if self._bus.up and not self._bus_was_up:
            for room in self._rooms.values():
                room.reconnected()
        self._bus_was_up = self._bus.up

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="presence room")
        self._tasks.add(task)
        task.add_done_callback(self._disown)

    def _disown(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("presence_failed", exc_info=task.exception())

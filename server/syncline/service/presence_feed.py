"""The feed of one presence subscription: the list of all who are present, then what changes.

With a state it makes its device present as long as it is open; without, it only watches. At rest it has no task: the
room pushes. One runs while a dataset of that name does not exist yet, and while the sink had no room.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from contextlib import aclosing
from typing import Any

from syncline.core.events import AccessEnded, DatasetDeleted
from syncline.core.json_values import JsonText
from syncline.core.model import DatasetHead, DatasetRef, Viewer
from syncline.core.presence import ConnectionId, PresenceList, Present, Who, changes, listed
from syncline.errors import InternalError, SynclineError
from syncline.logs import get_logger, new_id
from syncline.service.datasets import Datasets
from syncline.service.memberships import Memberships
from syncline.service.presence_room import Room
from syncline.service.presence_rooms import Rooms
from syncline.service.sinks import Mailbox, Sink, SinkClosed

_log = get_logger(__name__)


class PresenceFeed:
    """What one subscription is told. Start it once with a sink, or iterate over it; then close it."""

    __slots__ = (
        "_closed",
        "_connection",
        "_datasets",
        "_encode",
        "_head",
        "_memberships",
        "_ref",
        "_room",
        "_rooms",
        "_state",
        "_task",
        "_told",
        "group",
        "scope",
        "sink",
        "viewer",
    )

    sink: Sink
    """From the start on, and so are ``group`` and ``_encode``."""

    def __init__(
        self,
        viewer: Viewer,
        ref: DatasetRef,
        head: DatasetHead | None,
        state: JsonText | None,
        rooms: Rooms,
        datasets: Datasets,
        memberships: Memberships,
    ) -> None:
        self.viewer = viewer
        self.group: Hashable = None
        self.scope = 0
        self._ref = ref
        self._head = head
        """As it was found; None: there is none yet, or the room is entered."""
        self._state = state
        self._rooms = rooms
        self._datasets = datasets
        self._memberships = memberships
        self._encode: Callable[[Any], Any] | None = None
        self._room: Room | None = None
        self._connection: ConnectionId | None = None
        self._told: Mapping[Who, Present] | None = None
        """While it catches up: what the device knows. None: nothing."""
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    # --- for the transport -------------------------------------------------------------------------------------------

    def start(self, sink: Sink, encode: Callable[[Any], Any], cohort: Hashable) -> None:
        """Begin to deliver, and be present. Feeds of the same cohort must encode every event alike."""
        self.sink, self._encode, self.group = sink, encode, cohort
        self._rooms.subscriptions += 1
        if self._head is None:
            self._run(self._wait_for_dataset())
        else:
            self._enter(self._head)

    async def close(self) -> None:
        """Deliver nothing more, and be gone. Safe to call twice, and from any task but the feed's own."""
        if self._closed:
            return
        self._closed = True
        self._leave()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._encode is not None:
            self._rooms.subscriptions -= 1
            # They hold the feed: what is kept of it would wait for the cyclic collector.
            self._encode = None
            del self.sink

    async def __aiter__(self) -> AsyncIterator[Any]:
        mailbox = Mailbox()
        self.start(mailbox, lambda event: event, cohort=mailbox)
        try:
            async with aclosing(aiter(mailbox)) as events:
                async for event in events:
                    yield event
        finally:
            await self.close()

    # --- for the room ------------------------------------------------------------------------------------------------

    def encode(self, event: Any) -> Any:
        if self._encode is None:
            raise RuntimeError("the feed was not started")
        return self._encode(event)

    def left_at(self, told: Mapping[Who, Present] | None) -> None:
        self._told = told
        self._run(self._catch_up())

    def end_with(self, event: AccessEnded | DatasetDeleted) -> None:
        if self._room is None:
            return
        self._leave()
        if self._task is not None:
            self._task.cancel()
        try:
            told = self.sink.push(self.encode(event))
        except Exception as error:
            self._fail(error)
            return
        if told:
            self.sink.end(None)
        else:
            self._run(self._say_last(event))

    # --- coming and going --------------------------------------------------------------------------------------------

    def _enter(self, head: DatasetHead) -> None:
        self._head = None
        self.scope = head.scope
        self._room = room = self._rooms.room(head)
        if self._state is not None:
            self._connection = self._rooms.new_connection()
            room.enter(self._connection, (self.viewer.identity, self.viewer.device), self._state)
            # What it is now, the room knows.
            self._state = None
        room.add(self)

    def _leave(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.remove(self)
            if self._connection is not None:
                room.leave(self._connection)

    # --- the task ----------------------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(self._guarded(work), name="presence feed")

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SinkClosed:
            pass
        except Exception as error:
            self._fail(error)
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    def _fail(self, error: Exception) -> None:
        """It cannot go on: the device is to come back."""
        self._leave()
        if not isinstance(error, SynclineError):
            fault = InternalError(new_id())
            _log.error("feed_failed", request_id=fault.facts["requestId"], exc_info=error)
            error = fault
        if not self._closed:
            self.sink.end(error)

    async def _wait_for_dataset(self) -> None:
        changed = asyncio.Event()
        membership = await self._memberships.watch(self.viewer.identity, lambda _visible: changed.set())
        try:
            await self.sink.send(self.encode(PresenceList(present=())))
            while True:
                changed.clear()
                standing = await self._datasets.find(self.viewer, self._ref)
                if standing is not None:
                    break
                await changed.wait()
        finally:
            membership.close()
        if self._state is not None:
            self._rooms.check_space(standing.head.id, (self.viewer.identity, self.viewer.device))
        self._enter(standing.head)

    async def _catch_up(self) -> None:
        while self._room is not None:
            room, told = self._room, self._room.audience.told
            event = listed(told) if self._told is None else changes(self._told, told)
            if event is None:
                self._told = None
                room.audience.add_live(self)
                return
            await self.sink.send(self.encode(event))
            self._told = told

    async def _say_last(self, event: AccessEnded | DatasetDeleted) -> None:
        await self.sink.send(self.encode(event))
        self.sink.end(None)

"""A server without its sockets: the real store, the bus and the services, wired as ``app.py`` wires them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from syncline.auth.guest_tokens import JwtGuestTokens
from syncline.bus.local import LocalBus
from syncline.core.changes import Change, Increment, Put
from syncline.core.checkpoint import Since
from syncline.core.commit import Resync
from syncline.core.feed import Hint
from syncline.core.ids import DatasetName, DeviceId, IdentityId, MutationId, RecordKey
from syncline.core.json_values import json_text
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, Viewer
from syncline.errors import SynclineError
from syncline.metrics import Metrics
from syncline.ports import Bus, CompleteStore, Ear, Listener, Synced, Topic, Watch
from syncline.service.feeds import Feed
from syncline.service.presence_room import PresenceTiming
from syncline.storage.sqlite import SqliteStore
from syncline.wiring import assemble

NOTES = DatasetRef(name=DatasetName("notes"))
PATIENCE = timedelta(seconds=20)


def now() -> datetime:
    return datetime.now(UTC)


def viewer(device: str = "phone", identity: str = "alice") -> Viewer:
    return Viewer(identity=IdentityId(identity), device=DeviceId(device))


def put(key: str, value: object) -> Put:
    return Put(key=RecordKey(key), value=json_text(value, field="value"))


def increment(key: str, by: float = 1) -> Increment:
    return Increment(key=RecordKey(key), by=by)


Fate = Callable[[Hint], Sequence[Hint]]
"""What becomes of a hint: the hints that arrive in its place, none if it is lost."""


class UnreliableBus:
    """A bus, with somebody on the line."""

    def __init__(self, bus: Bus | None = None) -> None:
        """The local one, if no other is given."""
        self._bus: Any = bus or LocalBus()
        self._held: list[tuple[Topic, Hint]] = []
        self.fate: Fate = lambda hint: [hint]
        self.holding = False
        self.muted = False
        """Its letters are lost, as those of a node that is dead."""
        self.told = 0
        """How many letters there were."""

    @property
    def up(self) -> bool:
        return bool(self._bus.up)

    def on_change(self, listener: Callable[[], None]) -> None:
        self._bus.on_change(listener)

    def publish(self, topic: Topic, hint: Hint) -> None:
        for arriving in self.fate(hint):
            if self.holding:
                self._held.append((topic, arriving))
            else:
                self._bus.publish(topic, arriving)

    def release(self, *, backwards: bool = False) -> None:
        """Deliver what was held back, all at once."""
        held, self._held = self._held, []
        for topic, hint in reversed(held) if backwards else held:
            self._bus.publish(topic, hint)

    async def watch(self, topic: Topic, listener: Listener) -> Watch:
        watch: Watch = await self._bus.watch(topic, listener)
        return watch

    def tell(self, topic: Topic, letter: bytes) -> None:
        self.told += 1
        if not self.muted:
            self._bus.tell(topic, letter)

    async def listen(self, topic: Topic, ear: Ear) -> Watch:
        watch: Watch = await self._bus.listen(topic, ear)
        return watch

    async def close(self) -> None:
        await self._bus.close()


def guest_tokens(secret: bytes = b"a secret of the tests, 32 bytes or more") -> JwtGuestTokens:
    """Good for a month, and renewable for a year."""
    return JwtGuestTokens(secret, now, lifetime=timedelta(days=30), renewal=timedelta(days=365))


class Admitted:
    """Everybody may become a guest."""

    async def new_guest(self, caller: str | None) -> None:
        return


class World:
    """Everything behind the API, on a database. With a ``bus`` given, its hints take that one."""

    def __init__(
        self,
        store: CompleteStore,
        limits: Limits,
        bus: Bus | None = None,
        presence_timing: PresenceTiming | None = None,
    ) -> None:
        self.store = store
        self.bus = UnreliableBus(bus)
        self.metrics = Metrics()
        self.guest_tokens = guest_tokens()
        self.node = assemble(
            store,
            self.bus,
            now,
            self.metrics,
            limits=limits,
            guest_tokens=self.guest_tokens,
            guest_admission=Admitted(),
            presence_timing=presence_timing,
        )
        self.services = self.node.services
        self.channels = self.node.channels
        self.memberships = self.node.memberships
        self.guest_standings = self.node.guests
        self.datasets = self.services.datasets
        self.guests = self.services.guests
        self.sharing = self.services.sharing
        self.syncs = self.services.syncs
        self.subscriptions = self.services.subscriptions
        self.presence = self.services.presence
        self._mutations = 0

    @classmethod
    async def open(cls, folder: Path, limits: Limits | None = None) -> World:
        return cls(await SqliteStore.open(folder / "syncline.sqlite3"), limits or Limits())

    async def sweep(self) -> None:
        await self.node.sweep()

    async def close(self) -> None:
        await self.channels.close()
        await self.presence.close()
        await self.bus.close()
        await self.store.close()

    async def head(self, ref: DatasetRef = NOTES, by: Viewer | None = None) -> DatasetHead:
        """The dataset, which must be there."""
        standing = await self.store.dataset(by or viewer(), ref)
        assert standing is not None
        return standing.head

    async def sync(
        self,
        *changes: Change,
        by: Viewer | None = None,
        ref: DatasetRef = NOTES,
        since: Since | None = None,
        mutation_id: str | None = None,
        on_conflict: ConflictPolicy | None = ConflictPolicy.LAST_WRITER_WINS,
        atomic: bool = True,
    ) -> Synced | Resync:
        self._mutations += 1
        return await self.syncs.sync(
            by or viewer(),
            ref,
            since=since,
            mutation_id=MutationId(mutation_id or f"m{self._mutations}"),
            changes=changes,
            on_conflict=on_conflict,
            atomic=atomic,
        )


class Watcher:
    """A sink that keeps what it was given. ``room`` limits how much it takes by ``push`` before it refuses."""

    def __init__(
        self,
        feed: Feed,
        *,
        cohort: object = None,
        room: int | None = None,
        encode: Callable[[Any], Any] = lambda event: event,
    ) -> None:
        self.feed = feed
        self.events: list[Any] = []
        self.room = room
        self.ended = False
        self.error: SynclineError | None = None
        self._more = asyncio.Event()
        feed.start(self, encode, cohort or self)

    def push(self, payload: Any) -> bool:
        if self.room is not None:
            if self.room == 0:
                return False
            self.room -= 1
        self._take(payload)
        return True

    async def send(self, payload: Any) -> None:
        self._take(payload)

    def end(self, error: SynclineError | None) -> None:
        self.ended, self.error = True, error
        self._more.set()

    def _take(self, payload: Any) -> None:
        self.events.append(payload)
        self._more.set()

    async def until(self, happened: Callable[[list[Any]], bool]) -> list[Any]:
        """Wait, within bounds, until the events are as wanted."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while not happened(self.events):
                self._more.clear()
                await self._more.wait()
        return self.events

    async def settled(self) -> None:
        """Wait until the feed is at rest: nothing left to read, all of its datasets live."""
        while self.feed._task is not None:
            await asyncio.wait({self.feed._task}, timeout=PATIENCE.total_seconds())

    async def count(self, number: int) -> list[Any]:
        return await self.until(lambda events: len(events) >= number)

"""Which guests have signed in, and are disabled since: as this node knows it, and for sockets that have to know.

The store refuses what a linked guest writes, and what it looks for and does not find; that is never late. Beyond that a
node must know within a second, whether it hears of the link or not. So a guest that asks is looked up whenever what is
known of it is older than half a second; and a guest's open socket is rung by the bus, or, if that hint was lost, by the
sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from syncline.core.feed import Hint
from syncline.core.ids import IdentityId
from syncline.errors import GuestLinked
from syncline.ports import Bus, Store, Watch
from syncline.topics import identity_topic

FRESH_SECONDS: Final = 0.5
_REMEMBERED: Final = 10_000

V = TypeVar("V")

OnChange = Callable[[], None]


class GuestWatch:
    """Somebody's interest in one guest."""

    __slots__ = ("_owner", "_watch", "guest", "on_change")

    def __init__(self, owner: GuestStandings, guest: IdentityId, on_change: OnChange) -> None:
        self.guest = guest
        self.on_change = on_change
        self._owner = owner
        self._watch: Watch | None = None

    async def open(self, bus: Bus) -> None:
        self._watch = await bus.watch(identity_topic(self.guest), self._on_hint)

    def close(self) -> None:
        """``on_change`` is not called after this. Closing twice is harmless."""
        if self._watch is not None:
            self._watch.close()
        self._owner.forget(self)

    def _on_hint(self, _hint: Hint) -> None:
        # It says that something is different for the guest, not what.
        self.on_change()


class GuestStandings:
    """Knows of each guest whether it was linked, which is for good, or when it was looked up last and was not."""

    def __init__(self, store: Store, bus: Bus, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._linked: dict[IdentityId, None] = {}
        self._looked_at: dict[IdentityId, float] = {}
        self._watching: dict[IdentityId, dict[GuestWatch, None]] = {}

    async def check(self, guest: IdentityId) -> None:
        """Raises GuestLinked if the guest was linked more than half a second ago; StoreUnavailable."""
        if self._clock() >= self._looked_at.get(guest, float("-inf")) + FRESH_SECONDS:
            await self.look(guest)

    async def look(self, guest: IdentityId) -> None:
        """Raises GuestLinked if the guest was linked; StoreUnavailable."""
        if guest not in self._linked:
            began = self._clock()
            if await self._store.linked_guests([guest]):
                self.remember(guest)
            else:
                _keep(self._looked_at, guest, began)
        if guest in self._linked:
            raise GuestLinked

    def remember(self, guest: IdentityId) -> None:
        """The guest was linked."""
        self._looked_at.pop(guest, None)
        _keep(self._linked, guest, None)

    async def watch(self, guest: IdentityId, on_change: OnChange) -> GuestWatch:
        """Have ``on_change`` called whenever it is time to look at the guest. Raises GuestLinked, StoreUnavailable."""
        watch = GuestWatch(self, guest, on_change)
        self._watching.setdefault(guest, {})[watch] = None
        try:
            await watch.open(self._bus)
            # Not before: a link in between would be missed.
            await self.look(guest)
        except BaseException:
            watch.close()
            raise
        return watch

    def forget(self, watch: GuestWatch) -> None:
        watching = self._watching.get(watch.guest)
        if watching is not None:
            watching.pop(watch, None)
            if not watching:
                del self._watching[watch.guest]

    async def sweep(self) -> None:
        """Look at all guests that are watched, in one query."""
        if not self._watching:
            return
        for guest in await self._store.linked_guests(list(self._watching)):
            self.remember(guest)
            for watch in list(self._watching.get(guest, ())):
                watch.on_change()


def _keep(known: dict[IdentityId, V], guest: IdentityId, value: V) -> None:
    known.pop(guest, None)
    if len(known) >= _REMEMBERED:
        # What was not used for longest; it can be looked up again.
        del known[next(iter(known))]
    known[guest] = value

"""Which datasets an identity can see, for the feeds that have to know when they become more or fewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, IdentityId
from syncline.core.model import Role
from syncline.ports import Bus, Store, Watch
from syncline.topics import identity_topic

OnChange = Callable[[Mapping[DatasetId, Role] | None], None]
"""Told the datasets that the identity sees, with its roles; None: they are not known yet."""


class Membership:
    """One feed's interest in an identity's datasets."""

    __slots__ = ("_owner", "_watch", "identity", "on_change")

    def __init__(self, owner: Memberships, identity: IdentityId, on_change: OnChange) -> None:
        self.identity = identity
        self.on_change = on_change
        self._owner = owner
        self._watch: Watch | None = None

    async def open(self, bus: Bus) -> None:
        self._watch = await bus.watch(identity_topic(self.identity), self._on_hint)

    def close(self) -> None:
        """``on_change`` is not called after this. Closing twice is harmless."""
        if self._watch is not None:
            self._watch.close()
        self._owner.forget(self)

    def _on_hint(self, _hint: Hint) -> None:
        self.on_change(None)


class Memberships:
    """Calls feeds back when an identity's datasets may have changed. A call too many does no harm."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._watching: dict[IdentityId, dict[Membership, None]] = {}
        self._seen: dict[IdentityId, Mapping[DatasetId, Role]] = {}

    async def watch(self, identity: IdentityId, on_change: OnChange) -> Membership:
        """Every change from now on calls ``on_change``: at once by the bus, or at the next sweep."""
        membership = Membership(self, identity, on_change)
        self._watching.setdefault(identity, {})[membership] = None
        try:
            await membership.open(self._bus)
        except BaseException:
            membership.close()
            raise
        return membership

    def forget(self, membership: Membership) -> None:
        watching = self._watching.get(membership.identity)
        if watching is not None:
            watching.pop(membership, None)
            if not watching:
                del self._watching[membership.identity]
                self._seen.pop(membership.identity, None)

    async def sweep(self) -> None:
        """Look what the watched identities see, in one query, and call back where that is not what it was."""
        if not self._watching:
            return
        for identity, visible in (await self._store.visible(list(self._watching))).items():
            if self._seen.get(identity) == visible or identity not in self._watching:
                continue
            self._seen[identity] = visible
            for membership in list(self._watching[identity]):
                membership.on_change(visible)

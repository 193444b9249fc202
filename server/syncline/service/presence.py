"""Presence: who is on a dataset right now. It is in no log: told at most once, and gone with the connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from syncline.core.allowance import Allowance
from syncline.core.json_values import JsonText
from syncline.core.model import DatasetHead, DatasetRef, Viewer
from syncline.core.presence import PresenceLimits, Present, Who
from syncline.errors import DatasetIsDeleted, DatasetNotFound, LimitExceeded, NotPresent, RateLimited
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, Store
from syncline.service.datasets import Datasets
from syncline.service.memberships import Memberships
from syncline.service.presence_feed import PresenceFeed
from syncline.service.presence_room import PresenceTiming
from syncline.service.presence_rooms import Rooms

_ANSWERS_SECONDS: Final = 1.0
"""How long after a question all nodes that live have answered it."""
_FEWEST_SETTERS: Final = 1_024


@dataclass(frozen=True, slots=True)
class _Setter:
    """A device that sets its state."""

    allowance: Allowance
    turn: asyncio.Lock
    """What it asked for first is done first: otherwise an older state might win."""


class Presence:
    """What a viewer can do about presence, on datasets that it can see."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Clock,
        datasets: Datasets,
        memberships: Memberships,
        metrics: Metrics,
        *,
        limits: PresenceLimits | None = None,
        timing: PresenceTiming | None = None,
    ) -> None:
        self._datasets = datasets
        self._memberships = memberships
        self._metrics = metrics
        self._limits = limits or PresenceLimits()
        self._rooms = Rooms(store, bus, clock, self._limits, timing or PresenceTiming())
        self._setters: dict[Who, _Setter] = {}
        self._most_setters = _FEWEST_SETTERS

    @property
    def present(self) -> int:
        """By how many connections to this node somebody is present."""
        return self._rooms.present

    @property
    def subscriptions(self) -> int:
        """That are open on this node."""
        return self._rooms.subscriptions

    async def open(self, viewer: Viewer, ref: DatasetRef, state: JsonText | None) -> PresenceFeed:
        """The feed of who is present. With a ``state`` the viewer's device is present as long as the feed is open.

        By name the dataset may not exist yet. Raises DatasetNotFound and DatasetIsDeleted for an id, and LimitExceeded.
        """
        try:
            if state is not None:
                self._limits.check_state(state)
            head = await self._find(viewer, ref)
            if state is not None and head is not None:
                self._rooms.check_space(head.id, (viewer.identity, viewer.device))
        except LimitExceeded as error:
            self._metrics.over_limit(error.limit)
            raise
        return PresenceFeed(viewer, ref, head, state, self._rooms, self._datasets, self._memberships)

    async def set_state(self, viewer: Viewer, ref: DatasetRef, state: JsonText) -> Present:
        """Give the viewer's device, present by whichever node, another state; its presence as it is now.

        Of several at the same time, the one that was asked for last is the one that stays.
        Raises DatasetNotFound, DatasetIsDeleted, NotPresent, LimitExceeded, RateLimited.
        """
        try:
            self._limits.check_state(state)
            setter = self._allowed((viewer.identity, viewer.device))
        except (LimitExceeded, RateLimited) as error:
            self._metrics.over_limit(error.limit)
            raise
        async with setter.turn:
            return await self._set_state(viewer, ref, state)

    async def _set_state(self, viewer: Viewer, ref: DatasetRef, state: JsonText) -> Present:
        head = await self._find(viewer, ref)
        if head is None:
            raise DatasetNotFound(str(ref))
        who = (viewer.identity, viewer.device)
        room = self._rooms.room(head)
        # A room that is open for longer knows everyone, as far as that is possible.
        within = room.opened_at + _ANSWERS_SECONDS - asyncio.get_running_loop().time()
        await room.arrival(who, within)
        present = room.roster.present().get(who)
        if present is None:
            raise NotPresent(str(ref))
        room.set_state(who, state)
        return replace(present, state=state)

    async def sweep(self) -> None:
        """Find out whose access ended, and which datasets are gone, where no hint told."""
        await self._rooms.sweep()

    async def close(self) -> None:
        """To be called when no subscription is open any more, and before the bus is closed."""
        await self._rooms.close()

    async def _find(self, viewer: Viewer, ref: DatasetRef) -> DatasetHead | None:
        standing = await self._datasets.find(viewer, ref)
        if standing is None and ref.id is not None:
            raise DatasetIsDeleted(ref.id)
        return None if standing is None else standing.head

    def _allowed(self, who: Who) -> _Setter:
        """Raises RateLimited."""
        now = asyncio.get_running_loop().time()
        setter = self._setters.get(who)
        if setter is None:
            self._forget_setters(now)
            allowance = Allowance(per_second=self._limits.updates_per_second, at_once=self._limits.updates_at_once)
            setter = self._setters[who] = _Setter(allowance, asyncio.Lock())
        wait = setter.allowance.take(now)
        if wait:
            raise RateLimited(
                limit="presenceUpdates",
                maximum=self._limits.updates_per_second,
                retry_after_seconds=max(round(wait, 3), 0.001),
            )
        return setter

    def _forget_setters(self, now: float) -> None:
        """Those that are like new ones, once there are many."""
        if len(self._setters) >= self._most_setters:
            self._setters = {
                who: each for who, each in self._setters.items() if each.turn.locked() or not each.allowance.whole(now)
            }
            self._most_setters = max(_FEWEST_SETTERS, 2 * len(self._setters))

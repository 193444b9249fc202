"""Who is present on a dataset: what one node knows of it, from its own connections and from what other nodes announce.

Nothing of it is kept, and announcements may be lost, doubled or late: a node announces what changes when it does, and
all of its own every few seconds. Each announcement of a node has a number higher than the one before. One that is not
higher than the last that was heard is old and ignored, so nobody comes back who left; what an announcement said that
was lost, the next one of all says again. A node that is heard no more is dead: its people leave when they expire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType, TypeAlias

from syncline.core.ids import DeviceId, IdentityId
from syncline.core.json_values import JsonText
from syncline.errors import LimitExceeded

NodeId = NewType("NodeId", str)
"""Made anew for each process that serves."""
ConnectionId = NewType("ConnectionId", int)
"""A subscription that somebody is present by, numbered by its node."""
Who: TypeAlias = tuple[IdentityId, DeviceId | None]
"""What is present, for those who watch: a device, however many connections it has. None: those without a device id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceLimits:
    """What presence may take."""

    state_bytes: int = 1_024
    """A state, as compact JSON in UTF-8."""
    present: int = 250
    """Devices that are present on one dataset."""
    updates_per_second: int = 20
    """Of one device, in the long run."""
    updates_at_once: int = 40

    def check_state(self, state: JsonText) -> None:
        """Raises LimitExceeded for a state that is too large."""
        size = len(state.encode())
        if size > self.state_bytes:
            raise LimitExceeded(limit="presenceBytes", maximum=self.state_bytes, actual=size)

    def check_present(self, count: int) -> None:
        """Raises LimitExceeded if ``count`` devices would be present and may not."""
        if count > self.present:
            raise LimitExceeded(limit="present", maximum=self.present, actual=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One connection's presence. ``since`` and ``changed`` are times of the clock of the node that it is on."""

    identity: IdentityId
    device: DeviceId | None
    state: JsonText
    since: datetime
    changed: datetime

    @property
    def who(self) -> Who:
        return (self.identity, self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """One device's presence, as those who watch are told."""

    identity: IdentityId
    device: DeviceId | None
    state: JsonText
    since: datetime


# --- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceList:
    """All who are present; it takes the place of what was told before."""

    present: tuple[Present, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceChanges:
    """Who came, has another state now, and left, since the event before."""

    joined: tuple[Present, ...]
    updated: tuple[Present, ...]
    left: tuple[Present, ...]
    """As they were last."""


PresenceEvent = PresenceList | PresenceChanges


def listed(present: Mapping[Who, Present]) -> PresenceList:
    return PresenceList(present=_in_order(present.values()))


def changes(before: Mapping[Who, Present], after: Mapping[Who, Present]) -> PresenceChanges | None:
    """What leads from ``before`` to ``after``; None: nothing changed."""
    joined = [now for who, now in after.items() if who not in before]
    updated = [now for who, now in after.items() if who in before and before[who] != now]
    left = [was for who, was in before.items() if who not in after]
    if not (joined or updated or left):
        return None
    return PresenceChanges(joined=_in_order(joined), updated=_in_order(updated), left=_in_order(left))


def _in_order(present: Iterable[Present]) -> tuple[Present, ...]:
    return tuple(sorted(present, key=lambda each: (each.since, each.identity, each.device or "")))


# --- between nodes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a node says of its own connections."""

    node: NodeId
    number: int
    entries: Mapping[ConnectionId, Entry]
    gone: tuple[ConnectionId, ...] = ()
    all_from: ConnectionId | None = None
    """Set: of its connections from this one on, ``entries`` are all there are; the others are gone."""
    all_before: ConnectionId | None = None
    """With ``all_from``: up to this one, which is not meant any more; None: to the last."""

    def tells_of(self, connection: ConnectionId) -> bool:
        """Whether it says if the connection is there."""
        if connection in self.entries or connection in self.gone:
            return True
        if self.all_from is None:
            return False
        return self.all_from <= connection and (self.all_before is None or connection < self.all_before)


@dataclass(slots=True)
class _Other:
    """Another node, as far as it was heard."""

    number: int
    heard_at: float
    entries: dict[ConnectionId, tuple[Entry, float]]
    """Each with the time when it was last heard of."""


class Roster:
    """Who is present on one dataset, as one node knows it."""

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.own: dict[ConnectionId, Entry] = {}
        """By the connections to this node."""
        self._others: dict[NodeId, _Other] = {}

    def own_of(self, who: Who) -> list[ConnectionId]:
        """The device's connections to this node."""
        return [connection for connection, entry in self.own.items() if entry.who == who]

    def elsewhere(self, who: Who) -> bool:
        """Whether the device is present by another node."""
        return any(entry.who == who for other in self._others.values() for entry, _ in other.entries.values())

    def update(self, who: Who, state: JsonText, now: datetime) -> list[ConnectionId]:
        """The device's connections to this node, which have this state from now on."""
        found = self.own_of(who)
        for connection in found:
            entry = self.own[connection]
            # Whatever the clock does, later is later.
            self.own[connection] = replace(entry, state=state, changed=max(now, entry.changed))
        return found

    def hear(self, announcement: Announcement, now: float) -> bool:
        """Take note of an announcement that arrived at ``now``, in seconds; False: it is our own, or old."""
        if announcement.node == self.node:
            return False
        other = self._others.get(announcement.node)
        if other is None:
            other = self._others[announcement.node] = _Other(announcement.number, now, {})
        elif announcement.number <= other.number:
            return False
        other.number, other.heard_at = announcement.number, now
        for connection in [each for each in other.entries if announcement.tells_of(each)]:
            del other.entries[connection]
        for connection, entry in announcement.entries.items():
            other.entries[connection] = (entry, now)
        return True

    def expire(self, before: float) -> bool:
        """Forget what was last heard of before this time; whether there was anything."""
        found = False
        for node, other in list(self._others.items()):
            for connection in [each for each, (_, heard_at) in other.entries.items() if heard_at < before]:
                del other.entries[connection]
                found = True
            if not other.entries and other.heard_at < before:
                del self._others[node]
        return found

    def present(self) -> dict[Who, Present]:
        """The devices that are present: since their first connection, with the state that was set last."""
        latest: dict[Who, tuple[datetime, NodeId, ConnectionId]] = {}
        found: dict[Who, Present] = {}
        for node, connection, entry in self._all():
            rank = (entry.changed, node, connection)
            known = found.get(entry.who)
            if known is None:
                state, since = entry.state, entry.since
            else:
                state = entry.state if rank > latest[entry.who] else known.state
                since = min(entry.since, known.since)
            latest[entry.who] = rank if known is None else max(rank, latest[entry.who])
            found[entry.who] = Present(identity=entry.identity, device=entry.device, state=state, since=since)
        return found

    def _all(self) -> Iterable[tuple[NodeId, ConnectionId, Entry]]:
        for connection, entry in self.own.items():
            yield self.node, connection, entry
        for node, other in self._others.items():
            for connection, (entry, _) in other.entries.items():
                yield node, connection, entry

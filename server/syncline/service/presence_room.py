"""A room: who is present on one dataset, told to those of this node who watch, and to the other nodes.

What happens is gathered, and told in passes, 20 a second at most: to the other nodes what became of our own
connections, and to everyone who watches one event with all that changed, encoded once for each cohort. So a state that
changes faster than that is told as it is last. Who has no room for an event is left behind with what it was told up to
then, and catches up by itself: it gets what changed since, in one event, as often as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from syncline.core.events import AccessEnded
from syncline.core.feed import Hint
from syncline.core.ids import IdentityId, tenant_of
from syncline.core.json_values import JsonText
from syncline.core.model import DatasetHead
from syncline.core.presence import (
    Announcement,
    ConnectionId,
    Entry,
    NodeId,
    Roster,
    Who,
    changes,
)
from syncline.core.presence_letters import Question, StateSet, announced, read, written
from syncline.logs import get_logger
from syncline.ports import MAX_LETTER_BYTES, Bus, Clock, Watch
from syncline.service.presence_audience import Audience, Watcher
from syncline.topics import dataset_topic, presence_topic

_log = get_logger(__name__)

_SHARE: Final = 4
"""A room takes a fourth of the processor's time at most."""
_DONE: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceTiming:
    """When a room does what."""

    announce_every: timedelta = timedelta(seconds=10)
    """How often a node tells the others of all of its own."""
    between_passes: timedelta = timedelta(milliseconds=50)

    @property
    def expires_after(self) -> timedelta:
        """Who was not heard of for so long has left."""
        return 3 * self.announce_every


class Room:
    """One dataset's roster on this node, and its audience."""

    def __init__(
        self,
        head: DatasetHead,
        *,
        node: NodeId,
        numbers: Iterator[int],
        bus: Bus,
        clock: Clock,
        timing: PresenceTiming,
        on_look: Callable[[], None],
    ) -> None:
        """``on_look`` is called when the dataset may have been deleted, or somebody's access may have ended."""
        self.dataset = head.id
        self.name = head.name
        self.tenant = tenant_of(head.owner)
        self.scope = head.scope
        """As of which it was last looked who sees the dataset."""
        self.roster = Roster(node)
        self.audience = Audience()
        self._numbers = numbers
        self._bus = bus
        self._clock = clock
        self._timing = timing
        self._on_look = on_look
        self._topic = presence_topic(self.tenant, head.id)
        self._loop = asyncio.get_running_loop()
        self._changed_own: set[ConnectionId] = set()
        """Of which the other nodes do not know yet what became."""
        self._announce_all = False
        self._ask_again = False
        self._watches: list[Watch] = []
        self._stirred = False
        self._next: asyncio.Handle | None = None
        self._serving: Iterator[None] | None = None
        self._began_at = 0.0
        self._may_begin_at = 0.0
        self.opened_at = self.used_at = self._announced_at = self._loop.time()
        self._arrivals: list[tuple[Who, asyncio.Future[None]]] = []

    async def open(self) -> None:
        """Listen, and ask the other nodes who is there."""
        self._watches.append(await self._bus.listen(self._topic, self._on_letter))
        self._watches.append(await self._bus.watch(dataset_topic(self.tenant, self.dataset), self._on_hint))
        self._ask()

    def close(self) -> None:
        """Tell the other nodes what they do not know yet, and be silent."""
        self._tell()
        for watch in self._watches:
            watch.close()
        if self._next is not None:
            self._next.cancel()
        self._next = self._serving = None

    def add(self, watcher: Watcher) -> None:
        """The watcher gets the list, with the next pass, and then what changes."""
        self.audience.add(watcher)
        if watcher.scope != self.scope:
            # Somebody's access changed while it was on its way.
            self._on_look()
        self.stir()

    def remove(self, watcher: Watcher) -> None:
        """Nothing more is pushed to the watcher. Removing twice is harmless."""
        self.used_at = self._loop.time()
        self.audience.remove(watcher)

    def needs_a_look(self, scope: int) -> bool:
        """Whether somebody here was found to see the dataset at another scope than this."""
        return scope != self.scope or any(watcher.scope != scope for watcher in self.audience.watchers)

    def seen_by(self, identities: Container[IdentityId], scope: int) -> None:
        """These see the dataset, at this scope: all others end."""
        self.scope = scope
        for watcher in list(self.audience.watchers):
            if watcher.viewer.identity in identities:
                watcher.scope = scope
            else:
                watcher.end_with(AccessEnded(dataset=self.dataset))

    @property
    def in_use(self) -> bool:
        return bool(self.audience.watchers or self._arrivals)

    # --- our own -----------------------------------------------------------------------------------------------------

    def enter(self, connection: ConnectionId, who: Who, state: JsonText) -> None:
        """Somebody is present by this connection."""
        now = self._clock()
        self.roster.own[connection] = Entry(identity=who[0], device=who[1], state=state, since=now, changed=now)
        self._own_changed([connection])

    def leave(self, connection: ConnectionId) -> None:
        if self.roster.own.pop(connection, None) is not None:
            self._own_changed([connection])

    def set_state(self, who: Who, state: JsonText) -> None:
        """The device has this state from now on, by whichever node it is present. A node that is not heard from does
        not hear of it, either.
        """
        self._own_changed(self.roster.update(who, state, self._clock()))
        if self.roster.elsewhere(who):
            told = StateSet(node=self.roster.node, identity=who[0], device=who[1], state=state)
            self._bus.tell(self._topic, written(told))

    async def arrival(self, who: Who, within: float) -> None:
        """Wait until the device is present, but only for so many seconds."""
        if self.roster.own_of(who) or self.roster.elsewhere(who):
            return
        arrived = self._loop.create_future()
        self._arrivals.append((who, arrived))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await arrived
        finally:
            self._arrivals.remove((who, arrived))

    def _own_changed(self, connections: Sequence[ConnectionId]) -> None:
        self._changed_own.update(connections)
        if connections:
            self.stir()

    # --- the other nodes ---------------------------------------------------------------------------------------------

    def reconnected(self) -> None:
        """The bus was down, and is up: at the next tick, tell and ask as if the room had just been opened."""
        self._ask_again = True
        self._announced_at = float("-inf")

    def _ask(self) -> None:
        """Have the other nodes announce all of their own."""
        self._ask_again = False
        self._bus.tell(self._topic, written(Question(node=self.roster.node)))

    def announce(self) -> None:
        """Tell the other nodes of all of our own, with the next pass."""
        self._announce_all = True
        self.stir()

    def tick(self, now: float) -> bool:
        """Do what is due at ``now``; whether something was told to the other nodes."""
        if self.roster.expire(now - self._timing.expires_after.total_seconds()):
            self.stir()
        asks = self._ask_again
        if asks:
            self._ask()
        due = bool(self.roster.own) and now - self._announced_at >= self._timing.announce_every.total_seconds()
        if due:
            self.announce()
        return due or asks

    def _on_hint(self, hint: Hint) -> None:
        if hint.previous is None:
            self._on_look()

    def _on_letter(self, data: bytes) -> None:
        letter = read(data)
        if letter is None or letter.node == self.roster.node:
            return
        match letter:
            case Announcement():
                if self.roster.hear(letter, self._loop.time()):
                    self._greet(letter)
                    self.stir()
            case Question():
                if self.roster.own:
                    self.announce()
            case StateSet():
                self._own_changed(self.roster.update((letter.identity, letter.device), letter.state, self._clock()))

    def _greet(self, announcement: Announcement) -> None:
        arrived = {entry.who for entry in announcement.entries.values()} if self._arrivals else ()
        for who, waiting in self._arrivals:
            if who in arrived and not waiting.done():
                waiting.set_result(None)

    def _tell(self) -> None:
        try:
            self._tell_others()
        except Exception:
            # Those of this node are to be told all the same.
            _log.exception("presence_failed")

    def _tell_others(self) -> None:
        roster, changed, whole = self.roster, self._changed_own, self._announce_all
        self._announce_all, self._changed_own = False, set()
        if whole:
            self._announced_at = self._loop.time()
            letters = self._announced(roster.own, whole=True)
        else:
            here = {connection: roster.own[connection] for connection in changed if connection in roster.own}
            letters = self._announced(here, gone=tuple(changed - roster.own.keys()))
        for letter in letters:
            self._bus.tell(self._topic, letter)

    def _announced(
        self, entries: Mapping[ConnectionId, Entry], *, gone: tuple[ConnectionId, ...] = (), whole: bool = False
    ) -> list[bytes]:
        return list(
            announced(self.roster.node, self._numbers, entries, gone=gone, whole=whole, max_bytes=MAX_LETTER_BYTES)
        )

    # --- passes ------------------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """There is something to tell."""
        self._stirred = True
        if self._next is not None or self._serving is not None:
            return
        later = self._may_begin_at > self._loop.time()
        self._next = self._loop.call_at(self._may_begin_at, self._begin) if later else self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._stirred = False
        self._began_at = self._loop.time()
        present = self.roster.present()
        self._tell()
        self._serving = self.audience.serve(present, changes(self.audience.told, present))
        self._go_on()

    def _go_on(self) -> None:
        self._next = None
        if self._serving is None:
            return
        if next(self._serving, _DONE) is not _DONE:
            self._next = self._loop.call_soon(self._go_on)
            return
        self._serving = None
        took = self._loop.time() - self._began_at
        self._may_begin_at = self._began_at + max(_SHARE * took, self._timing.between_passes.total_seconds())
        if self._stirred:
            self.stir()

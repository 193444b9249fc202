"""A device as the protocol document describes one, kept as small as possible: the reference for convergence.

It knows checkpoints only as opaque texts, as every client does. It keeps no clever cache: a dictionary, a checkpoint,
an outbox of frozen pushes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from syncline.core.changes import Change
from syncline.core.checkpoint import START, Checkpoint, Since, parse_since
from syncline.core.commit import Resync
from syncline.core.conflicts import ChangeStatus
from syncline.core.events import DatasetDeleted, Ready
from syncline.core.model import Commit, Record
from syncline.core.pages import PageRequest
from syncline.ports import Synced
from tests.support.world import NOTES, World, viewer


@dataclass(eq=False)
class Device:
    """One installation of an app, with what it holds of one dataset."""

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    checkpoint: str = START
    version: int = 0
    outbox: list[tuple[str, tuple[Change, ...]]] = field(default_factory=list)
    outcomes: dict[str, tuple[ChangeStatus, ...]] = field(default_factory=dict)
    behind: bool = False
    """An event did not fit: the log has to be pulled."""
    feed: Any = None

    # --- what comes in ------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        self.records.clear()
        self.checkpoint, self.version = START, 0

    def take(self, records: tuple[Record, ...], checkpoint: str, version: int) -> None:
        for record in records:
            known = self.records.get(record.key)
            if known is None or known.version <= record.version:
                self.records[record.key] = record
        self.checkpoint, self.version = checkpoint, version

    def on_event(self, event: Any) -> None:
        match event:
            case Ready():
                if self.checkpoint == START and event.checkpoint != START:
                    self.checkpoint = str(event.checkpoint)
            case Commit():
                before = str(Checkpoint(event.epoch, event.dataset, event.previous))
                after = str(Checkpoint(event.epoch, event.dataset, event.position))
                if before == self.checkpoint or self.checkpoint == START:
                    self.take(event.records, after, event.version)
                elif event.version > self.version:
                    self.behind = True
            case Resync() | DatasetDeleted():
                self.forget()

    # --- sink ---------------------------------------------------------------------------------------------------------

    room = 3

    def push(self, payload: Any) -> bool:
        if self.room == 0:
            return False
        self.room -= 1
        self.on_event(payload)
        return True

    async def send(self, payload: Any) -> None:
        self.room = 3
        self.on_event(payload)

    def end(self, error: Any) -> None:
        self.feed = None

    # --- what goes out ------------------------------------------------------------------------------------------------

    @property
    def since(self) -> Since:
        return parse_since(self.checkpoint)

    async def push_first(self, world: World, *, atomic: bool, lose_answer: bool = False) -> bool:
        """Send the oldest push. True: its answer arrived."""
        mutation_id, changes = self.outbox[0]
        synced = await world.sync(
            *changes, by=viewer(self.name), since=self.since, mutation_id=mutation_id, atomic=atomic
        )
        if lose_answer:
            return False
        if isinstance(synced, Resync):
            self.forget()
            return False
        self._answered(mutation_id, synced)
        return True

    def _answered(self, mutation_id: str, synced: Synced) -> None:
        self.outbox.pop(0)
        self.outcomes[mutation_id] = tuple(outcome.status for outcome in synced.outcomes)
        if synced.page is not None:
            place = Checkpoint(synced.epoch, synced.head.id, synced.page.position)
            self.take(synced.page.records, str(place), place.position.version)

    async def pull(self, world: World, *, first: int = 2) -> None:
        """Pull page by page until there is no more."""
        self.behind = False
        while True:
            read = await world.store.read_log(viewer(self.name), NOTES, self.since, PageRequest(first=first))
            if read.reason is not None:
                self.forget()
                continue
            if read.page is None or read.live_head is None:
                self.forget()
                return
            place = Checkpoint(read.epoch, read.live_head.id, read.page.position)
            self.take(read.page.records, str(place), place.position.version)
            if not read.page.has_more:
                return

    async def go_online(self, world: World) -> None:
        if self.feed is None:
            self.feed = await world.subscriptions.dataset(
                viewer(self.name), NOTES, self.since, skip_own=False, prefix=""
            )
            self.feed.start(self, lambda event: event, self)

    async def go_offline(self) -> None:
        if self.feed is not None:
            feed, self.feed = self.feed, None
            await feed.close()

    def live(self) -> dict[str, str]:
        """Keys and values, as an app would see them."""
        return {key: record.value for key, record in self.records.items() if record.value is not None}

"""Bugs of the kind that races hide, to be planted one at a time: runs must notice each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from syncline.core import commit, feed
from syncline.core.checkpoint import ResyncReason, resync_reason
from syncline.core.events import Ready
from syncline.core.feed import Follow, Hint, Mark, OnHint
from syncline.core.model import Commit, Position
from syncline.core.pages import Page, page_of
from syncline.core.receipts import Receipt
from syncline.ports import Bus
from syncline.service.channels import Channel, Channels
from syncline.service.datasets import Datasets
from syncline.service.fan_out import FanOut
from syncline.service.feeds import Cursor, Feed
from syncline.service.memberships import Memberships
from syncline.storage import sqlite_log, sqlite_lookups
from syncline.storage.sqlite_writes import Writes
from syncline.topics import dataset_topic
from tests.simulation.database import Database

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """``quick``: planted in the short run too."""

    name: str
    plant: Plant
    quick: bool


BUGS: list[Bug] = []


def bug(name: str, *, quick: bool = False) -> Callable[[Plant], Plant]:
    def enter(plant: Plant) -> Plant:
        BUGS.append(Bug(name, plant, quick))
        return plant

    return enter


async def _nothing(*_: Any, **__: Any) -> None:
    """In place of something that should happen."""


# --- hints ------------------------------------------------------------------------------------------------------------


@bug("a channel reads the log before it listens to the bus", quick=True)
def _reads_first(patch: pytest.MonkeyPatch) -> None:
    async def open_(self: Channel, bus: Bus) -> None:
        read = await self._read(None)
        await self._look_who_sees(read)
        self._watch = await bus.watch(dataset_topic(self._tenant, self.dataset), self.on_hint)
        self._fan_out = FanOut(Mark(read.epoch, read.start), on_pass=self._metrics.delivered)

    patch.setattr(Channel, "open", open_)


@bug("a hint's commit is delivered whatever it follows on", quick=True)
def _delivers_over_gaps(patch: pytest.MonkeyPatch) -> None:
    def on_hint(mark: Mark, hint: Hint) -> OnHint:
        if hint.commit is not None and hint.commit.version > mark.position.version:
            return OnHint.DELIVER
        return sound(mark, hint)

    sound = feed.on_hint
    patch.setattr(feed, "on_hint", on_hint)


@bug("a hint that comes twice is delivered twice")
def _delivers_doubles(patch: pytest.MonkeyPatch) -> None:
    def on_hint(mark: Mark, hint: Hint) -> OnHint:
        known = hint.commit is not None and hint.version == mark.position.version
        return OnHint.DELIVER if known else sound(mark, hint)

    sound = feed.on_hint
    patch.setattr(feed, "on_hint", on_hint)


@bug("a hint that comes while the log is read is forgotten")
def _forgets_hints(patch: pytest.MonkeyPatch) -> None:
    def on_hint(self: Channel, hint: Hint) -> None:
        if self._fan_out is not None and self._reading is None:
            sound(self, hint)

    sound = Channel.on_hint
    patch.setattr(Channel, "on_hint", on_hint)


@bug("nobody is told that datasets come and go")
def _announces_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Datasets, "announce", _nothing)


# --- the sweep --------------------------------------------------------------------------------------------------------


@bug("the sweep looks after no commits", quick=True)
def _sweeps_no_channels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Channels, "sweep", _nothing)


@bug("the sweep looks after no datasets")
def _sweeps_no_memberships(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Memberships, "sweep", _nothing)


# --- what a feed tells ------------------------------------------------------------------------------------------------


@bug("Ready is left out", quick=True)
def _never_ready(patch: pytest.MonkeyPatch) -> None:
    async def send(self: Feed, event: Any) -> None:
        if not isinstance(event, Ready):
            await sound(self, event)

    sound = Feed._send
    patch.setattr(Feed, "_send", send)


@bug("who joins is told recent commits once more")
def _replays_too_much(patch: pytest.MonkeyPatch) -> None:
    def lacking(_position: Position, recent: Sequence[Commit]) -> list[Commit]:
        return list(recent)

    patch.setattr(feed, "lacking", lacking)


@bug("who has read further than the channel joins it all the same")
def _joins_ahead(patch: pytest.MonkeyPatch) -> None:
    def follow(position: Position, mark: Mark, recent: Sequence[Commit]) -> Follow:
        return Follow.JOIN if position > mark.position else sound(position, mark, recent)

    sound = feed.follow
    patch.setattr(feed, "follow", follow)


@bug("who began with nothing joins where only the position is the same")
def _joins_another_lineage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(feed, "_same_text", lambda _one, _other: True)


@bug("what a sink refused is skipped")
def _skips_refused(patch: pytest.MonkeyPatch) -> None:
    def left_at(self: Cursor, _position: Position) -> None:
        sound(self, self.channel.fan_out.mark.position)

    sound = Cursor.left_at
    patch.setattr(Cursor, "left_at", left_at)


@bug("who is dismissed never reads on")
def _dismisses_for_good(patch: pytest.MonkeyPatch) -> None:
    def dismiss(self: FanOut, mark: Mark) -> None:
        self._groups.clear()
        self.stop()
        self.mark = mark

    patch.setattr(FanOut, "dismiss", dismiss)


@bug("filters are forgotten for live commits")
def _filters_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(feed, "filtered", lambda commit, _filter: commit)


@bug("the last commit of a joined run is dropped")
def _joins_too_few(patch: pytest.MonkeyPatch) -> None:
    def joined(commits: Sequence[Commit]) -> list[Commit]:
        run = sound(commits)
        return [replace(run[0], records=commits[0].records), *run[1:]] if len(commits) > 1 else run

    sound = feed.joined
    patch.setattr(feed, "joined", joined)


@bug("a closed feed keeps its channels")
def _leaks_channels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Channels, "release", _nothing)


# --- the store --------------------------------------------------------------------------------------------------------


@bug("receipts are lost", quick=True)
def _loses_receipts(patch: pytest.MonkeyPatch) -> None:
    def insert_receipt(_self: Writes, _receipt: Receipt) -> None:
        """It is not written."""

    patch.setattr(Writes, "insert_receipt", insert_receipt)


@bug("what was acknowledged is lost now and then")
def _loses_commits(patch: pytest.MonkeyPatch) -> None:
    writes = count(1)

    def write(self: Database, work: Callable[[Writes], Any]) -> Any:
        if next(writes) % 10:
            return sound(self, work)
        connection = self._writes.connection
        connection.execute("BEGIN")
        try:
            return work(self._writes)
        finally:
            connection.execute("ROLLBACK")

    sound = Database._write
    patch.setattr(Database, "_write", write)


@bug("half of a commit is written")
def _writes_halves(patch: pytest.MonkeyPatch) -> None:
    def write_records(self: Writes, number: int, records: tuple[Any, ...]) -> None:
        sound(self, number, records[:2])

    sound = Writes.write_records
    patch.setattr(Writes, "write_records", write_records)


@bug("a page claims more than it holds")
def _pages_run_ahead(patch: pytest.MonkeyPatch) -> None:
    def page(*args: Any, head_version: Any, **kwargs: Any) -> Page:
        return replace(page_of(*args, head_version=head_version, **kwargs), position=Position(head_version))

    patch.setattr(sqlite_lookups, "page_of", page)


@bug("nobody is told that removals were forgotten")
def _never_too_old(patch: pytest.MonkeyPatch) -> None:
    def reason(*args: Any) -> ResyncReason | None:
        found = resync_reason(*args)
        return None if found is ResyncReason.CHECKPOINT_TOO_OLD else found

    patch.setattr(sqlite_log, "resync_reason", reason)
    patch.setattr(commit, "resync_reason", reason)

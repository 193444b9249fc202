"""The fan-out of one dataset: its commits, handed to all who follow it live on this node.

It goes in passes. A pass serves every follower with all commits that waited when it began, joined into one, filtered
and encoded once per group of followers that get the same bytes. Where commits come faster than the passes may, more of
them wait for the next one: each follower gets fewer, larger events, and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from time import monotonic
from typing import Any, Protocol

from syncline.core import feed
from syncline.core.feed import Mark
from syncline.core.ids import IdentityId
from syncline.core.model import Commit, Position
from syncline.core.pace import Pace, interval
from syncline.core.pages import RecordFilter
from syncline.logs import get_logger
from syncline.service.sinks import Taker

_log = get_logger(__name__)

_RECENT_COMMITS = 64
_SLICE = 250
"""Followers that are served in one go, which takes some 2 ms; then the event loop gets its turn."""
_DONE = object()

OnPass = Callable[[float, int], None]
"""Told after each pass that had followers: the seconds since its oldest commit was added, and how many followers had no
room for it."""


class Follower(Protocol):
    """A live reader of one dataset. Followers of equal ``group`` have equal filters and encode alike."""

    @property
    def group(self) -> Hashable: ...

    @property
    def record_filter(self) -> RecordFilter: ...

    @property
    def sink(self) -> Taker: ...

    @property
    def identity(self) -> IdentityId:
        """Who is behind it; the group's bytes are for all who may see the dataset."""
        ...

    def encode(self, commit: Commit) -> Any:
        """The payload for every follower of the group."""
        ...

    def left_at(self, position: Position) -> None:
        """The channel lets go of the follower, which was served up to ``position`` and has to read on by itself."""
        ...


class FanOut:
    """One dataset's live followers.

    Invariants: every follower has been served exactly up to ``mark``, or will be by the pass under way; ``recent`` is a
    chain of commits that ends at ``mark``; those that wait are a chain from ``mark`` to ``taken``.
    """

    def __init__(
        self, mark: Mark, *, slice_size: int = _SLICE, on_pass: OnPass = lambda _seconds, _refused: None
    ) -> None:
        self.mark = mark
        self._on_pass = on_pass
        self._oldest_at = 0.0
        """When the first of those that wait was added."""
        self._slice_size = slice_size
        self.recent: deque[Commit] = deque(maxlen=_RECENT_COMMITS)
        self._waiting: list[Commit] = []
        self._groups: dict[Hashable, dict[Follower, None]] = {}
        self._due: set[Follower] = set()
        """Those that the pass under way has still to serve."""
        self._begun_at = mark.position
        self._serving: Iterator[None] | None = None
        self._next: asyncio.Handle | None = None
        self._pace = Pace()
        self._moved: asyncio.Future[None] | None = None

    @property
    def taken(self) -> Mark:
        """Up to where commits have been added: the next one has to lead on from here."""
        return Mark(self._waiting[-1].epoch, self._waiting[-1].position) if self._waiting else self.mark

    @property
    def commits_wait(self) -> bool:
        return bool(self._waiting)

    def join(self, follower: Follower) -> None:
        """From here on the follower gets every commit. It must stand exactly where ``mark`` is."""
        self._groups.setdefault(follower.group, {})[follower] = None

    def leave(self, follower: Follower) -> None:
        """Nothing more is pushed to the follower. Leaving twice is harmless."""
        group = self._groups.get(follower.group)
        if group is not None:
            group.pop(follower, None)
            self._due.discard(follower)
            if not group:
                del self._groups[follower.group]

    def add(self, commit: Commit) -> None:
        """Have the commit delivered. It must lead on from ``taken``."""
        if not self._waiting:
            self._oldest_at = monotonic()
        self._waiting.append(commit)
        self._schedule()

    async def moved(self) -> None:
        """Wait until ``mark`` has moved. Only while commits wait is it sure that it will."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        # Several may wait for it: one of them being cancelled must not end it for all.
        await asyncio.shield(self._moved)

    def dismiss(self, mark: Mark) -> None:
        """Let go of all followers, each where it stands, forget what waits, and go on at ``mark``."""
        followers = [follower for group in self._groups.values() for follower in group]
        due, position = self._due.copy(), self.mark.position
        self._groups.clear()
        self.stop()
        if mark.epoch != self.mark.epoch or mark.position != position:
            self.recent.clear()
        self.mark = mark
        for follower in followers:
            follower.left_at(self._begun_at if follower in due else position)

    def expel(self, is_meant: Callable[[Follower], bool]) -> None:
        """Let go of those that are meant: nothing more is pushed to them, what waits included."""
        for follower in [follower for group in self._groups.values() for follower in group if is_meant(follower)]:
            position = self._begun_at if follower in self._due else self.mark.position
            self.leave(follower)
            follower.left_at(position)

    def stop(self) -> None:
        """Deliver nothing of what was added."""
        self._waiting.clear()
        self._due.clear()
        self._serving = None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._tell_who_waits()

    # --- passes ------------------------------------------------------------------------------------------------------

    def _interval(self) -> float:
        return interval(sum(map(len, self._groups.values())))

    def _schedule(self) -> None:
        if self._next is not None or self._serving is not None or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = self._pace.due_at(now, self._interval())
        # Not at once: what is committed together is announced together, within one turn of the loop.
        self._next = loop.call_soon(self._begin) if due <= now else loop.call_at(due, self._begin)

    def _begin(self) -> None:
        now = asyncio.get_running_loop().time()
        self._pace.begun(now, self._interval(), crowded=len(self._waiting) > 1)
        commits, self._waiting = feed.joined(self._waiting), []
        self._begun_at = self.mark.position
        self.mark = Mark(commits[-1].epoch, commits[-1].position)
        self.recent.extend(commits)
        self._tell_who_waits()
        self._serving = self._serve(commits, self._oldest_at)
        self._go_on()

    def _go_on(self) -> None:
        self._next = None
        if self._serving is None:
            return
        if next(self._serving, _DONE) is not _DONE:
            self._next = asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._serving = None
            self._schedule()

    def _serve(self, commits: Sequence[Commit], oldest_at: float) -> Iterator[None]:
        """Serve who is there now; yields after each slice."""
        self._due.update(*self._groups.values())
        room = self._slice_size
        served = refused = 0
        for group in list(self._groups.values()):
            members = list(group)
            payloads: Sequence[Any] | None = None
            while members:
                # Who leaves meanwhile is no longer due, even if it comes back.
                due = [follower for follower in members[:room] if follower in self._due]
                del members[:room]
                if not due:
                    continue
                if payloads is None:
                    payloads = _encoded(commits, due[0])
                self._due.difference_update(due)
                room -= len(due)
                served += len(due)
                refused += len(due)
                for commit, payload in zip(commits, payloads, strict=True):
                    due = self._push(due, commit, payload)
                refused -= len(due)
                if not room:
                    room = self._slice_size
                    yield
        if served:
            self._on_pass(monotonic() - oldest_at, refused)

    def _push(self, followers: list[Follower], commit: Commit, payload: Any) -> list[Follower]:
        """Give it to each; who does not take it, leaves. Those that have taken it."""
        refused: dict[Follower, None] = {}
        for follower in followers:
            try:
                if payload is not None and follower.sink.push(payload):
                    continue
            except Exception:
                _log.exception("push_failed", dataset=commit.dataset)
            refused[follower] = None
        for follower in refused:
            self.leave(follower)
            follower.left_at(commit.previous)
        return [follower for follower in followers if follower not in refused] if refused else followers

    def _tell_who_waits(self) -> None:
        if self._moved is not None:
            self._moved.set_result(None)
            self._moved = None


def _encoded(commits: Sequence[Commit], follower: Follower) -> list[Any]:
    """The payloads of a follower's group; None for one that could not be made."""
    payloads: list[Any] = []
    for commit in commits:
        try:
            payloads.append(follower.encode(feed.filtered(commit, follower.record_filter)))
        except Exception:
            # A fault in one group's operation must not reach the others: its followers meet it again, each by itself.
            _log.exception("encoding_failed", dataset=commit.dataset)
            payloads.append(None)
    return payloads

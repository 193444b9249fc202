"""Those of this node who watch who is present on one dataset, and how they are told."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Protocol

from syncline.core.events import AccessEnded, DatasetDeleted
from syncline.core.model import Viewer
from syncline.core.presence import PresenceChanges, PresenceEvent, Present, Who, listed
from syncline.logs import get_logger
from syncline.service.sinks import Taker

_log = get_logger(__name__)

_SLICE = 250
"""Watchers that are served in one go; then the event loop gets its turn."""


class Watcher(Protocol):
    """A subscription. Watchers of equal ``group`` encode alike."""

    scope: int
    """As of which the viewer was found to see the dataset."""

    @property
    def viewer(self) -> Viewer: ...

    @property
    def group(self) -> Hashable: ...

    @property
    def sink(self) -> Taker: ...

    def encode(self, event: PresenceEvent) -> Any: ...

    def end_with(self, event: AccessEnded | DatasetDeleted) -> None:
        """Leave, and tell of nothing any more but this."""
        ...

    def left_at(self, told: Mapping[Who, Present] | None) -> None:
        """The room lets go of the watcher, which knows what was ``told`` (None: nothing) and has to catch up."""
        ...


class Audience:
    """The watchers of one room.

    Invariants: a live watcher has been told exactly ``told``, or will be by the serving under way; a fresh one gets
    the list with the next serving; all others catch up by themselves.
    """

    def __init__(self) -> None:
        self.watchers: dict[Watcher, None] = {}
        """All of them: live, fresh, or behind."""
        self.told: Mapping[Who, Present] = {}
        """What live watchers know. A new mapping whenever something changed."""
        self._live: dict[Hashable, dict[Watcher, None]] = {}
        self._fresh: dict[Watcher, None] = {}

    def add(self, watcher: Watcher) -> None:
        """The watcher gets the list, and then what changes."""
        self.watchers[watcher] = None
        self._fresh[watcher] = None

    def add_live(self, watcher: Watcher) -> None:
        """The watcher, which was behind, has been told exactly ``told``."""
        self._live.setdefault(watcher.group, {})[watcher] = None

    def remove(self, watcher: Watcher) -> None:
        """Nothing more is pushed to the watcher. Removing twice is harmless."""
        self.watchers.pop(watcher, None)
        self._let_go(watcher)

    def serve(self, present: Mapping[Who, Present], event: PresenceChanges | None) -> Iterator[None]:
        """Tell who is there now of ``event``, which leads from ``told`` to ``present``; yields after each slice."""
        before = self.told
        if event is not None:
            self.told = present
        # Who catches up meanwhile is told of this pass by itself.
        live = [watcher for group in self._live.values() for watcher in group]
        fresh = list(self._fresh)
        payloads: dict[Hashable, Any] = {}
        for count, watcher in enumerate(live if event else (), 1):
            if event and watcher in self._live.get(watcher.group, ()) and not _pushed(watcher, event, payloads):
                self._let_go(watcher)
                watcher.left_at(before)
            if count % _SLICE == 0:
                yield
        payloads.clear()
        everyone = listed(self.told)
        for count, watcher in enumerate(fresh, 1):
            if watcher in self._fresh:
                del self._fresh[watcher]
                if _pushed(watcher, everyone, payloads):
                    self.add_live(watcher)
                else:
                    watcher.left_at(None)
            if count % _SLICE == 0:
                yield

    def _let_go(self, watcher: Watcher) -> None:
        self._fresh.pop(watcher, None)
        group = self._live.get(watcher.group)
        if group is not None:
            group.pop(watcher, None)
            if not group:
                del self._live[watcher.group]


def _pushed(watcher: Watcher, event: PresenceEvent, payloads: dict[Hashable, Any]) -> bool:
    """Whether the watcher took the event, which is encoded once for its group."""
    try:
        payload = payloads.get(watcher.group)
        if payload is None:
            payload = payloads[watcher.group] = watcher.encode(event)
        return watcher.sink.push(payload)
    except Exception:
        # It meets the fault again by itself, and ends with it; the others must not.
        _log.exception("push_failed")
        return False

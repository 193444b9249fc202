"""The bus inside one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncline.core.feed import Hint
from syncline.logs import get_logger
from syncline.ports import Listener, Topic

_log = get_logger(__name__)


class LocalWatch:
    """One listener on one topic."""

    def __init__(self, bus: LocalBus, topic: Topic, listener: Listener) -> None:
        self._bus = bus
        self._topic = topic
        self.listener: Listener | None = listener
        """None: closed. Whoever listens holds the watch, so it must not hold the listener any longer than needed."""

    def close(self) -> None:
        if self.listener is not None:
            self.listener = None
            self._bus.forget(self._topic, self)


class LocalBus:
    """Hands hints to the listeners of this process, in the order in which they were published.

    A hint is delivered by the event loop's next turn, not within ``publish``: whoever publishes goes on first.
    """

    def __init__(self) -> None:
        self._watches: dict[Topic, dict[LocalWatch, None]] = {}

    @property
    def up(self) -> bool:
        return True

    def on_change(self, listener: Callable[[], None]) -> None:
        """Nothing ever changes within a process, and nothing is lost."""

    def watched(self, topic: Topic) -> bool:
        """Whether anybody waits for hints of the topic."""
        return topic in self._watches

    def publish(self, topic: Topic, hint: Hint) -> None:
        if topic in self._watches:
            asyncio.get_running_loop().call_soon(self._deliver, topic, hint)

    async def watch(self, topic: Topic, listener: Listener) -> LocalWatch:
        watch = LocalWatch(self, topic, listener)
        self._watches.setdefault(topic, {})[watch] = None
        return watch

    async def close(self) -> None:
        self._watches.clear()

    def forget(self, topic: Topic, watch: LocalWatch) -> None:
        watches = self._watches.get(topic)
        if watches is not None:
            watches.pop(watch, None)
            if not watches:
                del self._watches[topic]

    def _deliver(self, topic: Topic, hint: Hint) -> None:
        for watch in list(self._watches.get(topic, ())):
            if watch.listener is None:
                continue
            try:
                watch.listener(hint)
            except Exception:
                # A hint is only a hint: what one listener makes of it must not keep it from the others.
                _log.exception("listener_failed", topic=topic)

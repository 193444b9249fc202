"""The bus inside one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from syncline.core.feed import Hint
from syncline.logs import get_logger
from syncline.ports import MAX_LETTER_BYTES, Ear, Listener, Topic

_log = get_logger(__name__)

T = TypeVar("T")
_Watches = dict[Topic, "dict[LocalWatch[T], None]"]


class LocalWatch(Generic[T]):
    """One listener on one topic."""

    def __init__(self, watches: _Watches[T], topic: Topic, listener: Callable[[T], None]) -> None:
        self._watches = watches
        self._topic = topic
        self.listener: Callable[[T], None] | None = listener
        """None: closed. Whoever listens holds the watch, so it must not hold the listener any longer than needed."""
        watches.setdefault(topic, {})[self] = None

    def close(self) -> None:
        if self.listener is None:
            return
        self.listener = None
        watches = self._watches.get(self._topic)
        if watches is not None:
            watches.pop(self, None)
            if not watches:
                del self._watches[self._topic]


class LocalBus:
    """Hands hints and letters to the listeners of this process, in the order in which they were published.

    They are delivered by the event loop's next turn, not within ``publish`` and ``tell``: who calls goes on first.
    """

    def __init__(self) -> None:
        self._watches: _Watches[Hint] = {}
        self._ears: _Watches[bytes] = {}

    @property
    def up(self) -> bool:
        return True

    def on_change(self, listener: Callable[[], None]) -> None:
        """Nothing ever changes within a process, and nothing is lost."""

    def watched(self, topic: Topic) -> bool:
        """Whether anybody waits for hints of the topic."""
        return topic in self._watches

    def listened_to(self, topic: Topic) -> bool:
        """Whether anybody waits for letters on the topic."""
        return topic in self._ears

    def publish(self, topic: Topic, hint: Hint) -> None:
        if topic in self._watches:
            asyncio.get_running_loop().call_soon(_deliver, self._watches, topic, hint)

    async def watch(self, topic: Topic, listener: Listener) -> LocalWatch[Hint]:
        return LocalWatch(self._watches, topic, listener)

    def tell(self, topic: Topic, letter: bytes) -> None:
        check_letter(letter)
        if topic in self._ears:
            asyncio.get_running_loop().call_soon(_deliver, self._ears, topic, letter)

    async def listen(self, topic: Topic, ear: Ear) -> LocalWatch[bytes]:
        return LocalWatch(self._ears, topic, ear)

    async def close(self) -> None:
        self._watches.clear()
        self._ears.clear()


def check_letter(letter: bytes) -> None:
    """Raises ValueError for a letter that is too long, on any bus."""
    if len(letter) > MAX_LETTER_BYTES:
        raise ValueError(f"a letter has at most {MAX_LETTER_BYTES} bytes, not {len(letter)}")


def _deliver(watches: _Watches[T], topic: Topic, message: T) -> None:
    for watch in list(watches.get(topic, ())):
        if watch.listener is None:
            continue
        try:
            watch.listener(message)
        except Exception:
            # A hint is only a hint: what one listener makes of it must not keep it from the others.
            _log.exception("listener_failed", topic=topic)

"""Sinks: where a feed's payloads go. The web layer has one per subscription; a mailbox serves callers within."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from typing import Any, Protocol

from syncline.errors import SynclineError

_MAILBOX_EVENTS = 64


class SinkClosed(Exception):
    """The device is gone; nothing more can be delivered."""


class Taker(Protocol):
    """Takes payloads in the order in which they are given, or refuses them."""

    def push(self, payload: Any) -> bool:
        """Take the payload without waiting, or refuse it: then it has to be read from the log."""
        ...


class Sink(Taker, Protocol):
    """Where a feed's payloads go. After a refused one the feed comes back with ``send``."""

    async def send(self, payload: Any) -> None:
        """Take the payload as soon as there is room. Raises SinkClosed."""
        ...

    def end(self, error: SynclineError | None) -> None:
        """Nothing more will come: None after a final event; an error if the feed cannot go on as it should."""
        ...


class Source(Protocol):
    """What a subscription is told. Start it once with a sink, or iterate over it; then close it."""

    def start(self, sink: Sink, encode: Callable[[Any], Any], cohort: Hashable) -> None:
        """Begin to deliver. Sources of the same cohort must encode every event alike."""
        ...

    async def close(self) -> None:
        """Deliver nothing more. Safe to call twice."""
        ...

    def __aiter__(self) -> AsyncIterator[Any]: ...


class Mailbox:
    """A sink to iterate over. It holds at most 64 events; a slow reader costs no more, and misses nothing."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Any] = asyncio.Queue(_MAILBOX_EVENTS)
        self._ended = asyncio.Event()
        self._error: SynclineError | None = None

    def push(self, payload: Any) -> bool:
        if self._events.full():
            return False
        self._events.put_nowait(payload)
        return True

    async def send(self, payload: Any) -> None:
        await self._events.put(payload)

    def end(self, error: SynclineError | None) -> None:
        self._error = error
        self._ended.set()

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        ended = asyncio.create_task(self._ended.wait())
        try:
            while True:
                event = asyncio.create_task(self._events.get())
                await asyncio.wait({event, ended}, return_when=asyncio.FIRST_COMPLETED)
                if event.done():
                    yield event.result()
                    continue
                event.cancel()
                if self._error is not None:
                    raise self._error
                return
        finally:
            ended.cancel()

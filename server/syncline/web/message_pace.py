"""How fast messages of one socket are taken. Pure: the time is passed in, in seconds."""

from __future__ import annotations

from syncline.errors import RateLimited
from syncline.web.limits import WebLimits

PATIENCE_SECONDS = 10.0
"""How long a socket may be made to wait, all in all, before it is told to go."""


class MessagePace:
    """A bucket of ``message_burst`` tokens, filled by ``messages_per_second``. Each message takes one out.

    An empty bucket means waiting, not losing: the messages wait in the device's own network buffers. A device with a
    hundred subscriptions to make after an outage is thus slowed for a moment. One that has been made to wait for long,
    and never was quiet for half a bucket, floods, and gets an error.
    """

    __slots__ = ("_at", "_burst", "_per_second", "_tokens", "_waited")

    def __init__(self, limits: WebLimits, now: float) -> None:
        self._per_second = limits.messages_per_second
        self._burst = limits.message_burst
        self._tokens = float(limits.message_burst)
        self._at = now
        self._waited = 0.0

    @property
    def held(self) -> bool:
        """Whether it was made to wait since it last was quiet."""
        return self._waited > 0

    def take(self, now: float) -> float:
        """A message came: how many seconds to wait before the next is read. Raises RateLimited."""
        tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second) - 1
        self._tokens, self._at = tokens, now
        if tokens >= self._burst / 2:
            self._waited = 0.0
        if tokens >= 0:
            return 0.0
        if self._waited >= PATIENCE_SECONDS:
            raise RateLimited(
                limit="messagesPerSecond",
                maximum=self._per_second,
                retry_after_seconds=float(-(-self._burst // self._per_second)),
            )
        pause = -tokens / self._per_second
        self._waited += pause
        return pause

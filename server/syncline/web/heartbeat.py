"""When a connection is due for something: a ping, or its end. Pure: the time is passed in, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from syncline.web.limits import WebLimits


class Beat(Enum):
    """What is due now."""

    NOTHING = "nothing"
    PING = "ping"
    INIT_TIMEOUT = "no connection_init in time"
    EXPIRED = "the credential has expired"
    SILENT = "no answer to the ping"
    STALLED = "the device takes nothing of what waits for it"


@dataclass(slots=True, kw_only=True)
class Heartbeat:
    """One connection's deadlines.

    A connection that is not acknowledged owes ``connection_init``. After that it is pinged when nothing was heard for
    ``ping_interval``, and owes an answer: any message will do. While we do not read what it sends, it owes none.
    """

    limits: WebLimits
    opened_at: float
    heard_at: float
    initialised: bool = False
    expires_at: float | None = None
    pinged_at: float | None = None

    def heard(self, now: float) -> None:
        self.heard_at = now
        self.pinged_at = None

    def due(self, now: float, *, stalled_for: float, reading: bool) -> Beat:
        """What is due, most urgent first. PING counts as sent."""
        if not self.initialised:
            return Beat.INIT_TIMEOUT if now >= self._init_deadline else Beat.NOTHING
        if self.expires_at is not None and now >= self.expires_at:
            return Beat.EXPIRED
        if stalled_for >= self.limits.stall_timeout.total_seconds():
            return Beat.STALLED
        if not reading:
            self.heard(now)
            return Beat.NOTHING
        if self.pinged_at is not None:
            return Beat.SILENT if now >= self.pinged_at + self.limits.pong_timeout.total_seconds() else Beat.NOTHING
        if now >= self.heard_at + self.limits.ping_interval.total_seconds():
            self.pinged_at = now
            return Beat.PING
        return Beat.NOTHING

    def next_look(self, now: float) -> float:
        """When to ask again at the latest."""
        if not self.initialised:
            return self._init_deadline
        if self.pinged_at is not None:
            at = self.pinged_at + self.limits.pong_timeout.total_seconds()
        else:
            at = self.heard_at + self.limits.ping_interval.total_seconds()
        # Whether a device is stalled shows only by looking at its buffer now and then.
        at = min(at, now + self.limits.stall_timeout.total_seconds() / 4)
        if self.expires_at is not None:
            at = min(at, self.expires_at)
        return max(at, now)

    @property
    def _init_deadline(self) -> float:
        return self.opened_at + self.limits.init_timeout.total_seconds()

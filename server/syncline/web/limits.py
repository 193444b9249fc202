"""What the web layer allows one connection, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from syncline.api.documents import RequestRejected
from syncline.config import Settings
from syncline.errors import LimitExceeded, Overloaded
from syncline.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """Limits of the transports. Those of datasets and documents are elsewhere: they hold on any transport."""

    body_bytes: int = 4 * 1024 * 1024
    """An HTTP request's body."""
    body_timeout: timedelta = timedelta(seconds=30)
    """How long a body may take to arrive."""
    message_bytes: int = 4 * 1024 * 1024
    """One WebSocket message."""
    connections: int = 20_000
    """WebSockets open at the same time."""
    connections_per_identity: int = 50
    """Of those, on all nodes that count together."""
    connections_per_address: int = 100
    unauthenticated_per_minute: int = 60
    """Requests without a valid credential from one address."""
    guests_per_minute: int = 10
    """Of those, that become a guest."""
    subscriptions_per_connection: int = 100
    operations_in_flight: int = 20
    """Queries and mutations under way at the same time on one WebSocket."""
    messages_per_second: int = 50
    """What a WebSocket sends faster waits to be read."""
    message_burst: int = 100
    """Messages beyond that rate, of a WebSocket that was quiet before."""
    send_buffer_bytes: int = 256 * 1024
    """What may wait for one slow device; behind it, its subscriptions are served from the log."""
    max_pending_mutations: int = 5_000
    """Mutations under way at the same time."""
    init_timeout: timedelta = timedelta(seconds=10)
    """How long a WebSocket may stay without ``connection_init``."""
    ping_interval: timedelta = timedelta(seconds=20)
    """A WebSocket from which nothing came for this long gets a ping."""
    pong_timeout: timedelta = timedelta(seconds=20)
    """How long the answer to a ping may take."""
    stall_timeout: timedelta = timedelta(seconds=30)
    """How long a device may take nothing of what waits for it."""
    drain_spread: timedelta = timedelta(seconds=18)
    """Over what time at most the WebSockets of a draining server are closed."""
    drained_each_second: int = 15
    """As long as it takes no longer than that: other nodes have to take them up."""

    @classmethod
    def from_settings(cls, settings: Settings) -> WebLimits:
        return cls(
            body_bytes=settings.max_body_bytes,
            message_bytes=settings.max_message_bytes,
            connections=settings.max_connections,
            connections_per_identity=settings.max_connections_per_identity,
            connections_per_address=settings.max_connections_per_address,
            unauthenticated_per_minute=settings.max_unauthenticated_per_minute,
            guests_per_minute=settings.max_guests_per_minute,
            subscriptions_per_connection=settings.max_subscriptions_per_connection,
            operations_in_flight=settings.max_operations_in_flight,
            messages_per_second=settings.max_messages_per_second,
            message_burst=settings.message_burst,
            send_buffer_bytes=settings.send_buffer_bytes,
            max_pending_mutations=settings.max_pending_mutations,
            init_timeout=timedelta(seconds=settings.connection_init_timeout_seconds),
            ping_interval=timedelta(seconds=settings.ping_interval_seconds),
            stall_timeout=timedelta(seconds=settings.stall_timeout_seconds),
            drain_spread=timedelta(seconds=min(18.0, settings.drain_timeout_seconds * 0.72)),
        )

    def drain_spread_of(self, connections: int) -> timedelta:
        """Over what time so many WebSockets are closed."""
        return min(self.drain_spread, timedelta(seconds=connections / self.drained_each_second))


def count_refusal(error: Exception, metrics: Metrics) -> None:
    """If ``error`` is why a request was refused before it was executed, count the limit that it was over, if any.

    A ``RateLimited`` is counted by whoever keeps the count that it is about.
    """
    match error:
        case RequestRejected(limit=str(limit)) | LimitExceeded(limit=limit):
            metrics.over_limit(limit)
        case Overloaded():
            metrics.over_limit("pendingMutations")
        case _:
            pass

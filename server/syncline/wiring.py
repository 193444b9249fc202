"""What a node does, put together on a store and a bus: for the server, and for tests that want it without sockets."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.api.context import Services
from syncline.core.limits import Limits
from syncline.core.presence import PresenceLimits
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, CompleteStore, GuestAdmission, GuestTokens
from syncline.service.channels import Channels
from syncline.service.datasets import Datasets
from syncline.service.guest_standings import GuestStandings
from syncline.service.guests import Guests
from syncline.service.memberships import Memberships
from syncline.service.presence import Presence
from syncline.service.presence_room import PresenceTiming
from syncline.service.refusals import Refusals
from syncline.service.sharing import Sharing
from syncline.service.subscriptions import Subscriptions
from syncline.service.sync import Syncs


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The services, and what is behind them."""

    services: Services
    channels: Channels
    memberships: Memberships
    guests: GuestStandings
    refusals: Refusals

    def measure(self, metrics: Metrics) -> None:
        """Have the metrics read off how much there is."""
        presence = self.services.presence
        metrics.read_off(metrics.subscriptions, lambda: self.channels.feeds + presence.subscriptions)
        metrics.read_off(metrics.present, lambda: presence.present)

    async def sweep(self) -> None:
        """Find out what hints should have told: commits, and datasets that came, went, or are shared otherwise, and
        guests that signed in.
        """
        await self.channels.sweep()
        await self.memberships.sweep()
        await self.services.presence.sweep()
        await self.guests.sweep()

    async def close(self) -> None:
        """To be called when nobody is connected any more."""
        await self.channels.close()
        await self.services.presence.close()


def assemble(
    store: CompleteStore,
    bus: Bus,
    clock: Clock,
    metrics: Metrics,
    *,
    limits: Limits,
    guest_tokens: GuestTokens,
    guest_admission: GuestAdmission | None = None,
    presence_limits: PresenceLimits | None = None,
    presence_timing: PresenceTiming | None = None,
) -> Node:
    """A node. The store and the bus stay the caller's. Without ``guest_admission`` there are no new guests."""
    channels = Channels(store, bus, metrics)
    memberships = Memberships(store, bus)
    datasets = Datasets(store, bus, clock, limits, metrics)
    standings = GuestStandings(store, bus)
    refusals = Refusals(store)
    services = Services(
        datasets=datasets,
        guests=Guests(
            store,
            bus,
            clock,
            datasets,
            standings,
            refusals,
            metrics,
            tokens=guest_tokens,
            admission=guest_admission,
        ),
        presence=Presence(
            store, bus, clock, datasets, memberships, metrics, limits=presence_limits, timing=presence_timing
        ),
        sharing=Sharing(store, datasets, clock, metrics),
        syncs=Syncs(store, bus, clock, datasets, metrics),
        subscriptions=Subscriptions(store, memberships, channels),
    )
    return Node(services=services, channels=channels, memberships=memberships, guests=standings, refusals=refusals)

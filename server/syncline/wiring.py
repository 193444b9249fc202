"""What a node does, put together on a store and a bus: for the server, and for tests that want it without sockets."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.api.context import Services
from syncline.core.limits import Limits
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, Store
from syncline.service.channels import Channels
from syncline.service.datasets import Datasets
from syncline.service.memberships import Memberships
from syncline.service.sharing import Sharing
from syncline.service.subscriptions import Subscriptions
from syncline.service.sync import Syncs


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The services, and what has to be swept and closed behind them."""

    services: Services
    channels: Channels
    memberships: Memberships


def assemble(store: Store, bus: Bus, clock: Clock, limits: Limits, metrics: Metrics) -> Node:
    """A node. The store and the bus stay the caller's."""
    channels = Channels(store, bus, metrics)
    memberships = Memberships(store, bus)
    datasets = Datasets(store, bus, clock, limits, metrics)
    services = Services(
        datasets=datasets,
        sharing=Sharing(store, datasets, clock, metrics),
        syncs=Syncs(store, bus, clock, datasets, metrics),
        subscriptions=Subscriptions(store, memberships, channels),
    )
    return Node(services=services, channels=channels, memberships=memberships)

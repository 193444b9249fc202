"""All scenarios. A new one is a module in ``scenarios`` and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.measurement import Scenario
from tests.benchmarks.scenarios.catch_up import CatchUp
from tests.benchmarks.scenarios.connection_cycles import ConnectionCycles
from tests.benchmarks.scenarios.delivery_latency import DeliveryLatency
from tests.benchmarks.scenarios.durable_syncs import DurableSyncs
from tests.benchmarks.scenarios.fan_out import FanOut
from tests.benchmarks.scenarios.hot_dataset import HotDataset
from tests.benchmarks.scenarios.huge_sync import HugeSync
from tests.benchmarks.scenarios.missed_changes import MissedChanges
from tests.benchmarks.scenarios.own_devices import OwnDevices
from tests.benchmarks.scenarios.postgres_syncs import PostgresSyncs
from tests.benchmarks.scenarios.reconnects import Reconnects
from tests.benchmarks.scenarios.two_nodes import TwoNodes

SCENARIOS: Sequence[Scenario] = (
    FanOut(),
    HotDataset(),
    OwnDevices(),
    DeliveryLatency(),
    DurableSyncs(),
    PostgresSyncs(),
    TwoNodes(),
    HugeSync(),
    CatchUp(),
    Reconnects(),
    MissedChanges(),
    ConnectionCycles(),
)

"""All scenarios. A new one is a module in ``scenarios`` and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.measurement import Scenario
from tests.benchmarks.scenarios.delivery_latency import DeliveryLatency
from tests.benchmarks.scenarios.durable_syncs import DurableSyncs
from tests.benchmarks.scenarios.fan_out import FanOut

SCENARIOS: Sequence[Scenario] = (DurableSyncs(), DeliveryLatency(), FanOut())

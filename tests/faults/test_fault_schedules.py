"""Whatever breaks: nothing acknowledged is lost, nothing is applied twice, and all devices end up with the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.environment import environment
from tests.faults.schedule import Schedule

LATEST_SECONDS = 5.0
"""After the last fault: the sweep's interval."""


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("schedules", [10, pytest.param(500, marks=pytest.mark.soak)])
async def test_two_nodes_lose_nothing_and_double_nothing_whatever_breaks(schedules: int, tmp_path: Path) -> None:
    first = int(os.environ.get("FAULT_SEED", int.from_bytes(os.urandom(4))))
    async with environment(tmp_path) as world:
        for seed in range(first, first + schedules):
            print(f"FAULT_SEED={seed}", flush=True)  # noqa: T201 # pytest shows it when the test fails
            told = await Schedule(world, seed).run()
            print(told, flush=True)  # noqa: T201
            assert told.late_seconds <= LATEST_SECONDS
        for node in world.nodes:
            assert not any("Traceback" in line for line in node.server.output), "".join(node.server.output[-50:])

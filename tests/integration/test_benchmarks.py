"""The benchmarks work: each scenario, with numbers so small that its figures mean nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.measurement import Scenario
from tests.benchmarks.registry import SCENARIOS

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0


def benchmarks(*arguments: str) -> str:
    """What they print."""
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
    ).stdout


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
def test_a_scenario_measures_every_figure_of_every_case(scenario: Scenario, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    printed = benchmarks("--quick", "--only", scenario.name, "--json", str(file))
    written = msgspec.json.decode(file.read_bytes())
    assert [each["name"] for each in written["scenarios"]] == [scenario.name]
    cases = written["scenarios"][0]["cases"]
    assert [case["name"] for case in cases] == [case.name for case in scenario.cases(quick=True)]
    for case in cases:
        assert case["name"] in printed
        (measured,) = case["rounds"]
        assert measured["figures"].keys() == {column.name for column in scenario.columns}
        assert all(figure >= 0 for figure in measured["figures"].values())
        assert measured["generatorShare"] > 0


def test_the_scenarios_are_listed() -> None:
    printed = benchmarks("--list")
    assert all(scenario.name in printed for scenario in SCENARIOS)

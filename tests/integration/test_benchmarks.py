"""The benchmarks work: each scenario, with numbers so small that its figures mean nothing."""

from __future__ import annotations

import subprocess
import sys
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.benchmarks import report
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import CaseResult, Sample, Scenario, ScenarioResult, Spread
from tests.benchmarks.registry import SCENARIOS
from tests.benchmarks.scenarios.fan_out import FanOut

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
CPU = "CPU µs/event"


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


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What one run of all scenarios printed, and what it wrote of each."""
    file = tmp_path_factory.mktemp("benchmarks") / "figures.json"
    printed = benchmarks("--quick", "--json", str(file))
    return printed, {each["name"]: each for each in msgspec.json.decode(file.read_bytes())["scenarios"]}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
def test_a_scenario_measures_all_its_figures(scenario: Scenario, quick_run: tuple[str, dict[str, Any]]) -> None:
    printed, written = quick_run
    assert scenario.title in printed
    cases = written[scenario.name]["cases"]
    assert [(case["load"], case["contender"]) for case in cases] == [
        (case.load, case.contender) for case in scenario.cases(quick=True)
    ]
    columns = {column.name for column in scenario.columns}
    for case in cases:
        assert case["load"] in printed
        (measured,) = case["rounds"]
        assert measured["figures"].keys() == columns
        assert measured["generatorShare"] > 0


def test_only_the_scenarios_that_are_named_are_run(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    benchmarks("--quick", "--only", "delivery-latency", "--json", str(file))
    assert [each["name"] for each in msgspec.json.decode(file.read_bytes())["scenarios"]] == ["delivery-latency"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_baselines_stand_right_behind_syncline_with_the_same_load(scenario: Scenario, quick: bool) -> None:
    loads = [case.load for case in scenario.cases(quick=quick)]
    for load, cases in groupby(scenario.cases(quick=quick), key=attrgetter("load")):
        contenders = [case.contender for case in cases]
        assert contenders[0] is Contender.SYNCLINE
        assert len(set(contenders)) == len(contenders) == loads.count(load)


def test_every_baseline_is_tried_by_quick_runs() -> None:
    tried = {case.contender for scenario in SCENARIOS for case in scenario.cases(quick=True)}
    assert tried == set(Contender)


def test_a_ratio_is_the_median_of_each_rounds_ratio() -> None:
    own, baseline = [10.0, 20.0, 90.0], [100.0, 400.0, 300.0]
    result = ScenarioResult(
        scenario=FanOut(),
        cases=[
            CaseResult(load="some", contender=contender, samples=[sample(figure) for figure in figures])
            for contender, figures in [(Contender.SYNCLINE, own), (Contender.STRAWBERRY, baseline)]
        ],
    )
    (ratio,) = result.ratios()
    assert (ratio.load, ratio.baseline) == ("some", Contender.STRAWBERRY)
    assert ratio.spreads == {CPU: Spread(least=0.05, median=0.1, greatest=0.3)}
    assert "| some: to Strawberry |       1/10.0 |" in report.section(result)


def sample(figure: float) -> Sample:
    return Sample(figures={CPU: figure}, generator_share=0.5)


def test_a_generator_that_may_have_set_the_pace_is_told() -> None:
    def told(share: float) -> str:
        measured = Sample(figures={CPU: 1.0}, generator_share=share)
        case = CaseResult(load="some", contender=Contender.UVICORN, samples=[measured])
        own = CaseResult(load="some", contender=Contender.SYNCLINE, samples=[sample(1.0)])
        return report.section(ScenarioResult(scenario=FanOut(), cases=[own, case]))

    assert "may have set the pace: some: uvicorn" in told(0.9)
    assert "may have set the pace" not in told(0.8)


def test_the_scenarios_are_listed() -> None:
    printed = benchmarks("--list")
    assert all(scenario.name in printed for scenario in SCENARIOS)

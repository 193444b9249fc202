from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.benchmarks.picture import CHARTS as DRAWN
from tests.benchmarks.picture import CaseFigures, Chart, Figures, Round, ScenarioFigures, bars, svg
from tests.benchmarks.registry import SCENARIOS

CHART = Chart(title="Sums & more", scenario="sums", load="many", column="µs")
FIGURES = Figures(
    scenarios=[
        ScenarioFigures(
            name="sums",
            cases=[
                CaseFigures(load="many", contender="Syncline", rounds=[Round(figures={"µs": v}) for v in (1, 9, 2)]),
                CaseFigures(load="many", contender="another", rounds=[Round(figures={"µs": 200.0})]),
                CaseFigures(load="few", contender="Syncline", rounds=[Round(figures={"µs": 5})]),
            ],
        )
    ]
)


def test_bars_are_the_medians_of_the_rounds() -> None:
    assert bars(FIGURES, CHART) == [("Syncline", 2), ("another", 200)]


def test_the_longest_bar_is_the_greatest_value() -> None:
    picture = ElementTree.fromstring(svg(FIGURES, [CHART]))  # noqa: S314 # made here
    widths = {each.get("class"): float(each.get("width", "")) for each in picture.iter() if each.get("rx")}
    assert widths["Syncline"] / widths["other"] == pytest.approx(0.01, rel=0.1)


def test_a_chart_without_figures_is_named() -> None:
    with pytest.raises(LookupError, match="of 'none' in 'sums'"):
        svg(FIGURES, [Chart(title="", scenario="sums", load="none", column="µs")])


@pytest.mark.parametrize("chart", DRAWN, ids=lambda chart: chart.scenario)
def test_what_is_drawn_is_measured(chart: Chart) -> None:
    [scenario] = [each for each in SCENARIOS if each.name == chart.scenario]
    assert chart.load in [case.load for case in scenario.cases(quick=False)]
    assert chart.column in [column.name for column in scenario.columns]

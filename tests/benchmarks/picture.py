"""``python -m tests.benchmarks.picture FIGURES.json PICTURE.svg``: the medians that matter most, as bars."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

import msgspec


class Round(msgspec.Struct):
    figures: dict[str, float]


class CaseFigures(msgspec.Struct):
    load: str
    contender: str
    rounds: list[Round]


class ScenarioFigures(msgspec.Struct):
    name: str
    cases: list[CaseFigures]


class Figures(msgspec.Struct):
    """The part of what ``--json`` writes that is drawn."""

    scenarios: list[ScenarioFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One group of bars: a figure of each contender under one load."""

    title: str
    scenario: str
    load: str
    column: str


CHARTS = (
    Chart(
        title="One event to one of 1,000 subscribers, CPU µs",
        scenario="fan-out",
        load="1,000 subscribers",
        column="CPU µs/event",
    ),
    Chart(
        title="A durable sync over HTTP, 16 writers, CPU µs",
        scenario="durable-syncs",
        load="HTTP, own datasets, 16 writers",
        column="CPU µs/sync",
    ),
    Chart(
        title="A sync and its delivery to three devices, CPU µs",
        scenario="own-devices",
        load="300 identities, 3 devices each",
        column="CPU µs/sync",
    ),
    Chart(
        title="An idle subscription, one of 2,000, KiB of memory",
        scenario="reconnects",
        load="2,000 sockets",
        column="RSS KiB/subscription",
    ),
)
_WIDTH, _LEFT, _RIGHT = 760, 240, 70
_BAR, _GAP, _TITLE = 18, 6, 34
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2b2b}.title{font-weight:600}"
    ".Syncline{fill:#0e7068}.other{fill:#b9c4c3}rect.ground{fill:#fff}"
)


def bars(figures: Figures, chart: Chart) -> list[tuple[str, float]]:
    """The contenders of the chart with their medians, in the order of the report. Raises LookupError without any."""
    found = [
        (case.contender, median(each.figures[chart.column] for each in case.rounds))
        for scenario in figures.scenarios
        if scenario.name == chart.scenario
        for case in scenario.cases
        if case.load == chart.load and all(chart.column in each.figures for each in case.rounds)
    ]
    if not found:
        raise LookupError(f"there is no {chart.column!r} of {chart.load!r} in {chart.scenario!r}")
    return found


def svg(figures: Figures, charts: Sequence[Chart] = CHARTS) -> str:
    """The picture. Raises LookupError if a chart has nothing to show."""
    parts: list[str] = []
    y = 0
    for chart in charts:
        values = bars(figures, chart)
        longest = max(value for _, value in values)
        y += _TITLE
        parts.append(f'<text class="title" x="10" y="{y - 10}">{escape(chart.title)}</text>')
        for contender, value in values:
            width = round((_WIDTH - _LEFT - _RIGHT) * value / longest, 1)
            kind = "Syncline" if contender == "Syncline" else "other"
            parts += [
                f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(contender)}</text>',
                f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width}" height="{_BAR}" rx="2"/>',
                f'<text x="{_LEFT + width + 6}" y="{y + 14}">{value:,.{0 if value >= 100 else 1}f}</text>',
            ]
            y += _BAR + _GAP
    height = y + 12
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
            f'height="{height}" role="img">',
            "<title>What Syncline costs, beside other servers: shorter is better</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
            *parts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(svg(msgspec.json.decode(source.read_bytes(), type=Figures)), encoding="utf-8")

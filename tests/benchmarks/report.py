"""Results for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.measurement import BUSY_GENERATOR, CaseResult, Column, ScenarioResult

_GENERATOR = "generator CPU %"


def facts(lines: Mapping[str, str]) -> str:
    """Names and what they are, one a line."""
    width = max(len(name) for name in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines.items())


def table(result: ScenarioResult) -> str:
    """The scenario's cases in Markdown: the median of the rounds, and, if there are several, the least and greatest."""
    columns = result.scenario.columns
    header = ["", *(column.name for column in columns), _GENERATOR]
    rows = [
        [case.name, *(_cell(case, column) for column in columns), f"{case.generator_share:.0%}".rstrip("%")]
        for case in result.cases
    ]
    widths = [max(len(row[number]) for row in (header, *rows)) for number in range(len(header))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(row, widths) for row in (header, ruler, *rows)]
    busy = [case.name for case in result.cases if case.generator_was_busy]
    notes = [
        "",
        f"The generator used more than {BUSY_GENERATOR:.0%} of its processor, and may have set the pace: "
        + "; ".join(busy),
    ]
    return "\n".join([result.scenario.title, "", *lines, *(notes if busy else [])])


def raw(
    conditions: Mapping[str, str], results: Sequence[ScenarioResult], *, quick: bool, rounds: int
) -> dict[str, Any]:
    """All figures of all rounds, to be written as JSON."""
    return {
        "conditions": dict(conditions),
        "quick": quick,
        "rounds": rounds,
        "scenarios": [
            {
                "name": result.scenario.name,
                "title": result.scenario.title,
                "cases": [
                    {
                        "name": case.name,
                        "generatorWasBusy": case.generator_was_busy,
                        "rounds": [
                            {"figures": dict(sample.figures), "generatorShare": sample.generator_share}
                            for sample in case.samples
                        ],
                    }
                    for case in result.cases
                ],
            }
            for result in results
        ],
    }


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = cells
    padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
    return f"| {' | '.join(padded)} |"


def _cell(case: CaseResult, column: Column) -> str:
    spread = case.spread(column.name)
    if spread is None:
        return ""

    def text(value: float) -> str:
        return f"{value:,.{column.decimals}f}"

    if len(case.samples) == 1:
        return text(spread.median)
    return f"{text(spread.median)} ({text(spread.least)}–{text(spread.greatest)})"

"""Results for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import BUSY_GENERATOR, BUSY_OTHERS, CaseResult, Column, Ratio, ScenarioResult, Spread

_GENERATOR = "generator busy %"
_OTHERS = "others' CPU %"


def facts(lines: Mapping[str, str]) -> str:
    """Names and what they are, one a line."""
    width = max(len(name) for name in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines.items())


def section(result: ScenarioResult) -> str:
    """The scenario's title and its tables in Markdown."""
    ratios = [ratio for ratio in result.ratios() if ratio.spreads]
    parts = [result.scenario.title, _figures(result), *([_ratios(result, ratios)] if ratios else []), *_notes(result)]
    return "\n\n".join(parts)


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
                        "load": case.load,
                        "contender": case.contender,
                        "generatorWasBusy": case.generator_was_busy,
                        "othersWereBusy": case.others_were_busy,
                        "rounds": [
                            {
                                "figures": dict(sample.figures),
                                "generatorShare": sample.generator_share,
                                "othersShare": sample.others_share,
                            }
                            for sample in case.samples
                        ],
                    }
                    for case in result.cases
                ],
                "ratios": [
                    {
                        "load": ratio.load,
                        "baseline": ratio.baseline,
                        "medians": {column: spread.median for column, spread in ratio.spreads.items()},
                    }
                    for ratio in result.ratios()
                ],
            }
            for result in results
        ],
    }


def _figures(result: ScenarioResult) -> str:
    """The median of the rounds, and, if there are several, the least and greatest."""
    columns = result.scenario.columns
    return _table(
        ["", *(column.name for column in columns), _GENERATOR, _OTHERS],
        [
            [
                _name(case),
                *(_cell(case, column) for column in columns),
                f"{case.generator_share * 100:.0f}",
                f"{case.others_share * 100:.0f}",
            ]
            for case in result.cases
        ],
    )


def _notes(result: ScenarioResult) -> list[str]:
    """What a reader has to know of single lines."""
    slowed = "; ".join(_name(case) for case in result.cases if case.generator_was_busy)
    disturbed = "; ".join(_name(case) for case in result.cases if case.others_were_busy)
    notes = []
    if slowed:
        notes.append(
            f"The generator used more than {BUSY_GENERATOR:.0%} of its processor, or waited for it, "
            f"and may have set the pace: {slowed}"
        )
    if disturbed:
        notes.append(
            f"Something else used more than {BUSY_OTHERS:.0%} of the server's processor, "
            f"so that times are too long, and rates too low: {disturbed}"
        )
    return notes


def _ratios(result: ScenarioResult, ratios: Sequence[Ratio]) -> str:
    """Medians of each round's ratio, so that what slowed one round has no part in it."""
    columns = [column.name for column in result.scenario.columns if column.compared]
    return _table(
        ["Syncline's ratio", *columns],
        [
            [
                f"{ratio.load}: to {ratio.baseline}",
                *(_ratio(ratio.spreads[column]) if column in ratio.spreads else "" for column in columns),
            ]
            for ratio in ratios
        ],
    )


def _name(case: CaseResult) -> str:
    return case.load if case.contender is Contender.SYNCLINE else f"{case.load}: {case.contender}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[number]) for row in (header, *rows)) for number in range(len(header))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (header, ruler, *rows))


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


def _ratio(spread: Spread) -> str:
    value = spread.median
    return f"{value:,.2f}" if value >= 1 / 2 else f"1/{1 / value:,.1f}"

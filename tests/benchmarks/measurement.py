"""What a scenario measures, and how figures of several rounds are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from tests.benchmarks.contenders import Contender
from tests.benchmarks.workbench import Workbench

BUSY_GENERATOR = 0.85
"""Above this share of the time the generator, not the server, may have set the pace."""
BUSY_OTHERS = 0.15
"""Above this share of the server's processor what else the machine did is in the times, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of a scenario: its name with the unit, and how many decimals are worth telling."""

    name: str
    decimals: int = 0
    compared: bool = False
    """It is to be told as a ratio to what it is compared with, too: each baseline's, or that of another load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The figures of one case in one round, by their columns' names. A case need not have every column's."""

    figures: Mapping[str, float]
    generator_share: float
    others_share: float = 0.0
    """Of the server's processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a scenario's table: a load, and who bears it. Of one load the lines stand together."""

    load: str
    contender: Contender = Contender.SYNCLINE
    other_load: str | None = None
    """A load of the same scenario that this one is compared with, where Syncline bears both."""
    measure: Callable[[Workbench], Sample]


class Scenario(Protocol):
    """A question about the server's performance."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def columns(self) -> Sequence[Column]: ...

    def cases(self, *, quick: bool) -> Sequence[Case]:
        """What to measure; ``quick``: with numbers so small that they only prove that it works."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One figure over all rounds."""

    least: float
    median: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(least=min(values), median=median(values), greatest=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """All rounds of one case."""

    load: str
    contender: Contender
    other_load: str | None = None
    samples: Sequence[Sample]

    def spread(self, column: str) -> Spread | None:
        """None: this case does not measure it."""
        values = [sample.figures[column] for sample in self.samples if column in sample.figures]
        return Spread.of(values) if values else None

    @property
    def generator_share(self) -> float:
        return max(sample.generator_share for sample in self.samples)

    @property
    def generator_was_busy(self) -> bool:
        return self.generator_share > BUSY_GENERATOR

    @property
    def others_share(self) -> float:
        return max(sample.others_share for sample in self.samples)

    @property
    def others_were_busy(self) -> bool:
        return self.others_share > BUSY_OTHERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Syncline's figures divided by others, each round's by those of the same round."""

    load: str
    baseline: str
    """A contender under the same load, or Syncline's other load."""
    spreads: Mapping[str, Spread]
    """By the columns' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """A scenario's table."""

    scenario: Scenario
    cases: Sequence[CaseResult]

    def ratios(self) -> Sequence[Ratio]:
        """Of each load to each baseline and other load, for the columns that are compared."""
        own = {case.load: case for case in self.cases if case.contender is Contender.SYNCLINE}
        beside = [
            Ratio(load=case.load, baseline=case.contender, spreads=self._spreads(own[case.load], case))
            for case in self.cases
            if case.contender is not Contender.SYNCLINE
        ]
        between = [
            Ratio(load=case.load, baseline=case.other_load, spreads=self._spreads(case, own[case.other_load]))
            for case in own.values()
            if case.other_load is not None
        ]
        return beside + between

    def _spreads(self, own: CaseResult, baseline: CaseResult) -> dict[str, Spread]:
        return {
            column.name: Spread.of(quotients)
            for column in self.scenario.columns
            if column.compared and (quotients := _quotients(own, baseline, column.name))
        }


def _quotients(own: CaseResult, baseline: CaseResult, column: str) -> list[float]:
    pairs = [
        (mine.figures.get(column, 0.0), theirs.figures.get(column, 0.0))
        for mine, theirs in zip(own.samples, baseline.samples, strict=True)
    ]
    # What the clock is too coarse to see has no ratio.
    return [mine / theirs for mine, theirs in pairs if mine > 0 and theirs > 0]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

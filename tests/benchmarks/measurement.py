"""What a scenario measures, and how figures of several rounds are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from tests.benchmarks.workbench import Workbench

BUSY_GENERATOR = 0.85
"""Above this share of a processor the generator, not the server, may have set the pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of a scenario: its name with the unit, and how many decimals are worth telling."""

    name: str
    decimals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The figures of one case in one round, by their columns' names."""

    figures: Mapping[str, float]
    generator_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a scenario's table."""

    name: str
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

    name: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """A scenario's table."""

    scenario: Scenario
    cases: Sequence[CaseResult]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

"""The simulation can fail: each bug of ``bugs.py``, planted alone, is noticed within some hundred runs."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.run import Result, simulate

MOST_SEEDS = 300
QUICK = [bug for bug in BUGS if bug.quick]


def first_noticed(bug: Bug) -> Result | None:
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        results = (simulate(seed) for seed in range(MOST_SEEDS))
        return next((result for result in results if result.violation is not None), None)


@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: Bug) -> None:
    assert first_noticed(bug) is not None


@pytest.mark.soak
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_is_noticed(bug: Bug) -> None:
    assert first_noticed(bug) is not None


def test_there_are_bugs_of_each_kind() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20
    assert 5 <= len(QUICK) <= 8

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from syncline.core.pace import Pace, interval

GAPS = st.lists(st.floats(0, 0.2), max_size=20)


def passes(gaps: list[float], interval: float, *, crowded: bool) -> list[float]:
    """When passes begin for which there is something to deliver after each of these gaps."""
    pace, now, begun = Pace(), 1_000.0, []
    for gap in gaps:
        now = pace.due_at(now + gap, interval)
        pace.begun(now, interval, crowded=crowded)
        begun.append(now)
    return begun


def test_a_dataset_with_many_watchers_is_served_20_times_a_second() -> None:
    assert interval(1_000) == interval(100_000) == 0.05


def test_a_few_watchers_are_hardly_paced() -> None:
    assert interval(3) < 0.001


@given(gaps=GAPS)
def test_commits_that_have_to_wait_for_each_other_are_served_once_in_an_interval(gaps: list[float]) -> None:
    begun = passes(gaps, 0.05, crowded=True)
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in itertools.pairwise(begun))


@given(gaps=GAPS)
def test_up_to_20_commits_one_by_one_are_served_at_once(gaps: list[float]) -> None:
    begun = passes(gaps, 0.05, crowded=False)
    assert abs(begun[-1] - 1_000 - sum(gaps)) < 1e-6 if begun else not gaps


def test_more_than_20_one_by_one_have_to_keep_the_interval() -> None:
    begun = passes([0.0] * 121, 0.05, crowded=False)
    assert begun[20] == begun[0]
    assert abs(begun[120] - begun[20] - 100 * 0.05) < 1e-6


def test_after_a_hot_spell_a_lone_commit_is_served_at_once() -> None:
    pace = Pace()
    for number in range(1_000):
        pace.begun(number * 0.05, 0.05, crowded=True)
    assert pace.due_at(1_000 * 0.05 + 0.01, 0.05) == 1_000 * 0.05 + 0.01

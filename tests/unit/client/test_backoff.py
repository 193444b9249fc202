from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.client.backoff import Backoff


def test_delays_are_bounded_by_a_bound_that_doubles_up_to_the_longest() -> None:
    backoff = Backoff(shortest=timedelta(seconds=1), longest=timedelta(seconds=5), chance=lambda: 1.0)
    assert [backoff.next_delay().total_seconds() for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_delay_is_anywhere_below_its_bound() -> None:
    backoff = Backoff(shortest=timedelta(seconds=1), longest=timedelta(seconds=5), chance=lambda: 0.25)
    assert [backoff.next_delay().total_seconds() for _ in range(4)] == [0.25, 0.5, 1, 1.25]


def test_after_a_success_delays_are_short_again() -> None:
    backoff = Backoff(shortest=timedelta(seconds=1), longest=timedelta(seconds=5), chance=lambda: 1.0)
    backoff.next_delay()
    backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() == timedelta(seconds=1)


def test_a_server_that_is_away_for_long_does_not_overflow_the_delay() -> None:
    backoff = Backoff()
    for _ in range(10_000):
        assert timedelta(0) <= backoff.next_delay() <= timedelta(seconds=30)


def test_a_shortest_delay_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        Backoff(shortest=timedelta(0))

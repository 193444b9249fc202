from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncline.web.attempts import WINDOW_SECONDS, Attempts

START = 1_000 * WINDOW_SECONDS


def test_as_many_as_allowed_pass_and_the_next_is_told_when() -> None:
    attempts = Attempts()
    assert [attempts.hit("a", most=3, now=START) for _ in range(4)] == [0, 0, 0, 60]


def test_callers_are_counted_apart() -> None:
    attempts = Attempts()
    for _ in range(3):
        attempts.hit("a", most=3, now=START)
    assert attempts.hit("b", most=3, now=START) == 0


def test_a_minute_ends_little_by_little() -> None:
    attempts = Attempts()
    for _ in range(60):
        assert attempts.hit("a", most=60, now=START + 59) == 0
    # At the border of two minutes nobody gets twice as much.
    assert attempts.hit("a", most=60, now=START + 60) == 1
    assert attempts.hit("a", most=60, now=START + 61) == 0
    assert attempts.hit("a", most=60, now=START + 180) == 0


def test_what_is_long_ago_is_forgotten() -> None:
    attempts = Attempts()
    for _ in range(3):
        attempts.hit("a", most=3, now=START)
    assert attempts.hit("a", most=3, now=START + 600) == 0


@given(st.lists(st.floats(0, 40), max_size=200), st.integers(1, 10))
def test_whoever_waits_as_long_as_told_gets_through(pauses: list[float], most: int) -> None:
    attempts, now = Attempts(), START
    for pause in pauses:
        now += pause
        wait = attempts.hit("a", most=most, now=now)
        assert 0 <= wait <= 60
        if wait:
            now += wait
            again = attempts.hit("a", most=most, now=now)
            # Past the end of this minute its own count reaches into the next.
            assert again <= 60 / most + 1

from __future__ import annotations

from contextlib import suppress

import pytest

from syncline.errors import RateLimited
from syncline.web.limits import WebLimits
from syncline.web.message_pace import PATIENCE_SECONDS, MessagePace

LIMITS = WebLimits(messages_per_second=50, message_burst=100)


def test_a_burst_waits_for_nothing() -> None:
    pace = MessagePace(LIMITS, 0)
    assert [pace.take(0) for _ in range(100)] == [0] * 100
    assert not pace.held


def test_after_a_burst_messages_are_taken_at_the_rate() -> None:
    pace, now = MessagePace(LIMITS, 0), 0.0
    for _ in range(100 + 250):
        now += pace.take(now)
    assert now == pytest.approx(5)
    assert pace.held


def test_a_device_that_pauses_may_burst_again() -> None:
    pace = MessagePace(LIMITS, 0)
    held = []
    for at in (0, 3):
        assert [pace.take(at) for _ in range(99)] == [0] * 99
        held.append(pace.held)
        pace.take(at)
        pace.take(at)
        held.append(pace.held)
    assert held == [False, True, False, True]


def test_a_steady_device_at_the_rate_is_never_told_to_go_even_after_a_burst() -> None:
    pace, now = MessagePace(LIMITS, 0), 0.0
    for _ in range(100):
        pace.take(0)
    for _ in range(10_000):
        now += 1 / 50
        now += pace.take(now)
    assert now == pytest.approx(200, abs=0.1)


def test_a_late_timer_does_not_hide_a_flood() -> None:
    pace, now, taken = MessagePace(LIMITS, 0), 0.0, 0
    with suppress(RateLimited):
        while taken < 10_000:
            pause = pace.take(now)
            now += pause + (0.015 if pause else 0)
            taken += 1
    assert 100 < taken < 10_000


def test_a_flood_ends_with_an_error_that_names_the_limit() -> None:
    pace, now = MessagePace(LIMITS, 0), 0.0
    while now < PATIENCE_SECONDS - 0.01:
        now += pace.take(now)
    with pytest.raises(RateLimited) as raised:
        pace.take(now)
    assert raised.value.facts == {"limit": "messagesPerSecond", "maximum": 50, "retryAfter": 2.0}

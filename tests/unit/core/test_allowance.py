from __future__ import annotations

import pytest

from syncline.core.allowance import Allowance


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    allowance = Allowance(per_second=20, at_once=40)
    assert [allowance.take(100.0) for _ in range(40)] == [0.0] * 40
    assert allowance.take(100.0) == pytest.approx(0.05)
    assert [allowance.take(101.0) for _ in range(20)] == [0.0] * 20
    assert allowance.take(101.0) > 0


def test_after_the_time_that_was_named_it_is_allowed() -> None:
    allowance = Allowance(per_second=20, at_once=2)
    while not (wait := allowance.take(5.0)):
        pass
    assert allowance.take(5.0 + wait - 0.01) > 0
    assert allowance.take(5.0 + wait + 1e-9) == 0


def test_what_was_refused_does_not_count() -> None:
    allowance = Allowance(per_second=1, at_once=1)
    assert allowance.take(0.0) == 0
    waits = [allowance.take(0.5) for _ in range(100)]
    assert set(waits) == {0.5}


def test_it_is_whole_again_after_a_while() -> None:
    allowance = Allowance(per_second=10, at_once=5)
    assert allowance.whole(0.0)
    allowance.take(0.0)
    allowance.take(0.0)
    assert not allowance.whole(0.1)
    assert allowance.whole(0.2)

from __future__ import annotations

from datetime import timedelta

from syncline.web.heartbeat import Beat, Heartbeat
from syncline.web.limits import WebLimits

LIMITS = WebLimits(
    init_timeout=timedelta(seconds=10),
    ping_interval=timedelta(seconds=20),
    pong_timeout=timedelta(seconds=5),
    stall_timeout=timedelta(seconds=30),
)


def a_heartbeat(*, initialised: bool = True, expires_at: float | None = None) -> Heartbeat:
    return Heartbeat(limits=LIMITS, opened_at=0, heard_at=0, initialised=initialised, expires_at=expires_at)


def due(heartbeat: Heartbeat, now: float, *, stalled_for: float = 0, reading: bool = True) -> Beat:
    return heartbeat.due(now, stalled_for=stalled_for, reading=reading)


def test_a_connection_without_init_is_closed_when_its_time_is_up() -> None:
    heartbeat = a_heartbeat(initialised=False)
    assert due(heartbeat, 9.9) is Beat.NOTHING
    assert heartbeat.next_look(9.9) == 10
    assert due(heartbeat, 10) is Beat.INIT_TIMEOUT


def test_a_silent_connection_is_pinged_once_and_then_closed() -> None:
    heartbeat = a_heartbeat()
    assert due(heartbeat, 19) is Beat.NOTHING
    assert due(heartbeat, 20) is Beat.PING
    assert due(heartbeat, 24) is Beat.NOTHING
    assert heartbeat.next_look(24) == 25
    assert due(heartbeat, 25) is Beat.SILENT


def test_any_message_answers_a_ping() -> None:
    heartbeat = a_heartbeat()
    due(heartbeat, 20)
    heartbeat.heard(22)
    assert due(heartbeat, 26) is Beat.NOTHING
    assert due(heartbeat, 42) is Beat.PING


def test_a_connection_that_is_not_read_owes_no_answer() -> None:
    heartbeat = a_heartbeat()
    due(heartbeat, 20)
    assert due(heartbeat, 100, reading=False) is Beat.NOTHING
    assert due(heartbeat, 101) is Beat.NOTHING


def test_a_credential_ends_to_the_moment() -> None:
    heartbeat = a_heartbeat(expires_at=3.5)
    assert heartbeat.next_look(1) == 3.5
    assert due(heartbeat, 3.4) is Beat.NOTHING
    assert due(heartbeat, 3.5) is Beat.EXPIRED


def test_a_stalled_device_is_closed() -> None:
    heartbeat = a_heartbeat()
    assert due(heartbeat, 1, stalled_for=29) is Beat.NOTHING
    assert due(heartbeat, 1, stalled_for=30) is Beat.STALLED


def test_a_buffer_is_looked_at_often_enough_to_see_it_stall() -> None:
    assert a_heartbeat().next_look(1) <= 1 + 30 / 4

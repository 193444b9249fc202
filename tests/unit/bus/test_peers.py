from __future__ import annotations

from syncline.bus.peers import Peers

ONE, TWO = b"node-one0001", b"node-two0001"


def test_what_comes_in_sequence_is_no_reason_to_look() -> None:
    peers = Peers()
    peers.heard(ONE, 0)
    assert not any(peers.heard(ONE, sequence) for sequence in range(1, 10))
    assert peers.gaps == 0


def test_a_connection_not_heard_of_before_is_a_reason_to_look_and_no_gap() -> None:
    peers = Peers()
    assert peers.heard(ONE, 5)
    assert peers.heard(TWO, 0)
    assert peers.gaps == 0


def test_a_skipped_number_is_a_gap() -> None:
    peers = Peers()
    peers.heard(ONE, 0)
    assert peers.heard(ONE, 2)
    assert not peers.heard(ONE, 3)
    assert peers.gaps == 1


def test_what_is_doubled_or_late_is_no_gap() -> None:
    peers = Peers()
    peers.heard(ONE, 4)
    assert not peers.heard(ONE, 4)
    assert not peers.heard(ONE, 1)
    assert not peers.heard(ONE, 5)
    assert peers.gaps == 0


def test_who_falls_silent_is_a_reason_to_look_for_a_while() -> None:
    peers = Peers()
    peers.heard(ONE, 0)
    assert [peers.beat_passed() for _ in range(3)] == [False, False, True]
    peers.heard(ONE, 1)
    assert [peers.beat_passed() for _ in range(3)] == [False, False, True]
    assert sum(peers.beat_passed() for _ in range(100)) < 50
    assert not peers.beat_passed()
    # Forgotten, so it is new again.
    assert peers.heard(ONE, 2)


def test_who_is_heard_at_each_beat_is_not_silent() -> None:
    peers = Peers()
    for sequence in range(100):
        peers.heard(ONE, sequence)
        assert not peers.beat_passed()


def test_invented_peers_take_no_more_than_so_much_memory() -> None:
    peers = Peers()
    for number in range(10_000):
        peers.heard(number.to_bytes(12), 0)
    assert len(peers._next) <= 1_024

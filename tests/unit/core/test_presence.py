from __future__ import annotations

from collections.abc import Mapping

import pytest

from syncline.core.json_values import JsonText
from syncline.core.presence import (
    Announcement,
    ConnectionId,
    Entry,
    NodeId,
    PresenceChanges,
    PresenceLimits,
    Roster,
    changes,
    listed,
)
from syncline.errors import LimitExceeded
from tests.support.presence import NOON, a_present, an_entry, applied, entries, who

HERE, THERE = NodeId("here"), NodeId("there")


def an_announcement(
    number: int, found: Mapping[ConnectionId, Entry] | None = None, *, gone: tuple[int, ...] = (), whole: bool = False
) -> Announcement:
    return Announcement(
        node=THERE,
        number=number,
        entries=found or {},
        gone=tuple(map(ConnectionId, gone)),
        all_from=ConnectionId(0) if whole else None,
    )


@pytest.fixture
def roster() -> Roster:
    return Roster(HERE)


# --- one node ---------------------------------------------------------------------------------------------------------


def test_a_device_with_two_connections_is_there_once_and_leaves_with_the_last(roster: Roster) -> None:
    roster.own.update(entries(c1=an_entry("alice", since=1), c2=an_entry("alice", since=2)))
    assert roster.present() == {who("alice"): a_present("alice", since=1)}
    del roster.own[ConnectionId(1)]
    assert roster.present() == {who("alice"): a_present("alice", since=2)}
    del roster.own[ConnectionId(2)]
    assert roster.present() == {}


def test_of_two_connections_of_a_device_the_state_that_was_set_last_counts(roster: Roster) -> None:
    roster.own.update(
        entries(
            c1=an_entry("alice", state="1", since=1, changed=9),
            c2=an_entry("alice", state="2", since=2, changed=5),
        )
    )
    assert roster.present()[who("alice")] == a_present("alice", state="1", since=1)


def test_two_devices_of_an_identity_are_two_and_so_are_two_identities(roster: Roster) -> None:
    roster.own.update(
        entries(c1=an_entry("alice"), c2=an_entry("alice", "laptop"), c3=an_entry("bob"), c4=an_entry("bob", None))
    )
    assert set(roster.present()) == {who("alice"), who("alice", "laptop"), who("bob"), who("bob", None)}


def test_an_update_is_of_all_connections_of_the_device_and_of_no_other(roster: Roster) -> None:
    roster.own.update(entries(c1=an_entry("alice"), c2=an_entry("alice"), c3=an_entry("bob")))
    assert roster.update(who("alice"), JsonText("7"), NOON) == [1, 2]
    assert [entry.state for entry in roster.own.values()] == ["7", "7", "{}"]


def test_a_clock_that_goes_back_does_not_make_an_update_older_than_what_it_replaces(roster: Roster) -> None:
    roster.own.update(entries(c1=an_entry("alice", state="1", changed=60)))
    roster.update(who("alice"), JsonText("2"), NOON)
    assert roster.own[ConnectionId(1)].changed == an_entry("alice", changed=60).changed


# --- other nodes ------------------------------------------------------------------------------------------------------


def test_whom_another_node_announces_is_present_until_it_says_otherwise(roster: Roster) -> None:
    assert roster.hear(an_announcement(1, entries(c1=an_entry("alice"), c2=an_entry("bob"))), 0)
    assert set(roster.present()) == {who("alice"), who("bob")}
    assert roster.elsewhere(who("alice"))
    roster.hear(an_announcement(2, gone=(1,)), 0)
    assert set(roster.present()) == {who("bob")}
    assert not roster.elsewhere(who("alice"))


def test_a_device_on_two_nodes_leaves_with_the_last_of_them(roster: Roster) -> None:
    roster.own.update(entries(c1=an_entry("alice", state="1", changed=1)))
    roster.hear(an_announcement(1, entries(c1=an_entry("alice", state="2", changed=2))), 0)
    assert roster.present()[who("alice")].state == "2"
    roster.hear(an_announcement(2, gone=(1,)), 0)
    assert roster.present()[who("alice")].state == "1"
    roster.own.clear()
    assert not roster.present()


def test_an_announcement_of_all_makes_up_for_leaves_that_were_lost(roster: Roster) -> None:
    roster.hear(an_announcement(1, entries(c1=an_entry("alice"), c2=an_entry("bob"))), 0)
    roster.hear(an_announcement(5, entries(c2=an_entry("bob")), whole=True), 0)
    assert set(roster.present()) == {who("bob")}


def test_a_part_of_an_announcement_of_all_says_nothing_of_the_connections_of_the_others(roster: Roster) -> None:
    roster.hear(an_announcement(1, entries(c1=an_entry("alice"), c5=an_entry("bob"), c9=an_entry("carol"))), 0)
    middle = Announcement(node=THERE, number=2, entries={}, all_from=ConnectionId(5), all_before=ConnectionId(9))
    roster.hear(middle, 0)
    assert set(roster.present()) == {who("alice"), who("carol")}


def test_what_comes_late_or_twice_brings_nobody_back(roster: Roster) -> None:
    joined, left = an_announcement(1, entries(c1=an_entry("alice"))), an_announcement(2, gone=(1,))
    roster.hear(joined, 0)
    roster.hear(left, 0)
    assert not roster.hear(joined, 0)
    assert not roster.hear(left, 0)
    assert not roster.present()


def test_a_node_does_not_believe_what_is_said_in_its_name(roster: Roster) -> None:
    assert not roster.hear(Announcement(node=HERE, number=9, entries=entries(c1=an_entry("alice"))), 0)
    assert not roster.present()


def test_who_is_not_heard_of_expires_and_who_is_stays(roster: Roster) -> None:
    roster.own.update(entries(c1=an_entry("alice")))
    roster.hear(an_announcement(1, entries(c1=an_entry("bob"), c2=an_entry("carol"))), 10)
    roster.hear(an_announcement(2, entries(c2=an_entry("carol", state="2"))), 25)
    assert not roster.expire(10)
    assert roster.expire(10.1)
    assert set(roster.present()) == {who("alice"), who("carol")}
    assert roster.expire(99)
    assert set(roster.present()) == {who("alice")}
    assert not roster._others


# --- events -----------------------------------------------------------------------------------------------------------


def test_changes_tell_who_came_changed_and_left() -> None:
    before = {who("alice"): a_present("alice"), who("bob"): a_present("bob")}
    after = {who("bob"): a_present("bob", state="1"), who("carol"): a_present("carol")}
    event = changes(before, after)
    assert event == PresenceChanges(
        joined=(a_present("carol"),), updated=(a_present("bob", state="1"),), left=(a_present("alice"),)
    )
    assert applied(before, event) == after


def test_no_change_is_no_event() -> None:
    present = {who("alice"): a_present("alice")}
    assert changes(present, dict(present)) is None


def test_the_list_begins_with_who_is_there_longest() -> None:
    late, early = a_present("alice", since=5), a_present("bob", since=1)
    assert listed({who("alice"): late, who("bob"): early}).present == (early, late)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_state_is_measured_in_bytes_of_its_compact_text() -> None:
    limits = PresenceLimits()
    limits.check_state(JsonText(f'"{"é" * 511}"'))
    with pytest.raises(LimitExceeded) as raised:
        limits.check_state(JsonText(f'"{"é" * 512}"'))
    assert raised.value.facts == {"limit": "presenceBytes", "maximum": 1_024, "actual": 1_026}


def test_only_so_many_devices_may_be_present() -> None:
    limits = PresenceLimits(present=2)
    limits.check_present(2)
    with pytest.raises(LimitExceeded) as raised:
        limits.check_present(3)
    assert raised.value.facts == {"limit": "present", "maximum": 2, "actual": 3}

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.core.json_values import JsonText
from syncline.core.presence import Announcement, ConnectionId, Entry, NodeId, Roster
from syncline.core.presence_letters import FORMAT, Question, StateSet, announced, read, written
from syncline.ports import MAX_LETTER_BYTES
from tests.support.presence import an_entry, entries, who

NODE = NodeId("0123456789abcdef")

identities = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)
found_entries = st.builds(
    an_entry, identities, st.none() | identities, st.text("x", max_size=1_022).map(lambda text: f'"{text}"')
)
many_entries = st.dictionaries(st.integers(0, 2**53).map(ConnectionId), found_entries, max_size=40)


@given(found=many_entries, gone=st.lists(st.integers(0, 2**53).map(ConnectionId), max_size=5).map(tuple))
def test_an_announcement_is_read_as_it_was_written(
    found: dict[ConnectionId, Entry], gone: tuple[ConnectionId, ...]
) -> None:
    announcement = Announcement(node=NODE, number=7, entries=found, gone=gone, all_from=ConnectionId(0))
    assert read(written(announcement)) == announcement


def test_the_other_letters_are_read_as_they_were_written() -> None:
    for letter in (
        Question(node=NODE),
        StateSet(node=NODE, identity=who("alice")[0], device=None, state=JsonText("null")),
    ):
        assert read(written(letter)) == letter


@given(junk=st.binary(max_size=60))
def test_junk_is_no_letter(junk: bytes) -> None:
    for data in (junk, bytes((FORMAT, 0)) + junk, bytes((FORMAT, 2)) + junk):
        assert read(data) is None


def test_of_another_format_or_kind_nothing_is_read() -> None:
    letter = written(Question(node=NODE))
    assert read(bytes((FORMAT + 1,)) + letter[1:]) is None
    assert read(bytes((FORMAT, 3)) + letter[2:]) is None


EXPECTED = (
    "010086a46e6f6465b030313233343536373839616263646566a66e756d62657207a7656e7472696573810185a86964656e74"
    "697479a5616c696365a6646576696365a570686f6e65a57374617465a131a573696e6365d6ff6a450140a76368616e676564"
    "d6ff6a450140a4676f6e6590a8616c6c5f66726f6dc0aa616c6c5f6265666f7265c0"
)


def test_letters_are_written_as_nodes_of_this_format_read_them() -> None:
    """If this fails, the names or types of what is written have changed: raise FORMAT."""
    announcement = Announcement(node=NODE, number=7, entries=entries(c1=an_entry("alice", state="1")))
    assert written(announcement).hex() == EXPECTED


@given(found=many_entries, whole=st.booleans())
def test_an_announcement_is_cut_into_letters_that_fit_and_say_the_same(
    found: dict[ConnectionId, Entry], whole: bool
) -> None:
    letters = list(announced(NODE, count(1), found, whole=whole, max_bytes=MAX_LETTER_BYTES))
    assert max(map(len, letters), default=0) <= MAX_LETTER_BYTES
    roster = Roster(NodeId("other"))
    # What was there before, and what is not: only an announcement of all puts an end to it.
    stale = ConnectionId(2**60)
    roster.hear(Announcement(node=NODE, number=0, entries={stale: an_entry("stale")}), 0)
    for letter in letters:
        heard = read(letter)
        assert isinstance(heard, Announcement)
        assert roster.hear(heard, 0)
    expected = Roster(NodeId("other"))
    expected.own.update(found if whole else {**found, stale: an_entry("stale")})
    assert roster.present() == expected.present()


def test_part_of_an_announcement_of_all_takes_nobody_away_of_whom_another_part_tells() -> None:
    found = {ConnectionId(n): an_entry(f"identity-{n}") for n in range(30)}
    roster = Roster(NodeId("other"))
    roster.hear(Announcement(node=NODE, number=0, entries=found), 0)
    letters = list(announced(NODE, count(1), found, whole=True, max_bytes=1_000))
    assert len(letters) > 3
    for letter in letters[::2]:
        heard = read(letter)
        assert isinstance(heard, Announcement)
        roster.hear(heard, 0)
        assert len(roster.present()) == 30


@pytest.mark.parametrize("number", [1, 900, 2_000])
def test_however_many_leave_at_once_all_are_told(number: int) -> None:
    gone = tuple(ConnectionId(2**50 + n) for n in range(number))
    letters = list(announced(NODE, count(), {}, gone=gone, max_bytes=MAX_LETTER_BYTES))
    told: list[ConnectionId] = []
    for letter in letters:
        assert len(letter) <= MAX_LETTER_BYTES
        heard = read(letter)
        assert isinstance(heard, Announcement)
        told.extend(heard.gone)
    assert tuple(told) == gone


def test_nothing_changed_is_no_letter_and_nobody_left_is_one() -> None:
    assert list(announced(NODE, count(), {}, max_bytes=MAX_LETTER_BYTES)) == []
    assert len(list(announced(NODE, count(), {}, whole=True, max_bytes=MAX_LETTER_BYTES))) == 1

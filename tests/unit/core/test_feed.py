"""What a feed does next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncline.core.feed import Follow, Hint, Mark, OnHint, filtered, follow, lacking, on_hint, shows_a_gap
from syncline.core.ids import Version
from syncline.core.model import Position
from syncline.core.pages import EVERYTHING, RecordFilter
from tests.support.core_builders import DATASET, EPOCH, OTHER_DATASET, OTHER_EPOCH, at, author, commit, js, record

MARK = Mark(EPOCH, at(4))


def hint(version: int = 5, previous: int | None = 4) -> Hint:
    return Hint(
        dataset=DATASET,
        epoch=EPOCH,
        version=Version(version),
        previous=None if previous is None else Version(previous),
        commit=commit(version),
    )


def test_the_commit_that_follows_directly_is_delivered() -> None:
    assert on_hint(MARK, hint()) is OnHint.DELIVER


@pytest.mark.parametrize("version", [1, 3, 4])
def test_what_is_known_is_ignored(version: int) -> None:
    assert on_hint(MARK, hint(version, version - 1)) is OnHint.IGNORE


@pytest.mark.parametrize(
    "junk",
    [
        hint(6, 5),
        hint(7, 4),
        replace(hint(), commit=None),
        replace(hint(), previous=None),
        replace(hint(3), previous=None),
        replace(hint(), epoch=OTHER_EPOCH),
        replace(hint(3), epoch=OTHER_EPOCH),
        replace(hint(), commit=commit(5, epoch=OTHER_EPOCH)),
        replace(hint(), commit=commit(5, dataset=OTHER_DATASET)),
        replace(hint(), commit=commit(6)),
        replace(hint(), commit=commit(5, previous=at(3))),
        replace(hint(), commit=commit(5, previous=at(4, 1))),
        replace(hint(), commit=commit(5, position=at(6))),
        replace(hint(), commit=commit(5, position=at(4, 1))),
    ],
)
def test_all_else_junk_included_is_a_reason_to_read_the_log(junk: Hint) -> None:
    assert on_hint(MARK, junk) is OnHint.READ_LOG


@pytest.mark.parametrize(
    ("told", "gap"),
    [
        (hint(6, 5), True),
        (replace(hint(6, 5), commit=None), True),
        (hint(), False),
        (replace(hint(), commit=None), False),
        (hint(3, 2), False),
        (replace(hint(9), previous=None), False),
        (replace(hint(6, 5), epoch=OTHER_EPOCH), False),
    ],
)
def test_a_hint_shows_a_gap_if_what_it_leads_on_from_was_never_told(told: Hint, gap: bool) -> None:
    assert shows_a_gap(MARK, told) is gap


def test_a_channel_that_stands_inside_a_commit_reads_on() -> None:
    assert on_hint(Mark(EPOCH, at(4, 2)), hint()) is OnHint.READ_LOG


RECENT = [commit(2, previous=at(1)), commit(3), commit(4)]


@pytest.mark.parametrize(
    ("position", "step"),
    [
        (at(4), Follow.JOIN),
        (at(3), Follow.REPLAY),
        (at(2), Follow.REPLAY),
        (at(1), Follow.REPLAY),
        (at(0), Follow.READ_LOG),
        (at(2, 1), Follow.READ_LOG),
        (at(4, 1), Follow.WAIT_FOR_CHANNEL),
        (at(5), Follow.WAIT_FOR_CHANNEL),
    ],
)
def test_a_follower_joins_replays_reads_or_waits_by_where_it_stands(position: Position, step: Follow) -> None:
    assert follow(position, MARK, RECENT) is step


def test_without_recent_commits_a_follower_reads_the_log() -> None:
    assert follow(at(3), MARK, []) is Follow.READ_LOG


def test_a_follower_inside_a_commit_joins_a_channel_that_stands_at_the_same_place() -> None:
    assert follow(at(4, 2), Mark(EPOCH, at(4, 2)), []) is Follow.JOIN
    assert follow(at(4), Mark(EPOCH, at(4, 2)), []) is Follow.READ_LOG


def test_a_follower_that_began_with_nothing_goes_live_only_where_its_checkpoint_is_the_channels_too() -> None:
    begun = Position(Version(4), begun=Version(9))
    assert follow(begun, Mark(EPOCH, at(4)), RECENT) is Follow.READ_LOG
    assert follow(at(4), Mark(EPOCH, begun), RECENT) is Follow.READ_LOG
    assert follow(begun, Mark(EPOCH, begun), RECENT) is Follow.JOIN
    assert follow(Position(Version(3), begun=Version(9)), MARK, RECENT) is Follow.READ_LOG


def test_what_is_lacking_begins_exactly_where_the_follower_stands() -> None:
    assert lacking(at(1), RECENT) == RECENT
    assert lacking(at(3), RECENT) == RECENT[2:]
    assert lacking(at(4), RECENT) == []


def test_a_filtered_commit_keeps_its_positions_even_if_nothing_is_left() -> None:
    whole = commit(5, record("a", js(1), version=5, by="phone"), record("b", js(1), version=5, ordinal=1, by="tablet"))
    assert filtered(whole, EVERYTHING) is whole
    assert [r.key for r in filtered(whole, RecordFilter(prefix="a")).records] == ["a"]
    assert [r.key for r in filtered(whole, RecordFilter(skip_author=author("phone"))).records] == ["b"]
    none = filtered(whole, RecordFilter(prefix="none"))
    assert (none.records, none.previous, none.position) == ((), at(4), at(5))

"""What a feed does next: pure decisions for the shell in ``service/channels.py`` and ``service/feeds.py``.

A *channel* follows one dataset for all who watch it on this node. Its *mark* is the position up to which every live
follower has been served, or is by the pass under way. A follower that is not live reads the log for itself until it
stands where the mark stands; then, without a pause in between, it joins. So no commit is missed and none is delivered
twice, whatever happens to hints: they only say when to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from syncline.core.ids import DatasetId, Epoch, RecordKey, Version
from syncline.core.model import Commit, Position, Record
from syncline.core.pages import MAX_FEED_PAGE_BYTES, MAX_PAGE_RECORDS, RecordFilter, author_of, page_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Says on the bus that a dataset now stands at ``version``; it may carry the commit that leads there.

    It can be lost, doubled, reordered or wrong without harm. ``previous`` None: nothing is known but that it is time to
    look, as after a deletion.
    """

    dataset: DatasetId
    epoch: Epoch
    version: Version
    previous: Version | None = None
    commit: Commit | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a log. The mark of a fan-out: all live followers have been served up to here, or are just being."""

    epoch: Epoch
    position: Position


class OnHint(Enum):
    """What a channel does about a hint."""

    DELIVER = auto()
    IGNORE = auto()
    READ_LOG = auto()


def on_hint(mark: Mark, hint: Hint) -> OnHint:
    """Deliver what follows directly, ignore what is known; all else, junk included, is a reason to read the log."""
    if hint.epoch == mark.epoch and hint.previous is not None and hint.version <= mark.position.version:
        return OnHint.IGNORE
    if (
        hint.epoch == mark.epoch
        and hint.previous is not None
        and Position(hint.previous) == mark.position
        and hint.commit is not None
        and hint.commit.dataset == hint.dataset
        and hint.commit.epoch == mark.epoch
        and hint.commit.previous == mark.position
        and hint.commit.position == Position(hint.version)
    ):
        return OnHint.DELIVER
    return OnHint.READ_LOG


def shows_a_gap(mark: Mark, hint: Hint) -> bool:
    """Whether the hint tells of a commit that leads on from one that nobody told of: a hint before it was lost."""
    return hint.epoch == mark.epoch and hint.previous is not None and hint.previous > mark.position.version


class Follow(Enum):
    """What a follower that stands at a position does next."""

    JOIN = auto()
    """It stands where the channel stands: live from here on."""
    REPLAY = auto()
    """The commits that it lacks are still at hand."""
    READ_LOG = auto()
    """It lacks more than that."""
    WAIT_FOR_CHANNEL = auto()
    """It has read further than the channel: the channel has to read the log before anyone can join."""


def follow(position: Position, mark: Mark, recent: Sequence[Commit]) -> Follow:
    """``recent`` holds the commits just delivered, in order and without gap, up to the mark."""
    if position == mark.position and _same_text(position, mark.position):
        return Follow.JOIN
    if position > mark.position:
        return Follow.WAIT_FOR_CHANNEL
    if any(commit.previous == position and _same_text(commit.previous, position) for commit in recent):
        return Follow.REPLAY
    return Follow.READ_LOG


def _same_text(one: Position, other: Position) -> bool:
    """Of equal positions, whether their checkpoints are the same text: who goes on from one goes on from the other.

    One is of somebody who began with nothing and has not read all yet, and the other may not be.
    """
    return one.begun == other.begun


def lacking(position: Position, recent: Sequence[Commit]) -> list[Commit]:
    """The commits in ``recent`` that lead on from ``position``, at which one of them begins."""
    return [commit for commit in recent if commit.position > position]


def joined(commits: Sequence[Commit]) -> list[Commit]:
    """The same as the chain ``commits``, in as few as fit into an event: of each record only the last state."""
    found: list[Commit] = []
    run: list[Commit] = []
    size = count = 0
    for commit in commits:
        more_bytes, more = sum(map(page_bytes, commit.records)), len(commit.records)
        if run and (size + more_bytes > MAX_FEED_PAGE_BYTES or count + more > MAX_PAGE_RECORDS):
            found.append(_as_one(run))
            run, size, count = [], 0, 0
        run.append(commit)
        size, count = size + more_bytes, count + more
    if run:
        found.append(_as_one(run))
    return found


def _as_one(commits: Sequence[Commit]) -> Commit:
    if len(commits) == 1:
        return commits[0]
    latest: dict[RecordKey, Record] = {}
    for commit in commits:
        for record in commit.records:
            # Where it was written last is its place in the log.
            latest.pop(record.key, None)
            latest[record.key] = record
    records = tuple(latest.values())
    return replace(commits[-1], previous=commits[0].previous, author=author_of(records), records=records)


def filtered(commit: Commit, record_filter: RecordFilter) -> Commit:
    """``commit`` as a follower with this filter gets it. It may hold no record: its checkpoint still moves on."""
    if not record_filter.prefix and record_filter.skip_author is None:
        return commit
    records = tuple(record for record in commit.records if record_filter.lets_through(record))
    # As of a commit that is read from the log: nobody wrote nothing.
    return replace(commit, records=records, author=author_of(records))

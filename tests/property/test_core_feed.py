"""Rules 7 and 12 of the contract: whatever happens to hints, followers get the commits in order, without gap or double.

A channel and its followers, driven by nothing but the pure decisions of ``core/feed.py``. Everything happens one step
at a time and in any order, as on an event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from syncline.core.changes import AnyState, Put, Remove
from syncline.core.feed import Follow, Hint, Mark, OnHint, filtered, follow, joined, lacking, on_hint
from syncline.core.ids import RecordKey, Version
from syncline.core.model import BEGINNING, Commit, Position, Record
from syncline.core.pages import EVERYTHING, PageRequest, RecordFilter
from tests.property import strategies as own
from tests.support.core_builders import DATASET, EPOCH, OTHER_DATASET, OTHER_EPOCH, at, author, js, record, request
from tests.support.memory_log import MemoryLog


@dataclass
class Follower:
    """A device that checks what it is told."""

    position: Position
    wanted: RecordFilter = EVERYTHING
    replica: dict[RecordKey, Record] = field(default_factory=dict)
    live: bool = False
    behind: bool = False
    """It has no room: what is pushed to it is not taken."""

    def take(self, commit: Commit) -> None:
        assert commit.previous == self.position, "a gap, or a double"
        assert commit.position > self.position
        for each in filtered(commit, self.wanted).records:
            assert not commit.previous.covers(each)
            assert commit.position.covers(each)
            self.replica[each.key] = each
        self.position = commit.position


class Node:
    """One dataset's log, its channel, and who follows it."""

    def __init__(self, recent: int, page_records: int) -> None:
        self.log = own.log_of([])
        self.page = PageRequest(first=page_records)
        self.mark = Mark(EPOCH, BEGINNING)
        self.recent: deque[Commit] = deque(maxlen=recent)
        self.followers: list[Follower] = []
        self.hints: list[Hint] = []

    @property
    def version(self) -> Version:
        return self.log.heads[DATASET].version

    def commit(self, names: list[RecordKey], *, device: str, remove: bool) -> None:
        number = len(self.log.commits)
        changes = [
            Remove(key=name, base=AnyState())
            if remove and name in own.values(self.log)
            else Put(key=name, value=js(f"{name} {number}"), base=AnyState())
            for name in dict.fromkeys(names)
        ]
        self.log.sync(request(*changes, device=device, mutation=f"m-{number}"))
        last = self.log.commits[-1]
        self.hints.append(
            Hint(dataset=DATASET, epoch=EPOCH, version=last.version, previous=Version(last.version - 1), commit=last)
        )

    def ring(self, hint: Hint) -> None:
        match on_hint(self.mark, hint):
            case OnHint.IGNORE:
                return
            case OnHint.DELIVER:
                assert hint.commit is not None
                self.deliver(hint.commit)
            case OnHint.READ_LOG:
                self.read_log()

    def read_page(self, position: Position, wanted: RecordFilter = EVERYTHING) -> Commit | None:
        page = self.log.page(self.log.heads[DATASET], position, replace(self.page, filter=wanted))
        if page.position == position:
            return None
        return Commit(
            dataset=DATASET,
            epoch=EPOCH,
            previous=position,
            position=page.position,
            author=None,
            records=page.records,
        )

    def read_log(self, pages: int | None = None) -> None:
        """The channel reads on: so many pages, or all there are."""
        while pages is None or pages > 0:
            commit = self.read_page(self.mark.position)
            if commit is None:
                return
            self.deliver(commit)
            pages = None if pages is None else pages - 1

    def deliver(self, commit: Commit) -> None:
        self.mark = Mark(commit.epoch, commit.position)
        self.recent.append(commit)
        for follower in self.followers:
            if follower.live and follower.behind:
                follower.live = False
            elif follower.live:
                follower.take(commit)

    def advance(self, follower: Follower) -> None:
        """One step of a follower that is not live."""
        if follower.live:
            return
        match follow(follower.position, self.mark, self.recent):
            case Follow.JOIN:
                follower.live = True
            case Follow.REPLAY:
                missed = lacking(follower.position, self.recent)
                assert missed
                for commit in missed:
                    follower.take(commit)
            case Follow.READ_LOG:
                read = self.read_page(follower.position, follower.wanted)
                assert read is not None, "told to read on where nothing is"
                follower.take(read)
            case Follow.WAIT_FOR_CHANNEL:
                self.read_log(pages=1)

    def settle(self) -> None:
        """No more commits and no more hints: the sweep looks, and every follower goes on until it is live."""
        self.read_log()
        for follower in self.followers:
            follower.behind = False
            for _ in range(100):
                self.advance(follower)
            assert follower.live
        assert self.mark.position == Position(self.version)

    def check(self, follower: Follower) -> None:
        """It stands at the end and holds what it wants of the log."""
        assert follower.position == Position(self.version)
        wanted = {
            name: record for name, record in self.log.records[DATASET].items() if follower.wanted.lets_through(record)
        }
        assert {name: follower.replica.get(name) for name in wanted} == wanted


Action = Callable[[Node], None]


def _commits() -> st.SearchStrategy[Action]:
    def action(names: list[RecordKey], device: str, remove: bool) -> Action:
        return lambda node: node.commit(names, device=device, remove=remove)

    return st.builds(
        action, st.lists(own.keys, min_size=1, max_size=3), st.sampled_from(("phone", "tablet")), st.booleans()
    )


JUNK: dict[str, Callable[[Hint], Hint]] = {
    "as it is": lambda hint: hint,
    "again as it is": lambda hint: hint,
    "without its commit": lambda hint: replace(hint, commit=None),
    "of another epoch": lambda hint: replace(hint, epoch=OTHER_EPOCH),
    "with a commit of another epoch": lambda hint: replace(hint, commit=_other(hint, epoch=OTHER_EPOCH)),
    "with a commit of another dataset": lambda hint: replace(hint, commit=_other(hint, dataset=OTHER_DATASET)),
    "that knows nothing of before": lambda hint: replace(hint, previous=None),
    "from far ahead": lambda hint: replace(hint, version=Version(hint.version + 9)),
    "one ahead": lambda hint: replace(hint, version=Version(hint.version + 1), previous=hint.version),
    "one behind": lambda hint: replace(hint, version=Version(hint.version - 1)),
    "with a wrong previous": lambda hint: replace(hint, previous=Version(0)),
    "with a commit that claims more": lambda hint: replace(hint, commit=_other(hint, position=at(hint.version + 3))),
    "with a commit that claims to begin earlier": lambda hint: replace(hint, commit=_other(hint, previous=BEGINNING)),
}


def _other(hint: Hint, **changed: object) -> Commit:
    assert hint.commit is not None
    return replace(hint.commit, **changed)  # type: ignore[arg-type] # names and types are those of the table above


def _rings() -> st.SearchStrategy[Action]:
    """A hint arrives: any of those ever sent, so also late, again, out of order; those not drawn are lost."""

    def action(back: int, fate: str) -> Action:
        def ring(node: Node) -> None:
            if node.hints:
                node.ring(JUNK[fate](node.hints[-1 - back % len(node.hints)]))

        return ring

    return st.builds(action, st.sampled_from((0, 0, 0, 1, 2, 3)), st.sampled_from(sorted(JUNK)))


def _follower_steps() -> st.SearchStrategy[Action]:
    def action(number: int, steps: int, behind: bool) -> Action:
        def step(node: Node) -> None:
            if node.followers:
                follower = node.followers[number % len(node.followers)]
                follower.behind = behind
                for _ in range(steps):
                    node.advance(follower)

        return step

    return st.builds(action, st.integers(0, 3), st.integers(1, 4), st.booleans())


def _subscriptions() -> st.SearchStrategy[Action]:
    def action(now: bool, wanted: RecordFilter) -> Action:
        def subscribe(node: Node) -> None:
            follower = Follower(BEGINNING, wanted)
            if now:
                # From now on: it is told nothing of before, and here it is as if it had it.
                follower.position = Position(node.version)
                follower.replica.update(node.log.records[DATASET])
            node.followers.append(follower)

        return subscribe

    filters = st.sampled_from((EVERYTHING, RecordFilter(prefix="a"), RecordFilter(skip_author=author("phone"))))
    return st.builds(action, st.booleans(), filters)


def _reads() -> st.SearchStrategy[Action]:
    def action(pages: int) -> Action:
        return lambda node: node.read_log(pages)

    return st.builds(action, st.integers(1, 2))


actions = st.one_of(_commits(), _commits(), _rings(), _rings(), _follower_steps(), _subscriptions(), _reads())


@given(todo=st.lists(actions, min_size=1, max_size=30), recent=st.integers(1, 4), page_records=st.integers(1, 4))
def test_whatever_happens_to_hints_followers_get_the_commits_in_order_without_gap_or_double(
    todo: list[Action], recent: int, page_records: int
) -> None:
    node = Node(recent, page_records)
    for action in todo:
        action(node)
    node.settle()
    for follower in node.followers:
        node.check(follower)


@given(todo=st.lists(_commits() | _rings(), max_size=20), fate=st.sampled_from(sorted(JUNK)))
def test_a_hint_is_delivered_only_if_it_follows_directly_and_is_whole(todo: list[Action], fate: str) -> None:
    node = Node(4, 4)
    for action in todo:
        action(node)
    for sent in node.hints:
        hint = JUNK[fate](sent)
        decision = on_hint(node.mark, hint)
        if decision is OnHint.DELIVER:
            assert hint.commit in node.log.commits
            assert hint.commit.previous == node.mark.position
        if decision is OnHint.IGNORE:
            assert hint.version <= node.mark.position.version
        if sent.version == node.mark.position.version + 1 and hint == sent:
            assert decision is OnHint.DELIVER


@given(todo=st.lists(_commits(), min_size=1, max_size=12), data=st.data())
def test_one_who_reads_on_costs_a_pointer_and_gets_the_rest_from_what_is_at_hand_or_from_the_log(
    todo: list[Action], data: st.DataObject
) -> None:
    node = Node(recent=3, page_records=2)
    for action in todo:
        action(node)
        node.ring(node.hints[-1])
    position = data.draw(own.positions(node.log))
    decision = follow(position, node.mark, node.recent)
    at_hand = [commit for commit in node.log.commits[-3:] if commit.position > position]
    if position == Position(node.version):
        assert decision is Follow.JOIN
    elif at_hand and at_hand[0].previous == position:
        assert decision is Follow.REPLAY
        assert lacking(position, node.recent) == at_hand
    else:
        assert decision is Follow.READ_LOG
    assert follow(at(node.version + 1), node.mark, node.recent) is Follow.WAIT_FOR_CHANNEL
    assert follow(at(node.version, 1), node.mark, node.recent) is Follow.WAIT_FOR_CHANNEL


@given(log=own.histories, at_once=st.lists(st.integers(1, 5), max_size=30))
def test_joined_commits_lead_to_the_same_state_in_the_same_order(log: MemoryLog, at_once: list[int]) -> None:
    commits = [commit for commit in log.commits if commit.dataset == DATASET]
    singly, together = Follower(BEGINNING), Follower(BEGINNING)
    for number in [*at_once, len(commits)]:
        chain, commits = commits[:number], commits[number:]
        for commit in chain:
            singly.take(commit)
        for commit in joined(chain):
            together.take(commit)
            places = [(each.version, each.ordinal) for each in commit.records]
            assert places == sorted(places)
            assert commit.author in (None, *(each.updated_by for each in commit.records))
        assert (together.position, together.replica) == (singly.position, singly.replica)


def chain(*record_counts: int, size: int = 1) -> list[Commit]:
    return [
        Commit(
            dataset=DATASET,
            epoch=EPOCH,
            previous=at(number),
            position=at(number + 1),
            author=author(),
            records=tuple(
                record(f"{number}-{ordinal}", js("x" * size), version=number + 1, ordinal=ordinal)
                for ordinal in range(count)
            ),
        )
        for number, count in enumerate(record_counts)
    ]


def test_joined_commits_are_no_larger_than_a_page() -> None:
    assert [len(commit.records) for commit in joined(chain(200, 200, 200, 900, 10))] == [400, 200, 900, 10]
    assert [len(commit.records) for commit in joined(chain(1, 1, 1, size=100_000))] == [2, 1]


def test_one_commit_and_none_are_left_as_they_are() -> None:
    [commit] = chain(3)
    assert joined([commit])[0] is commit
    assert joined([]) == []

"""Whatever comes and goes during a pass: each follower gets every commit once, in order, for as long as it is live."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.core.feed import Mark
from syncline.core.ids import IdentityId
from syncline.core.model import BEGINNING, Commit, Position
from syncline.core.pages import EVERYTHING
from syncline.service.fan_out import FanOut
from tests.support.core_builders import DATASET, EPOCH, at, author, js, record

PATIENCE_SECONDS = 20
FOLLOWERS = st.integers(0, 6)
KINDS = [
    "commit",
    "commit",
    "turn",
    "turn",
    "turn",
    "go",
    "come",
    "come",
    "go and come",
    "is full",
    "has room",
    "dismiss",
]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), FOLLOWERS), max_size=40)


class Follower:
    """Checks that what it gets leads on from where it stands."""

    record_filter = EVERYTHING
    identity = IdentityId("alice")

    def __init__(self, fan_out: FanOut, group: Hashable) -> None:
        self._fan_out = fan_out
        self.group = group
        self.sink = self
        self.position: Position | None = None
        """None: it is not live."""
        self.full = False
        self.seen = 0
        self.faults: list[str] = []
        """What was wrong; who calls would log an exception and go on."""

    def encode(self, commit: Commit) -> Any:
        return commit

    def push(self, payload: Any) -> bool:
        if self.full:
            return False
        if payload.previous != self.position:
            self.faults.append(f"at {self.position} it gets what leads on from {payload.previous}")
        self.position = payload.position
        self.seen += 1
        return True

    def left_at(self, position: Position) -> None:
        if self.position != position:
            self.faults.append(f"at {self.position} it is let go at {position}")
        self.position = None

    def come(self) -> None:
        if self.position is None:
            self.position = self._fan_out.mark.position
            self._fan_out.join(self)

    def go(self) -> None:
        self._fan_out.leave(self)
        self.position = None


def a_commit(number: int) -> Commit:
    return Commit(
        dataset=DATASET,
        epoch=EPOCH,
        previous=at(number),
        position=at(number + 1),
        author=author(),
        records=(record("k", js(number), version=number + 1),),
    )


async def until_delivered(fan_out: FanOut, version: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while fan_out.mark.position != at(version):
            await fan_out.moved()
        while fan_out._serving is not None:  # noqa: ASYNC110 # turn by turn, as the pass goes on
            await asyncio.sleep(0)


async def live_through(steps: list[tuple[str, int]], slice_size: int) -> None:
    fan_out = FanOut(Mark(EPOCH, BEGINNING), slice_size=slice_size)
    followers = [Follower(fan_out, number % 2) for number in range(7)]
    for follower in followers:
        follower.come()
    version = 0
    for step, number in steps:
        match step:
            case "commit":
                fan_out.add(a_commit(version))
                version += 1
            case "turn":
                await asyncio.sleep(0)
            case "come":
                followers[number].come()
            case "go":
                followers[number].go()
            case "go and come":
                followers[number].go()
                followers[number].come()
            case "is full":
                followers[number].full = True
            case "has room":
                followers[number].full = False
            case "dismiss":
                version = fan_out.taken.position.version
                fan_out.dismiss(fan_out.taken)
                assert all(follower.position is None for follower in followers)
    assert fan_out.taken.position == at(version)
    await until_delivered(fan_out, version)
    for follower in followers:
        assert follower.faults == []
        assert follower.position in (None, at(version))


@settings(max_examples=2_000)
@given(steps=STEPS, slice_size=st.integers(1, 3))
def test_every_live_follower_gets_every_commit_once(steps: list[tuple[str, int]], slice_size: int) -> None:
    asyncio.run(live_through(steps, slice_size))


async def test_commits_of_one_turn_are_one_event() -> None:
    fan_out = FanOut(Mark(EPOCH, BEGINNING))
    follower = Follower(fan_out, "all")
    follower.come()
    for number in range(8):
        fan_out.add(a_commit(number))
    await until_delivered(fan_out, 8)
    assert (follower.seen, follower.position) == (1, at(8))


async def test_the_event_loop_gets_its_turn_during_a_pass() -> None:
    fan_out = FanOut(Mark(EPOCH, BEGINNING), slice_size=10)
    followers = [Follower(fan_out, "all") for _ in range(100)]
    for follower in followers:
        follower.come()
    fan_out.add(a_commit(0))
    turns: list[int] = []
    while not turns or turns[-1] < len(followers):
        await asyncio.sleep(0)
        turns.append(sum(follower.seen for follower in followers))
    assert set(turns) >= {10, 50, 100}


async def test_a_hot_dataset_joins_its_commits() -> None:
    """1,000 commits, as fast as the event loop turns: followers get far fewer events, and lack nothing."""
    fan_out = FanOut(Mark(EPOCH, BEGINNING))
    followers = [Follower(fan_out, "all") for _ in range(1_000)]
    for follower in followers:
        follower.come()
    for number in range(1_000):
        fan_out.add(a_commit(number))
        await asyncio.sleep(0)
    await until_delivered(fan_out, 1_000)
    assert all(follower.position == at(1_000) for follower in followers)
    assert max(follower.seen for follower in followers) < 250


async def test_a_fault_in_one_followers_push_does_not_reach_the_others() -> None:
    class Broken(Follower):
        def push(self, payload: Any) -> bool:
            raise RuntimeError("broken")

    fan_out = FanOut(Mark(EPOCH, BEGINNING))
    followers = [Follower(fan_out, "all"), Broken(fan_out, "all"), Follower(fan_out, "all")]
    for follower in followers:
        follower.come()
    fan_out.add(a_commit(0))
    await until_delivered(fan_out, 1)
    assert [follower.position for follower in followers] == [at(1), None, at(1)]

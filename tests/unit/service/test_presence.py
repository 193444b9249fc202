from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from syncline.bus.local import LocalBus
from syncline.core.events import AccessEnded, DatasetDeleted
from syncline.core.ids import NO_TENANT, DatasetId, DatasetName
from syncline.core.json_values import JsonText
from syncline.core.limits import Limits
from syncline.core.model import DatasetHead, DatasetRef, Role, Standing, Viewer
from syncline.core.presence import PresenceLimits, PresenceList, Who
from syncline.core.sharing import RemoveMember, Share
from syncline.errors import (
    DatasetIsDeleted,
    DatasetNotFound,
    LimitExceeded,
    NotPresent,
    RateLimited,
    SynclineError,
)
from syncline.ports import Topic
from syncline.service.presence_feed import PresenceFeed
from syncline.service.presence_room import PresenceTiming
from syncline.storage.sqlite import SqliteStore
from syncline.topics import presence_topic
from tests.support.presence import applied, who
from tests.support.valkey import eventually
from tests.support.world import NOTES, World, put, viewer

QUICK = PresenceTiming(announce_every=timedelta(seconds=0.2))
SLOW = PresenceTiming(announce_every=timedelta(hours=1))
"""For tests in which nothing may be said twice."""


OTHER = DatasetRef(name=DatasetName("other"))


class Spectator:
    """A sink that does as it is told, and knows whom it takes for present. ``open`` says whether it has room."""

    def __init__(self, feed: PresenceFeed, *, cohort: object = None, is_open: bool = True) -> None:
        self.feed = feed
        self.events: list[Any] = []
        self.present: dict[Who, Any] = {}
        self.encoded = 0
        self.ended = False
        self.error: SynclineError | None = None
        self.room = asyncio.Event()
        if is_open:
            self.room.set()
        feed.start(self, self._encode, cohort or self)

    def _encode(self, event: Any) -> Any:
        self.encoded += 1
        return event

    def push(self, payload: Any) -> bool:
        if self.room.is_set():
            self._take(payload)
        return self.room.is_set()

    async def send(self, payload: Any) -> None:
        await self.room.wait()
        self._take(payload)

    def end(self, error: SynclineError | None) -> None:
        assert not self.ended
        self.ended, self.error = True, error

    def _take(self, event: Any) -> None:
        assert not self.ended
        self.events.append(event)
        if not isinstance(event, AccessEnded | DatasetDeleted):
            self.present = applied(self.present, event)

    @property
    def states(self) -> dict[Who, str]:
        return {each: present.state for each, present in self.present.items()}

    async def sees(self, *expected: Who) -> None:
        await eventually(lambda: self.events and set(self.present) == set(expected))


async def watch(world: World, by: Viewer, state: str | None = None, ref: DatasetRef = NOTES, **how: Any) -> Spectator:
    feed = await world.presence.open(by, ref, None if state is None else JsonText(state))
    return Spectator(feed, **how)


MakeNode = Callable[..., World]


@pytest.fixture
async def make_node(tmp_path: Path) -> AsyncIterator[MakeNode]:
    """Nodes of one installation: they share a store, and a bus."""
    store, bus, made = await SqliteStore.open(tmp_path / "syncline.sqlite3"), LocalBus(), list[World]()

    def make(timing: PresenceTiming = QUICK) -> World:
        made.append(World(store, Limits(), bus, timing))
        return made[-1]

    first = make()
    await first.sync(put("a", 1), mutation_id="the first of all")
    yield make
    for each in made:
        await each.presence.close()
        await each.channels.close()
    await bus.close()
    await store.close()


@pytest.fixture
def node(make_node: MakeNode) -> World:
    return make_node()


async def head_of(world: World) -> DatasetHead:
    return await world.head()


ALICE, LAPTOP = who("alice"), who("alice", "laptop")


# --- who is there -----------------------------------------------------------------------------------------------------


async def test_the_first_event_lists_everyone_and_then_come_joins_updates_and_leaves(node: World) -> None:
    phone = await watch(node, viewer("phone"), '{"at":1}')
    await phone.sees(ALICE)
    assert isinstance(phone.events[0], PresenceList)
    laptop = await watch(node, viewer("laptop"), '{"at":2}')
    await laptop.sees(ALICE, LAPTOP)
    assert len(laptop.events) == 1
    await phone.sees(ALICE, LAPTOP)
    present = await node.presence.set_state(viewer("laptop"), NOTES, JsonText('{"at":3}'))
    assert present.state == '{"at":3}'
    await eventually(lambda: phone.states == laptop.states == {ALICE: '{"at":1}', LAPTOP: '{"at":3}'})
    assert phone.present[LAPTOP].since == present.since
    await laptop.feed.close()
    await phone.sees(ALICE)
    assert not phone.ended


async def test_without_a_state_a_device_only_watches(node: World) -> None:
    watcher = await watch(node, viewer("tablet"))
    await watcher.sees()
    phone = await watch(node, viewer("phone"), "null")
    await watcher.sees(ALICE)
    await phone.feed.close()
    await watcher.sees()
    with pytest.raises(NotPresent):
        await node.presence.set_state(viewer("tablet"), NOTES, JsonText("1"))


async def test_a_device_with_two_subscriptions_leaves_with_the_last(node: World) -> None:
    watcher = await watch(node, viewer("tablet"))
    first, second = [await watch(node, viewer("phone"), state) for state in "12"]
    await watcher.sees(ALICE)
    await first.feed.close()
    await node.presence.set_state(viewer("phone"), NOTES, JsonText("3"))
    await eventually(lambda: watcher.states == {ALICE: "3"})
    await second.feed.close()
    await watcher.sees()
    assert node.presence.present == 0


async def test_datasets_are_apart(node: World) -> None:
    await node.sync(put("a", 1), ref=OTHER)
    watcher = await watch(node, viewer("tablet"), ref=OTHER)
    phone = await watch(node, viewer("phone"), "1")
    await phone.sees(ALICE)
    await watcher.sees()


async def test_by_id_and_by_name_one_meets(node: World) -> None:
    by_id = await watch(node, viewer("phone"), "1", DatasetRef(id=(await head_of(node)).id))
    by_name = await watch(node, viewer("laptop"), "1")
    await by_id.sees(ALICE, LAPTOP)
    await by_name.sees(ALICE, LAPTOP)


# --- across nodes -----------------------------------------------------------------------------------------------------


async def test_who_is_on_another_node_is_told_of_and_so_is_what_they_do(make_node: MakeNode) -> None:
    here, there = make_node(SLOW), make_node(SLOW)
    phone = await watch(there, viewer("phone"), "1")
    await phone.sees(ALICE)
    laptop = await watch(here, viewer("laptop"), "2")
    await laptop.sees(ALICE, LAPTOP)
    await phone.sees(ALICE, LAPTOP)
    await there.presence.set_state(viewer("phone"), NOTES, JsonText("3"))
    await eventually(lambda: laptop.states == {ALICE: "3", LAPTOP: "2"})
    await phone.feed.close()
    await laptop.sees(LAPTOP)


async def test_a_state_is_set_by_way_of_any_node(make_node: MakeNode) -> None:
    here, there = make_node(SLOW), make_node(SLOW)
    phone = await watch(there, viewer("phone"), "1")
    await phone.sees(ALICE)
    # Nobody on this node had asked for this dataset before.
    present = await here.presence.set_state(viewer("phone"), NOTES, JsonText("2"))
    assert (present.identity, present.device, present.state) == (*ALICE, "2")
    await eventually(lambda: phone.states == {ALICE: "2"})
    with pytest.raises(NotPresent) as raised:
        await here.presence.set_state(viewer("laptop"), NOTES, JsonText("2"))
    assert raised.value.facts == {"dataset": "notes"}


async def test_the_people_of_a_node_that_falls_silent_leave_when_they_expire(make_node: MakeNode) -> None:
    here, there = make_node(), make_node()
    watcher = await watch(here, viewer("tablet"))
    await watch(there, viewer("phone"), "1")
    await watcher.sees(ALICE)
    there.bus.muted = True
    await watcher.sees()
    there.bus.muted = False
    await watcher.sees(ALICE)


async def test_a_node_that_is_heard_keeps_its_people(make_node: MakeNode) -> None:
    here, there = make_node(), make_node()
    watcher = await watch(here, viewer("tablet"))
    await watch(there, viewer("phone"), "1")
    await watcher.sees(ALICE)
    told = there.bus.told
    await eventually(lambda: there.bus.told >= told + 5)
    assert len(watcher.events) == 2


async def test_a_leave_that_is_lost_is_made_up_for_by_the_next_announcement(make_node: MakeNode) -> None:
    here, there = make_node(SLOW), make_node()
    watcher = await watch(here, viewer("tablet"))
    phone, _laptop = await watch(there, viewer("phone"), "1"), await watch(there, viewer("laptop"), "1")
    await watcher.sees(ALICE, LAPTOP)
    there.bus.muted = True
    await phone.feed.close()
    told = there.bus.told
    await eventually(lambda: there.bus.told > told)
    there.bus.muted = False
    # Long before anybody here would expire.
    await watcher.sees(LAPTOP)


async def test_letters_that_nobody_can_read_change_nothing(make_node: MakeNode) -> None:
    here, there = make_node(SLOW), make_node(SLOW)
    watcher = await watch(here, viewer("tablet"))
    await watch(there, viewer("phone"), "1")
    await watcher.sees(ALICE)
    for junk in (b"", b"\x01", b"\x01\x00", b"\x02\x00\x80", b"\x01\x09\x80", b"x" * 100):
        there.bus.tell(presence_topic(NO_TENANT, (await head_of(here)).id), junk)
    await watch(there, viewer("laptop"), "1")
    await watcher.sees(ALICE, LAPTOP)


# --- how much is told -------------------------------------------------------------------------------------------------


async def test_a_state_that_changes_often_is_told_as_it_is_last(node: World) -> None:
    watcher = await watch(node, viewer("tablet"))
    await watch(node, viewer("phone"), "0")
    await watcher.sees(ALICE)
    begun, told = asyncio.get_running_loop().time(), len(watcher.events)
    for number in range(1, 41):
        await node.presence.set_state(viewer("phone"), NOTES, JsonText(str(number)))
    await eventually(lambda: watcher.states == {ALICE: "40"})
    passes = (asyncio.get_running_loop().time() - begun) / QUICK.between_passes.total_seconds()
    assert len(watcher.events) - told <= passes + 2


async def test_who_sets_its_state_too_often_is_told_when_to_try_again(node: World) -> None:
    await watch(node, viewer("phone"), "0")
    accepted = 0

    async def without_end() -> None:
        nonlocal accepted
        while True:
            await node.presence.set_state(viewer("phone"), NOTES, JsonText(str(accepted)))
            accepted += 1

    with pytest.raises(RateLimited) as raised:
        await without_end()
    assert accepted >= PresenceLimits().updates_at_once
    assert raised.value.facts["limit"] == "presenceUpdates"
    assert raised.value.facts["maximum"] == 20
    wait = raised.value.facts["retryAfter"]
    assert isinstance(wait, float)
    assert 0 < wait <= 0.05
    await watch(node, viewer("laptop"), "0")
    await node.presence.set_state(viewer("laptop"), NOTES, JsonText("1"))


async def test_of_states_that_are_set_at_once_the_last_stays(node: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device sent cursors one after the other, did not wait for the answers, and an older one stayed."""
    watcher, find, finding = await watch(node, viewer("phone"), "0"), node.datasets.find, count()

    async def finds(by: Viewer, ref: DatasetRef) -> Standing | None:
        # What is asked first takes longest.
        await asyncio.sleep(0.02 / (1 + next(finding)))
        return await find(by, ref)

    monkeypatch.setattr(node.datasets, "find", finds)
    setting = [node.presence.set_state(viewer("phone"), NOTES, JsonText(str(number))) for number in range(1, 11)]
    answers = await asyncio.gather(*setting)
    assert [each.state for each in answers] == [str(number) for number in range(1, 11)]
    await eventually(lambda: watcher.states == {ALICE: "10"})


async def test_allowances_of_devices_that_do_nothing_any_more_are_forgotten(
    node: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3_000):
        with pytest.raises(DatasetNotFound):
            await node.presence.set_state(viewer(f"device-{number}", "nobody"), NOTES, JsonText("1"))
    time = asyncio.get_running_loop().time()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time + 10)
    for number in range(6_000):
        node.presence._allowed(who("nobody", f"later-{number % 1_500}"))
        if number > 4_500:
            break
    monkeypatch.undo()
    assert len(node.presence._setters) < 3_000


async def test_an_event_is_encoded_once_for_all_that_get_the_same(node: World) -> None:
    feeds = [await node.presence.open(viewer(f"tablet-{n}"), NOTES, None) for n in range(600)]
    watchers = [Spectator(feed, cohort="all") for feed in feeds]
    for each in watchers:
        await each.sees()
    encoded = sum(each.encoded for each in watchers)
    assert encoded == 1
    await watch(node, viewer("phone"), "1")
    for each in watchers:
        await each.sees(ALICE)
    assert sum(each.encoded for each in watchers) == encoded + 1
    assert all(len(each.events) == 2 for each in watchers)


async def test_a_watcher_without_room_catches_up_with_one_event(node: World) -> None:
    slow = await watch(node, viewer("tablet"))
    await slow.sees()
    quick = await watch(node, viewer("tablet"))
    slow.room.clear()
    for number in range(5):
        phone = await watch(node, viewer("phone"), str(number))
        await quick.sees(ALICE)
        if number < 4:
            await phone.feed.close()
            await quick.sees()
    told = len(slow.events)
    slow.room.set()
    await eventually(lambda: slow.states == {ALICE: "4"})
    # One that waited to be taken, and one for all that came after it.
    assert len(slow.events) <= told + 2
    assert slow.feed._task is None
    await phone.feed.close()
    await slow.sees()


async def test_a_watcher_that_has_no_room_from_the_start_gets_the_list_when_it_has(node: World) -> None:
    await watch(node, viewer("phone"), "1")
    slow = await watch(node, viewer("tablet"), is_open=False)
    await eventually(lambda: slow.feed._task is not None)
    slow.room.set()
    await slow.sees(ALICE)
    assert isinstance(slow.events[0], PresenceList)


async def test_at_rest_a_subscription_has_no_task(node: World) -> None:
    before = asyncio.all_tasks()
    watchers = [await watch(node, viewer(f"tablet-{n}"), cohort="all") for n in range(50)]
    for each in watchers:
        await each.sees()
    assert len(asyncio.all_tasks() - before) <= 1
    assert node.presence.subscriptions == 50


async def test_a_server_that_nobody_asks_for_presence_tells_nothing_and_keeps_nothing(node: World) -> None:
    phone = await watch(node, viewer("phone"), "1")
    await phone.sees(ALICE)
    await phone.feed.close()
    await eventually(lambda: not node.presence._rooms._rooms)
    told = node.bus.told
    await eventually(lambda: node.presence._rooms._keeping is None)
    assert node.bus.told == told
    assert (node.presence.present, node.presence.subscriptions) == (0, 0)


# --- limits and errors ------------------------------------------------------------------------------------------------


async def test_a_state_that_is_too_large_is_refused(node: World) -> None:
    large = JsonText(f'"{"x" * 1_023}"')
    with pytest.raises(LimitExceeded):
        await node.presence.open(viewer(), NOTES, large)
    await watch(node, viewer(), "1")
    with pytest.raises(LimitExceeded):
        await node.presence.set_state(viewer(), NOTES, large)


async def test_only_so_many_devices_may_be_present_but_all_may_watch(
    node: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.presence._rooms, "_limits", PresenceLimits(present=2))
    await watch(node, viewer("phone"), "1")
    laptop = await watch(node, viewer("laptop"), "1")
    with pytest.raises(LimitExceeded) as raised:
        await watch(node, viewer("tablet"), "1")
    assert raised.value.facts == {"limit": "present", "maximum": 2, "actual": 3}
    await (await watch(node, viewer("tablet"))).sees(ALICE, LAPTOP)
    await watch(node, viewer("laptop"), "2")
    await laptop.feed.close()


async def test_of_those_that_waited_for_the_dataset_no_more_may_be_present(
    node: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.presence._rooms, "_limits", PresenceLimits(present=2))
    waiting = [await watch(node, viewer(device), "1", OTHER) for device in ("phone", "laptop", "tablet")]
    for each in waiting:
        await each.sees()
    await node.sync(put("milk", 1), ref=OTHER)
    await eventually(lambda: any(each.ended for each in waiting))
    [refused] = [each for each in waiting if each.ended]
    assert isinstance(refused.error, LimitExceeded)
    for each in waiting:
        if each is not refused:
            await eventually(lambda each=each: len(each.present) == 2)


async def test_a_dataset_that_one_cannot_see_is_not_found(node: World) -> None:
    head = await head_of(node)
    for ref in (DatasetRef(id=head.id), DatasetRef(id=DatasetId("f" * 32))):
        by = viewer("phone", "mallory") if ref.id == head.id else viewer()
        with pytest.raises(DatasetNotFound):
            await node.presence.open(by, ref, JsonText("1"))
        with pytest.raises(DatasetNotFound):
            await node.presence.set_state(by, ref, JsonText("1"))


async def test_by_name_one_waits_for_the_dataset(node: World) -> None:
    phone = await watch(node, viewer("phone"), "1", OTHER)
    await phone.sees()
    with pytest.raises(DatasetNotFound):
        await node.presence.set_state(viewer("phone"), OTHER, JsonText("2"))
    await node.sync(put("milk", 1), ref=OTHER)
    await phone.sees(ALICE)
    assert [type(event) for event in phone.events] == [PresenceList, PresenceList]
    assert phone.feed._task is None
    assert not node.memberships._watching


async def test_who_gives_up_waiting_for_a_dataset_leaves_nothing_behind(node: World) -> None:
    phone = await watch(node, viewer("phone"), "1", OTHER)
    await phone.sees()
    await phone.feed.close()
    await phone.feed.close()
    assert not node.memberships._watching
    assert node.presence.subscriptions == 0


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_with_the_dataset_presence_on_it_ends_on_every_node(make_node: MakeNode) -> None:
    here, there = make_node(SLOW), make_node(SLOW)
    phone, laptop = await watch(here, viewer("phone"), "1"), await watch(there, viewer("laptop"), "1")
    await phone.sees(ALICE, LAPTOP)
    head = await head_of(here)
    await here.datasets.delete(viewer(), NOTES)
    for each in (phone, laptop):
        await eventually(lambda each=each: each.ended)
        assert each.error is None
        assert each.events[-1] == DatasetDeleted(dataset=head.id, name=head.name)
    with pytest.raises(DatasetIsDeleted):
        await here.presence.open(viewer(), DatasetRef(id=head.id), None)
    with pytest.raises(DatasetIsDeleted):
        await here.presence.set_state(viewer(), DatasetRef(id=head.id), JsonText("1"))


async def test_a_deletion_that_no_hint_told_of_is_found_all_the_same(make_node: MakeNode) -> None:
    node = make_node()
    phone = await watch(node, viewer("phone"), "1")
    await phone.sees(ALICE)
    node.bus.fate = lambda _hint: []
    await node.datasets.delete(viewer(), NOTES)
    await eventually(lambda: phone.ended)


async def spectator_of(node: World, by: Viewer, state: str) -> Spectator:
    """Of an identity with whom the dataset is shared."""
    return await watch(node, by, state, DatasetRef(id=(await head_of(node)).id))


async def share(node: World) -> DatasetHead:
    """Alice's notes, with bob."""
    act = Share(identity=viewer(identity="bob").identity, role=Role.VIEWER)
    decision, _ = await node.sharing.do(viewer(), NOTES, act)
    return decision.head


async def remove(node: World) -> None:
    await node.sharing.do(viewer(), NOTES, RemoveMember(identity=viewer(identity="bob").identity))


@pytest.mark.parametrize("lost", [False, True])
async def test_when_access_ends_presence_and_subscription_end(node: World, lost: bool) -> None:
    bob = who("bob")
    alice = await watch(node, viewer("phone"), "1")
    await share(node)
    shared = [await spectator_of(node, viewer(device, "bob"), "2") for device in ("phone", "laptop")]
    await alice.sees(ALICE, bob, who("bob", "laptop"))
    await shared[0].sees(ALICE, bob, who("bob", "laptop"))
    head = await head_of(node)
    if lost:
        node.bus.fate = lambda hint: []
    await remove(node)
    if lost:
        await node.sweep()
    for each in shared:
        await eventually(lambda each=each: each.ended)
        assert each.events[-1] == AccessEnded(dataset=head.id)
    await alice.sees(ALICE)
    await node.presence.set_state(viewer("phone"), NOTES, JsonText("9"))
    await eventually(lambda: alice.states == {ALICE: "9"})
    assert not alice.ended


async def test_a_slow_watcher_whose_access_ended_is_told_so_and_nothing_else(node: World) -> None:
    head = await share(node)
    bob = await spectator_of(node, viewer("phone", "bob"), "2")
    await bob.sees(who("bob"))
    bob.room.clear()
    await watch(node, viewer("phone"), "1")
    await eventually(lambda: bob.feed._task is not None)
    await remove(node)
    await eventually(lambda: bob.feed._room is None)
    bob.room.set()
    await eventually(lambda: bob.ended)
    assert bob.events[1:] == [AccessEnded(dataset=head.id)]


async def test_access_that_ended_while_somebody_was_on_the_way_in_ends_all_the_same(node: World) -> None:
    await watch(node, viewer("phone"), "1")
    await share(node)
    # What was found before the removal, and is used after it was told.
    feed = await node.presence.open(viewer("phone", "bob"), DatasetRef(id=(await head_of(node)).id), JsonText("2"))
    await remove(node)
    await node.sweep()
    bob = Spectator(feed)
    await eventually(lambda: bob.ended)
    assert isinstance(bob.events[-1], AccessEnded)


async def test_a_stranger_finds_nobody(node: World) -> None:
    head = await head_of(node)
    for by in (viewer("phone", "mallory"), viewer("phone", "bob")):
        with pytest.raises(DatasetNotFound):
            await node.presence.open(by, DatasetRef(id=head.id), JsonText("1"))
        with pytest.raises(DatasetNotFound):
            await node.presence.set_state(by, DatasetRef(id=head.id), JsonText("1"))


async def test_an_event_that_cannot_be_encoded_ends_one_subscription_and_no_other(
    node: World, caplog: pytest.LogCaptureFixture
) -> None:
    phone = await watch(node, viewer("phone"), "1")
    await phone.sees(ALICE)
    broken = await watch(node, viewer("tablet"))
    await broken.sees(ALICE)

    def fails(_event: Any) -> Any:
        raise ValueError("planted")

    broken.feed._encode = fails
    await watch(node, viewer("laptop"), "1")
    await phone.sees(ALICE, LAPTOP)
    await eventually(lambda: broken.ended)
    assert broken.error is not None
    assert broken.error.code == "INTERNAL"
    assert "planted" in caplog.text


async def test_a_bus_that_fails_leaves_those_of_the_node_together(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node()
    phone = await watch(node, viewer("phone"), "1")
    await phone.sees(ALICE)

    def fails(_topic: Topic, _letter: bytes) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(node.bus, "tell", fails)
    laptop = await watch(node, viewer("laptop"), "2")
    for each in (phone, laptop):
        await each.sees(ALICE, LAPTOP)
    await laptop.feed.close()
    await phone.sees(ALICE)
    assert "planted" in caplog.text


async def test_a_feed_can_be_iterated_over(node: World) -> None:
    feed = await node.presence.open(viewer("phone"), NOTES, JsonText("1"))
    events = aiter(feed)
    first = await anext(events)
    assert isinstance(first, PresenceList)
    assert [each.device for each in first.present] == ["phone"]
    await events.aclose()  # type: ignore[attr-defined]
    assert node.presence.subscriptions == 0

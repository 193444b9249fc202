"""What feeds tell of datasets that are shared: who may see what, from when on, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.core.checkpoint import START, Checkpoint
from syncline.core.events import AccessEnded, AccessGranted, DatasetDeleted, Ready, RoleChanged
from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, IdentityId
from syncline.core.model import Commit, DatasetRef, Position, Role, Viewer
from syncline.core.sharing import ChangeRole, Leave, RemoveMember, Share, TransferOwnership
from tests.support.world import NOTES, Watcher, World, put, viewer

OWNER = viewer()
BOB = viewer("tablet", "bob")
CAROL = viewer("desk", "carol")


async def share(world: World, who: Viewer = BOB, role: Role = Role.EDITOR) -> DatasetRef:
    """Alice's notes, shared: how a member names them."""
    decision, _ = await world.sharing.do(OWNER, NOTES, Share(identity=who.identity, role=role))
    return DatasetRef(id=decision.head.id)


async def remove(world: World, who: Viewer = BOB) -> None:
    await world.sharing.do(OWNER, NOTES, RemoveMember(identity=who.identity))


async def everything(world: World, by: Viewer = BOB, since: Any = None) -> Watcher:
    watcher = Watcher(await world.subscriptions.identity(by, since, skip_own=False))
    await watcher.count(1)
    return watcher


async def one(world: World, ref: DatasetRef, by: Viewer = BOB, since: Any = None) -> Watcher:
    watcher = Watcher(await world.subscriptions.dataset(by, ref, since, skip_own=False, prefix=""))
    await watcher.count(1)
    return watcher


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def versions(events: list[Any]) -> list[int]:
    """Which commits were told; those that came together are told together."""
    commits = [event for event in events if isinstance(event, Commit)]
    return [version for each in commits for version in range(each.previous.version + 1, each.version + 1)]


def only_commits(hint: Hint) -> list[Hint]:
    """The fate of hints where those of sharing are lost."""
    return [] if hint.commit is None else [hint]


async def close(*watchers: Watcher) -> None:
    for watcher in watchers:
        await watcher.feed.close()


async def test_a_member_is_told_of_a_shared_dataset_gets_its_records_and_then_lives_with_it(world: World) -> None:
    await world.sync(put("a", 1))
    bob = await everything(world)
    ref = await share(world)
    await bob.until(lambda events: versions(events) == [1])
    granted = bob.events[1]
    assert isinstance(granted, AccessGranted)
    assert (granted.head.id, granted.role) == (ref.id, Role.EDITOR)
    await world.sync(put("b", 1), by=BOB, ref=ref)
    await world.sync(put("c", 1))
    await bob.until(lambda events: versions(events) == [1, 2, 3])
    await close(bob)


async def test_a_grant_that_was_rung_by_nobody_is_found_by_the_sweep(world: World) -> None:
    await world.sync(put("a", 1))
    bob = await everything(world)
    world.bus.fate = lambda hint: []
    await share(world)
    await world.sweep()
    assert kinds(await bob.count(3)) == ["Ready", "AccessGranted", "Commit"]
    await close(bob)


async def test_removal_ends_all_feeds_of_the_member_and_of_nobody_else(world: World) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    await share(world, CAROL)
    all_of_bob, bob, carol, owner = (
        await everything(world),
        await one(world, ref),
        await one(world, ref, CAROL),
        await one(world, NOTES, OWNER),
    )
    await remove(world)
    await world.sync(put("b", 1))
    for watcher in (carol, owner):
        await watcher.until(lambda events: versions(events) == [2])
        assert not watcher.ended
    for watcher in (all_of_bob, bob):
        await watcher.count(2)
        await watcher.settled()
        assert watcher.events[1:] == [AccessEnded(dataset=DatasetId(str(ref.id)))]
    assert bob.ended
    assert not all_of_bob.ended
    await close(all_of_bob, bob, carol, owner)


async def test_who_was_removed_gets_nothing_that_is_committed_later_although_the_removal_was_rung_by_nobody(
    world: World,
) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    bob, owner = await one(world, ref), await one(world, NOTES, OWNER)
    world.bus.fate = only_commits
    await remove(world)
    await world.sync(put("secret", 1))
    await owner.until(lambda events: versions(events) == [2])
    await bob.count(2)
    assert kinds(bob.events) == ["Ready", "AccessEnded"]
    await close(bob, owner)


async def test_a_removal_that_was_rung_by_nobody_is_told_by_the_sweep(world: World) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    bob = await one(world, ref)
    world.bus.fate = lambda hint: []
    await remove(world)
    await world.sweep()
    assert kinds(await bob.count(2)) == ["Ready", "AccessEnded"]
    await close(bob)


async def test_who_left_and_was_invited_again_starts_anew(world: World) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    bob = await everything(world)
    await world.sharing.do(BOB, ref, Leave())
    await bob.count(2)
    await world.sync(put("b", 1))
    await share(world, role=Role.VIEWER)
    await bob.until(lambda events: versions(events)[-1:] == [2])
    assert kinds(bob.events) == ["Ready", "AccessEnded", "AccessGranted", "Commit"]
    assert {record.key for record in bob.events[3].records} == {"a", "b"}
    await close(bob)


@pytest.mark.parametrize("lost", [False, True])
async def test_a_role_that_changes_is_told(world: World, lost: bool) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    bob = await everything(world)
    if lost:
        world.bus.fate = lambda hint: []
    await world.sharing.do(OWNER, NOTES, ChangeRole(identity=BOB.identity, role=Role.VIEWER))
    if lost:
        await world.sweep()
    await bob.count(2)
    changed = bob.events[1]
    assert isinstance(changed, RoleChanged)
    assert (changed.head.id, changed.role) == (ref.id, Role.VIEWER)
    await close(bob)


async def test_the_end_of_access_is_told_to_who_was_away(world: World) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    assert ref.id is not None
    known = {ref.id: Checkpoint(await world.store.epoch(), ref.id, Position((await world.head()).version))}
    await remove(world)
    bob = await everything(world, since=known)
    await bob.count(2)
    assert bob.events == [Ready(checkpoint=START, resumed=True), AccessEnded(dataset=ref.id)]
    await close(bob)


async def test_a_shared_dataset_that_is_deleted_is_told_to_its_members_live_and_away(world: World) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    assert ref.id is not None
    known = {ref.id: Checkpoint(await world.store.epoch(), ref.id, Position((await world.head()).version))}
    live = await everything(world)
    head = await world.datasets.delete(OWNER, NOTES)
    told = DatasetDeleted(dataset=head.id, name=head.name)
    assert (await live.count(2))[1] == told
    away = await everything(world, since=known)
    assert (await away.count(2))[1] == told
    await close(live, away)


async def test_a_dataset_that_changes_hands_stays_with_all_who_follow_it(world: World) -> None:
    await world.sync(put("a", 1))
    ref = await share(world)
    by_name, bob, all_of_bob = await one(world, NOTES, OWNER), await one(world, ref), await everything(world)
    await world.sharing.do(OWNER, NOTES, TransferOwnership(identity=BOB.identity))
    await world.sync(put("b", 1), by=BOB, ref=NOTES)
    await world.sync(put("c", 1), by=OWNER, ref=ref)
    for watcher in (by_name, bob, all_of_bob):
        await watcher.until(lambda events: versions(events) == [2, 3])
    assert [event.role for event in all_of_bob.events if isinstance(event, RoleChanged)] == [Role.OWNER]
    await close(by_name, bob, all_of_bob)


async def test_a_stranger_who_comes_back_is_not_served_by_a_channel_that_others_follow(world: World) -> None:
    """Even though it names exactly the place where the channel stands."""
    await world.sync(put("a", 1))
    ref = await share(world)
    assert ref.id is not None
    owner = await one(world, NOTES, OWNER)
    await owner.settled()
    here = Checkpoint(await world.store.epoch(), ref.id, Position((await world.head()).version))
    stranger = Viewer(identity=IdentityId("mallory"), device=None)
    assert world.channels.followed(OWNER, NOTES, here) is not None
    assert world.channels.followed(BOB, ref, here) is not None
    assert world.channels.followed(BOB, NOTES, here) is None
    assert world.channels.followed(stranger, ref, here) is None
    await close(owner)

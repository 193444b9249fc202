"""Two nodes, one dataset, several identities: access that is given and taken on one node counts on the other.

Whatever Valkey does: what is committed after a removal never reaches who was removed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.core.events import AccessEnded, AccessGranted, RoleChanged
from syncline.core.ids import DatasetId
from syncline.core.model import DatasetRef, Role
from syncline.core.sharing import ChangeRole, RemoveMember, Share
from tests.support.nodes import Node, nodes, versions
from tests.support.valkey import eventually, valkey
from tests.support.world import NOTES, Watcher, put, viewer

MARGIN_SECONDS = 4.0
"""For a machine that has other things to do."""
SOON_SECONDS = 1.0 + MARGIN_SECONDS
LATE_SECONDS = 5.0 + MARGIN_SECONDS
"""With Valkey down."""
OWNER = viewer()
BOB = viewer("tablet", "bob")


async def share(node: Node, role: Role = Role.EDITOR) -> DatasetRef:
    decision, _ = await node.world.sharing.do(OWNER, NOTES, Share(identity=BOB.identity, role=role))
    return DatasetRef(id=decision.head.id)


async def remove(node: Node) -> None:
    await node.world.sharing.do(OWNER, NOTES, RemoveMember(identity=BOB.identity))


async def followed(node: Node, ref: DatasetRef) -> Watcher:
    watcher = Watcher(await node.world.subscriptions.dataset(BOB, ref, None, skip_own=False, prefix=""))
    await watcher.settled()
    return watcher


async def everything(node: Node) -> Watcher:
    watcher = Watcher(await node.world.subscriptions.identity(BOB, None, skip_own=False))
    await watcher.settled()
    return watcher


def told(watcher: Watcher, kind: type) -> bool:
    return any(isinstance(event, kind) for event in watcher.events)


async def test_access_given_changed_and_taken_on_one_node_is_told_on_the_other_at_once(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("a", 1))
        all_of_bob = await everything(there)
        ref = await share(here)
        await eventually(
            lambda: told(all_of_bob, AccessGranted) and versions(all_of_bob) == [1], SOON_SECONDS + MARGIN_SECONDS
        )
        bob = await followed(there, ref)
        await here.world.sharing.do(OWNER, NOTES, ChangeRole(identity=BOB.identity, role=Role.VIEWER))
        await eventually(lambda: told(all_of_bob, RoleChanged), SOON_SECONDS)
        await remove(here)
        await here.world.sync(put("a", 2))
        await eventually(
            lambda: told(bob, AccessEnded) and told(all_of_bob, AccessEnded), SOON_SECONDS + MARGIN_SECONDS
        )
        assert (versions(bob), versions(all_of_bob)) == ([], [1])


@pytest.mark.parametrize("committed_on", ["here", "there"])
async def test_with_valkey_hanging_nothing_committed_after_a_removal_reaches_who_was_removed(
    tmp_path: Path, committed_on: str
) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("a", 1))
        ref = await share(here)
        bob, owner = await followed(there, ref), await there.watch_as(OWNER)
        server.hang()
        await remove(here)
        await {"here": here, "there": there}[committed_on].world.sync(put("secret", 1), mutation_id="the secret")
        await eventually(lambda: versions(owner)[-1:] == [2], LATE_SECONDS)
        await eventually(lambda: told(bob, AccessEnded), LATE_SECONDS)
        assert versions(bob) == []
        server.go_on()


async def test_a_removal_that_valkey_did_not_tell_is_told_by_the_sweep(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, nodes(tmp_path, server.url, server.url) as (here, there):
        await here.world.sync(put("a", 1))
        ref = await share(here)
        bob, all_of_bob = await followed(there, ref), await everything(there)
        server.kill()
        await eventually(lambda: not there.bus.up, LATE_SECONDS)
        await remove(here)
        await eventually(
            lambda: told(bob, AccessEnded) and told(all_of_bob, AccessEnded), LATE_SECONDS + MARGIN_SECONDS
        )
        assert bob.events[-1] == AccessEnded(dataset=DatasetId(str(ref.id)))

"""What a device asks the nodes, any of them, and what it makes of no answer."""

from __future__ import annotations

from typing import Any

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync
from syncline.core.ids import DatasetName
from syncline.core.model import ConflictPolicy, DatasetRef, Viewer
from syncline.core.pages import LogRead
from syncline.errors import DatasetExists, DatasetNotFound, SynclineError
from syncline.ports import Synced
from tests.simulation.edits import Push
from tests.simulation.network import Network, Work
from tests.simulation.node import Incarnation
from tests.simulation.stream import Cut
from tests.simulation.violation import check
from tests.simulation.world import World


class Asking:
    """Each method asks once. None: there was no answer, and whether anything was done is not known."""

    def __init__(self, world: World, network: Network, viewer: Viewer, label: str) -> None:
        self._world = world
        self._network = network
        self._viewer = viewer
        self._label = label

    async def sync(self, name: DatasetName, push: Push, since: Since | None) -> Synced | Resync | None:
        async def work(node: Incarnation) -> Synced | Resync:
            return await node.syncs.sync(
                self._viewer,
                DatasetRef(name=name),
                since=since,
                mutation_id=push.mutation_id,
                changes=push.changes,
                on_conflict=push.on_conflict,
                atomic=push.atomic,
            )

        self._world.trace.add("push", self._label, name, push.mutation_id, "atomic" if push.atomic else "")
        answer: Synced | Resync | None = await self._ask(work)
        if answer is None:
            self._world.trace.add("no answer", self._label, push.mutation_id)
        return answer

    async def pull(self, name: DatasetName, since: Since) -> LogRead | None:
        first = self._world.dice.choice([2, 5, 500])

        async def work(node: Incarnation) -> LogRead:
            return await node.syncs.pull(self._viewer, DatasetRef(name=name), since, first=first)

        answer: LogRead | None = await self._ask(work)
        return answer

    async def create(self, name: DatasetName) -> None:
        async def work(node: Incarnation) -> object:
            return await node.datasets.create(self._viewer, name, ConflictPolicy.REJECT)

        await self._ask(work)

    async def delete(self, name: DatasetName) -> None:
        async def work(node: Incarnation) -> object:
            return await node.datasets.delete(self._viewer, DatasetRef(name=name))

        await self._ask(work)

    async def _ask(self, work: Work[Any]) -> Any:
        try:
            return await self._network.request(self._world.dice.choice(self._world.nodes), work)
        except (Cut, DatasetExists, DatasetNotFound):
            return None
        except SynclineError as error:
            check_passing(error)
            return None


def check_passing(error: SynclineError) -> None:
    """Nobody is told of a fault of the server's own, nor of one of the device's, which makes none."""
    check("nothing fails but the store", error.code == "UNAVAILABLE", repr(error))

"""One node's way to the database: questions and answers take their time, and some are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Tenant
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, DatasetScope, Record, Role, Standing, Viewer
from syncline.core.pages import LogRead, PageRequest
from syncline.core.sharing import Invitation, Member, SharingRequest
from syncline.errors import StoreUnavailable, SynclineError
from syncline.ports import Access, GuestLink, HeadMark, Oldest, Pruned, Retention, Shared, Synced, Usage
from tests.simulation.database import EPOCH
from tests.simulation.world import World, short

_SLOW_SECONDS = 0.6

T = TypeVar("T")


class SimulatedStore:
    """The port ``Store``, but for one promise: if an answer is lost, what was asked for is done although it raises.

    A question that is under way arrives, whatever becomes of who asked.
    """

    def __init__(self, world: World, node: str, crash: Callable[[], None]) -> None:
        self._world = world
        self._database = world.database
        self._node = node
        self._crash = crash
        self.severed = False
        """The node is dead."""

    # --- there and back -----------------------------------------------------------------------------------------------

    async def _ask(self, name: str, step: Callable[[], T]) -> T:
        world, weather = self._world, self._world.weather
        if self.severed:
            # What a timer still starts in a dead process goes no further.
            raise asyncio.CancelledError
        if world.happens(weather.store_down):
            await asyncio.sleep(self._delay())
            world.trace.add("store is down", self._node, name)
            raise StoreUnavailable("it is down")
        answer: asyncio.Future[Any] = world.loop.create_future()
        world.loop.call_later(self._delay(), self._arrive, name, step, answer)
        value: T = await answer
        return value

    def _delay(self) -> float:
        weather = self._world.weather
        return self._world.within(_SLOW_SECONDS if self._world.happens(weather.store_slow) else weather.store_seconds)

    def _arrive(self, name: str, step: Callable[[], T], answer: asyncio.Future[T]) -> None:
        world = self._world
        error: Exception | None = None
        value: T | None = None
        try:
            value = step()
        except SynclineError as raised:
            error = raised
        except Exception as raised:
            world.fail(raised)
            return
        if world.happens(world.weather.store_answer_lost):
            world.trace.add("store answer lost", self._node, name)
            error = StoreUnavailable("the answer was lost")
        world.loop.call_later(self._delay(), _settle, answer, value, error)

    # --- writes -------------------------------------------------------------------------------------------------------

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        return await self._ask("sync", lambda: self._sync(request, page))

    def _sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        world = self._world
        answer = self._database.sync(request, page)
        if isinstance(answer, Resync):
            world.trace.add("resync", self._node, request.mutation_id, answer.reason, short(answer.dataset))
            return answer
        world.ledger.synced(request, answer)
        how = "replayed" if answer.replayed else "conflicted" if answer.conflicted else "decided"
        facts = [answer.head.version, *(outcome.status for outcome in answer.outcomes)]
        world.trace.add(how, self._node, request.mutation_id, short(answer.head.id), *facts)
        if answer.commit is not None and world.happens(world.weather.crash_after_commit):
            world.loop.call_later(self._delay(), self._crash)
        return answer

    async def create_dataset(
        self,
        viewer: Viewer,
        name: DatasetName,
        policy: ConflictPolicy,
        *,
        new_id: DatasetId,
        limits: Limits,
        now: datetime,
    ) -> DatasetHead:
        def step() -> DatasetHead:
            head = self._database.create_dataset(viewer, name, policy, new_id=new_id, limits=limits, now=now)
            self._world.ledger.created(head)
            self._world.trace.add("created", self._node, head.name, short(head.id))
            return head

        return await self._ask("create", step)

    async def update_dataset(
        self, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime
    ) -> DatasetHead:
        return await self._ask("update", lambda: self._database.update_dataset(viewer, ref, policy, now=now))

    async def delete_dataset(self, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
        def step() -> DatasetHead:
            head = self._database.delete_dataset(viewer, ref, now=now)
            self._world.ledger.deleted(head)
            self._world.trace.add("deleted", self._node, head.name, short(head.id))
            return head

        return await self._ask("delete", step)

    async def share(self, request: SharingRequest) -> Shared:
        return await self._ask("share", lambda: self._database.share(request))

    async def create_guest(self, guest: IdentityId, *, now: datetime) -> None:
        await self._ask("create guest", lambda: self._database.create_guest(guest, now=now))

    async def link_guest(self, request: LinkRequest) -> GuestLink:
        return await self._ask("link guest", lambda: self._database.link_guest(request))

    async def linked_guests(self, guests: Sequence[IdentityId]) -> frozenset[IdentityId]:
        return await self._ask("linked guests", lambda: self._database.linked_guests(guests))

    async def prune(self, retention: Retention, *, now: datetime, batch: int) -> Pruned:
        return await self._ask("prune", lambda: self._database.prune(retention, now=now, batch=batch))

    async def oldest(self) -> Oldest:
        # Only figures hang on it, which nobody asks for: no reason to take up time.
        return Oldest(tombstone=None, receipt=None)

    # --- reads --------------------------------------------------------------------------------------------------------

    async def epoch(self) -> Epoch:
        # A store that is another process's asks for it as for anything else.
        return await self._ask("epoch", lambda: EPOCH)

    async def dataset(self, viewer: Viewer, ref: DatasetRef) -> Standing | None:
        return await self._ask("dataset", lambda: self._database.dataset(viewer, ref))

    async def datasets(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None = None
    ) -> Sequence[Standing]:
        return await self._ask("datasets", lambda: self._database.datasets(viewer, scope, first=first, after=after))

    async def deleted_datasets(self, viewer: Viewer, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        return await self._ask("deleted", lambda: self._database.deleted_datasets(viewer, ids))

    async def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        return await self._ask("record", lambda: self._database.record(viewer, dataset, key))

    async def records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None = None, prefix: str = ""
    ) -> Sequence[Record]:
        return await self._ask(
            "records", lambda: self._database.records(viewer, dataset, first=first, after=after, prefix=prefix)
        )

    async def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        return await self._ask("log", lambda: self._database.read_log(viewer, ref, since, page))

    async def members(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None = None
    ) -> Sequence[Member]:
        return await self._ask("members", lambda: self._database.members(viewer, dataset, first=first, after=after))

    async def invitations(self, viewer: Viewer, dataset: DatasetId, *, now: datetime) -> Sequence[Invitation]:
        return await self._ask("invitations", lambda: self._database.invitations(viewer, dataset, now=now))

    async def node_log(self, tenant: Tenant, dataset: DatasetId, since: Since | None, page: PageRequest) -> LogRead:
        return await self._ask("log", lambda: self._database.node_log(tenant, dataset, since, page))

    async def access(self, tenant: Tenant, dataset: DatasetId) -> Access | None:
        return await self._ask("access", lambda: self._database.access(tenant, dataset))

    async def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        return await self._ask("heads", lambda: self._database.heads(datasets))

    async def visible(self, identities: Sequence[IdentityId]) -> Mapping[IdentityId, Mapping[DatasetId, Role]]:
        return await self._ask("visible", lambda: self._database.visible(identities))

    async def usage(self, owner: IdentityId) -> Usage:
        return await self._ask("usage", lambda: self._database.usage(owner))

    async def close(self) -> None:
        """The database stays."""


def _settle(answer: asyncio.Future[Any], value: object, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)

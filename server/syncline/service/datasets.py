"""Datasets as a whole: find, list, create, update, delete."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, tenant_of
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, DatasetScope, Record, Standing, Viewer
from syncline.errors import DatasetNotFound, LimitExceeded, StoreUnavailable
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, Store, Usage
from syncline.topics import dataset_topic, identity_topic

_random = random.Random()  # noqa: S311
# Knowing an id opens nothing. To ask the system for each would hand the interpreter to another thread meanwhile.

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[T]):
    """A part of a listing, and whether there is more behind it."""

    items: Sequence[T]
    has_more: bool


def new_dataset_id() -> DatasetId:
    """An id that was never given before."""
    return DatasetId(f"{_random.getrandbits(128):032x}")


class Datasets:
    """What a viewer can do with datasets as a whole. Every method answers for the viewer only."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, limits: Limits, metrics: Metrics) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self.limits = limits
        self._metrics = metrics

    async def find(self, viewer: Viewer, ref: DatasetRef) -> Standing | None:
        """The dataset; None if there is none of this name (yet), or it was deleted. Raises DatasetNotFound by id."""
        standing = await self._store.dataset(viewer, ref)
        if standing is None and ref.id is not None:
            raise DatasetNotFound(ref.id)
        return None if standing is None or standing.head.deleted_at is not None else standing

    async def list(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None
    ) -> Slice[Standing]:
        """The datasets that the viewer sees, by name."""
        standings = await self._store.datasets(viewer, scope, first=first + 1, after=after)
        return Slice(items=standings[:first], has_more=len(standings) > first)

    async def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        return await self._store.record(viewer, dataset, key)

    async def records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None, prefix: str
    ) -> Slice[Record]:
        """Live records by key."""
        records = await self._store.records(viewer, dataset, first=first + 1, after=after, prefix=prefix)
        return Slice(items=records[:first], has_more=len(records) > first)

    async def epoch(self) -> Epoch:
        """The log that checkpoints are of."""
        return await self._store.epoch()

    async def usage(self, viewer: Viewer) -> Usage:
        return await self._store.usage(viewer.identity)

    async def create(self, viewer: Viewer, name: DatasetName, policy: ConflictPolicy) -> DatasetHead:
        """Raises DatasetExists, LimitExceeded."""
        try:
            head = await self._store.create_dataset(
                viewer, name, policy, new_id=new_dataset_id(), limits=self.limits, now=self._clock()
            )
        except LimitExceeded as error:
            self._metrics.over_limit(error.limit)
            raise
        await self.announce(head, [head.owner])
        return head

    async def update(self, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy) -> DatasetHead:
        """Raises DatasetNotFound, DatasetIsDeleted, Forbidden."""
        return await self._store.update_dataset(viewer, ref, policy, now=self._clock())

    async def delete(self, viewer: Viewer, ref: DatasetRef) -> DatasetHead:
        """Raises DatasetNotFound, DatasetIsDeleted, Forbidden."""
        head = await self._store.delete_dataset(viewer, ref, now=self._clock())
        access = None
        with suppress(StoreUnavailable):
            # It is deleted; whom nobody rings for, the sweep tells.
            access = await self._store.access(tenant_of(head.owner), head.id)
        await self.announce(head, [head.owner] if access is None else access.roles)
        return head

    async def announce(self, head: DatasetHead, identities: Iterable[IdentityId]) -> None:
        """Ring for a dataset that came or went, or is shared otherwise, and for those who are to know."""
        hint = Hint(dataset=head.id, epoch=await self._store.epoch(), version=head.version)
        self._bus.publish(dataset_topic(tenant_of(head.owner), head.id), hint)
        for identity in identities:
            self._bus.publish(identity_topic(identity), hint)

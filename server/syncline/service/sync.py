"""Synchronising: push and pull in one step, and pull alone."""

from __future__ import annotations

from syncline.core.changes import Change
from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.feed import Hint
from syncline.core.ids import MutationId, Version, tenant_of
from syncline.core.model import Commit, ConflictPolicy, DatasetRef, Viewer
from syncline.core.pages import LogRead, PageRequest
from syncline.errors import DatasetIsDeleted, DatasetNotFound, LimitExceeded, SynclineError
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, Store, Synced
from syncline.service.datasets import Datasets, new_dataset_id
from syncline.topics import dataset_topic


class Syncs:
    """Takes changes into a dataset, and hands out what a device lacks."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, datasets: Datasets, metrics: Metrics) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._datasets = datasets
        self._metrics = metrics

    async def sync(
        self,
        viewer: Viewer,
        ref: DatasetRef,
        *,
        since: Since | None,
        mutation_id: MutationId,
        changes: tuple[Change, ...],
        on_conflict: ConflictPolicy | None,
        atomic: bool,
    ) -> Synced | Resync:
        """Push ``changes`` and pull what the device lacks since ``since``. The commit is durable when this returns.

        Raises what ``core.commit.decide`` raises. A caller that is cancelled does not know whether its sync happened; a
        retry with the same ``mutation_id`` tells.
        """
        request = SyncRequest(
            viewer=viewer,
            ref=ref,
            since=since,
            mutation_id=mutation_id,
            changes=changes,
            on_conflict=on_conflict,
            atomic=atomic,
            limits=self._datasets.limits,
            now=self._clock(),
            new_dataset_id=new_dataset_id(),
        )
        try:
            synced = await self._store.sync(request, PageRequest())
        except Exception as error:
            self._count_failure(error)
            raise
        self._count(request, synced)
        if isinstance(synced, Synced):
            if synced.created:
                await self._datasets.announce(synced.head, [synced.head.owner])
            if synced.commit is not None:
                self._bus.publish(dataset_topic(tenant_of(synced.head.owner), synced.head.id), _hint(synced.commit))
        return synced

    def _count(self, request: SyncRequest, synced: Synced | Resync) -> None:
        metrics = self._metrics
        if isinstance(synced, Resync):
            metrics.syncs["resync"].inc()
        elif synced.replayed:
            metrics.syncs["replayed"].inc()
            metrics.receipts_hit["conflicted" if synced.conflicted else "applied"].inc()
        else:
            if synced.conflicted:
                metrics.syncs["conflicted"].inc()
            elif synced.commit is None:
                metrics.syncs["unchanged"].inc()
            else:
                metrics.syncs["committed"].inc()
            if not request.atomic:
                for outcome in synced.outcomes:
                    if outcome.code == LimitExceeded.code and outcome.details is not None:
                        metrics.over_limit(str(outcome.details["limit"]))

    def _count_failure(self, error: Exception) -> None:
        refused = isinstance(error, SynclineError) and not error.retryable
        self._metrics.syncs["refused" if refused else "failed"].inc()
        if isinstance(error, LimitExceeded):
            self._metrics.over_limit(error.limit)

    async def pull(self, viewer: Viewer, ref: DatasetRef, since: Since, *, first: int) -> LogRead:
        """What the viewer lacks since ``since``. Raises DatasetNotFound and DatasetIsDeleted for an id only."""
        read = await self._store.read_log(viewer, ref, since, PageRequest(first=first))
        if ref.id is not None and read.head is None:
            raise DatasetNotFound(ref.id)
        if ref.id is not None and read.live_head is None:
            raise DatasetIsDeleted(ref.id)
        return read


def _hint(commit: Commit) -> Hint:
    return Hint(
        dataset=commit.dataset,
        epoch=commit.epoch,
        version=commit.position.version,
        previous=Version(commit.previous.version),
        commit=commit,
    )

"""synchronize(): push what is pending, pull what is missing, ask for decisions, until all is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, assert_never

from syncline.client.errors import ServerRefused
from syncline.client.exchange import Applied, Conflicted, Exchange
from syncline.client.handlers import Handlers
from syncline.client.local import LocalDataset
from syncline.client.models import Resync, SyncReport
from syncline.client.outbox import Batch
from syncline.client.shown import as_conflict, as_parked, as_pending
from syncline.client.wire import ResyncRequired
from syncline.core.checkpoint import ResyncReason
from syncline.core.conflicts import ChangeStatus
from syncline.core.json_values import json_text
from syncline.core.model import ConflictPolicy

_MAX_ROUNDS: Final = 16
"""Rounds of decisions in one synchronize; records that others keep changing meanwhile are left as conflicts."""

_ALL_OF_THE_CALLERS: Final = frozenset({"UNAUTHENTICATED", "FORBIDDEN"})
"""What no other change would fare better with; unless it names a role, which is one in this dataset."""
_ALL_OF_THE_DATASETS: Final = frozenset({"datasets"})


class Synchronizer:
    """One synchronize of one dataset.

    ``lock`` is held while the local copy and the server talk, never while a handler is asked. ``limit`` tells how many
    changes fit into one sync.
    """

    def __init__(
        self,
        local: LocalDataset,
        exchange: Exchange,
        handlers: Handlers,
        *,
        lock: asyncio.Lock,
        limit: Callable[[], Awaitable[int]],
        policy: ConflictPolicy | None,
        on_applied: Callable[[], None],
    ) -> None:
        self._local = local
        self._exchange = exchange
        self._handlers = handlers
        self._lock = lock
        self._limit = limit
        self._policy = policy
        self._on_applied = on_applied
        self._max_changes = 1
        self._report = SyncReport(dataset=local.name)
        self._parked_before = {edit.id for edit in local.parked()}

    async def run(self, *, push: bool = True) -> SyncReport:
        """Everything; or, without ``push``, only what was begun earlier, and the pull."""
        self._max_changes = await self._limit()
        resynced: ResyncReason | None = None
        for _ in range(_MAX_ROUNDS):
            async with self._lock:
                needed = await self._talk(push=push and resynced is None)
                since = self._local.cache.standing().checkpoint
            if needed is not None:
                resynced = await self._start_over(needed, since=since) or resynced
            elif resynced is not None:
                await self._decide_after_resync(resynced)
                resynced = None
            elif push:
                await self._decide_conflicts()
                if not self._local.has_sendable():
                    break
            else:
                break
        return self._finished()

    def _finished(self) -> SyncReport:
        return replace(
            self._report,
            conflicts=tuple(as_conflict(self._local.name, held) for held in self._local.held_conflicts()),
            parked=tuple(as_parked(edit) for edit in self._local.parked() if edit.id not in self._parked_before),
        )

    # --- talking to the server ----------------------------------------------------------------------------------------

    async def _talk(self, *, push: bool) -> ResyncRequired | None:
        """Push all there is, then pull to the end; the answer says whether the device has to start over first."""
        complete = False
        while True:
            batch = self._local.freeze(max_changes=self._max_changes, policy=self._policy, only_begun=not push)
            if batch is None:
                return None if complete else await self._pull()
            answer = await self._push(batch)
            if isinstance(answer, ResyncRequired):
                return answer
            complete = answer

    async def _pull(self) -> ResyncRequired | None:
        complete = False
        while not complete:
            since = self._local.cache.standing().checkpoint
            answer = await self._exchange.pull(self._local.name, since=since)
            if isinstance(answer, ResyncRequired):
                return answer
            complete = self._took_in(self._local.cache.apply(answer)) and answer.complete
        return None

    async def _push(self, batch: Batch) -> ResyncRequired | bool:
        """Whether this device now holds all that the server holds."""
        since = self._local.cache.standing().checkpoint
        lost_before = self._exchange.lost_answers
        try:
            answer = await self._exchange.push(self._local.name, batch, since=since)
        except ServerRefused as error:
            self._refused(batch, error)
            return False
        match answer:
            case ResyncRequired():
                if batch.fresh and self._exchange.lost_answers == lost_before:
                    self._local.thaw(batch)  # surely not applied: its edits can still be decided about
                return answer
            case Applied(outcomes=outcomes, delta=delta):
                taken_in = self._took_in(self._local.settle(batch, outcomes, delta))
                statuses = [outcome.status for outcome in outcomes]
                merged, unchanged = statuses.count(ChangeStatus.MERGED), statuses.count(ChangeStatus.UNCHANGED)
                self._report = replace(
                    self._report,
                    pushed=self._report.pushed + statuses.count(ChangeStatus.APPLIED) + merged + unchanged,
                    merged=self._report.merged + merged,
                    unchanged=self._report.unchanged + unchanged,
                )
            case Conflicted(conflicts=conflicts, delta=delta):
                taken_in = self._took_in(self._local.conflicted(batch, conflicts, delta))
            case _:
                assert_never(answer)
        return taken_in and delta.complete

    def _took_in(self, news: int | None) -> bool:
        """Count what was pulled. False: nothing was taken in, because another pull was faster."""
        self._on_applied()
        if news is None:
            return False
        self._report = replace(self._report, pulled=self._report.pulled + news)
        return True

    def _refused(self, batch: Batch, error: ServerRefused) -> None:
        """The server takes no part of the batch. Find the change that it is about, and park no other one."""
        if error.refusal == "MUTATION_ID_REUSED" and self._local.use_earlier(batch):
            return
        of_all = error.refusal in _ALL_OF_THE_CALLERS and "role" not in error.facts
        if of_all or error.facts.get("limit") in _ALL_OF_THE_DATASETS:
            self._local.thaw(batch)
            raise error
        if len(batch.edits) > 1 and not batch.atomic:
            self._local.thaw(batch)
            self._max_changes = max(1, len(batch.edits) // 2)
            return
        self._local.park(batch, error.refusal, json_text(dict(error.facts), field="details"))

    # --- decisions ----------------------------------------------------------------------------------------------------

    async def _start_over(self, needed: ResyncRequired, *, since: str) -> ResyncReason | None:
        self._report = replace(self._report, resyncs=(*self._report.resyncs, needed.reason))
        if needed.reason is ResyncReason.DATASET_RECREATED:
            await self.dataset_deleted(since=since)
            return None
        async with self._lock:
            started_over = self._local.resync(needed.reason, since=since)
        return needed.reason if started_over else None

    async def dataset_deleted(self, *, since: str) -> bool:
        """The dataset in which the device stands at ``since`` is deleted. False: it stands elsewhere by now."""
        keep = await self._handlers.dataset_deleted(self._local.name)
        async with self._lock:
            done = self._local.dataset_deleted(keep, since=since)
        if done:
            self._report = replace(self._report, deleted=True)
            self._on_applied()
        return done

    async def _decide_after_resync(self, reason: ResyncReason) -> None:
        edits = self._local.unsent()
        pending = tuple(map(as_pending, edits))
        decisions = await self._handlers.resync(Resync(dataset=self._local.name, reason=reason, edits=pending))
        async with self._lock:
            for edit in edits:
                if edit.key in decisions:
                    self._local.decide_unsent([edit], decisions[edit.key])

    async def _decide_conflicts(self) -> None:
        """Ask for each held conflict. What was decided is sent in the next round."""
        decided = 0
        for held in self._local.held_conflicts():
            resolution = await self._handlers.conflict(as_conflict(self._local.name, held))
            if resolution is not None:
                decided += self._local.resolve(held, resolution)
        self._report = replace(self._report, resolved=self._report.resolved + decided)

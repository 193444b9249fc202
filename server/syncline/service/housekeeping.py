"""What a server does of its own accord: look for commits whose hints were lost, forget what is past its retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from syncline.errors import SynclineError
from syncline.logs import get_logger
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, Retention, Store

_log = get_logger(__name__)

_PRUNE_BATCH = 1_000
_PRUNE_EVERY = timedelta(minutes=10)
_BETWEEN_BATCHES = timedelta(milliseconds=50)
_SWEEP_OFTEN = timedelta(seconds=1)
"""While the bus is down, or the last sweep failed."""
_BETWEEN_SWEEPS = timedelta(milliseconds=250)


class Housekeeping:
    """Runs until it is cancelled. A failure is logged, and tried again at the next turn."""

    def __init__(
        self,
        store: Store,
        sweep: Callable[[], Awaitable[None]],
        clock: Clock,
        retention: Retention,
        *,
        sweep_every: timedelta,
        metrics: Metrics,
        bus: Bus,
        also: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] | None = None,
    ) -> None:
        """``also``: what else runs as long as the server, by the names of the tasks."""
        self._store = store
        self._sweep_all = sweep
        self._clock = clock
        self._retention = retention
        self._sweep_every = sweep_every
        self._metrics = metrics
        self._bus = bus
        self._also = also or {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep(), name="sweep")
            group.create_task(self._prune(), name="prune")
            group.create_task(self._metrics.run(), name="metrics")
            for name, work in self._also.items():
                group.create_task(work(), name=name)

    async def _sweep(self) -> None:
        called_for = asyncio.Event()
        self._bus.on_change(called_for.set)
        failed = False
        while True:
            # Where hints are lost all the time, every one of them calls.
            await asyncio.sleep(_BETWEEN_SWEEPS.total_seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout((self._sweep_interval(failed) - _BETWEEN_SWEEPS).total_seconds()):
                    await called_for.wait()
            called_for.clear()
            try:
                await self.sweep()
                failed = False
            except SynclineError as error:
                failed = True
                _log.warning("sweep_failed", code=error.code)

    def _sweep_interval(self, failed: bool) -> timedelta:
        """How long at most until the next sweep, if nobody calls for one."""
        return min(self._sweep_every, _SWEEP_OFTEN) if failed or not self._bus.up else self._sweep_every

    async def sweep(self) -> None:
        """Find out what hints should have told."""
        with self._metrics.sweep_seconds.time():
            await self._sweep_all()

    async def _prune(self) -> None:
        while True:
            try:
                await self.prune()
            except SynclineError as error:
                _log.warning("pruning_failed", code=error.code)
            await asyncio.sleep(_PRUNE_EVERY.total_seconds())

    async def prune(self) -> None:
        """Forget all that is past its retention now, batch by batch, so that syncs get in between."""
        while True:
            pruned = await self._store.prune(self._retention, now=self._clock(), batch=_PRUNE_BATCH)
            if pruned.tombstones or pruned.receipts or pruned.datasets or pruned.audit:
                _log.info(
                    "pruned",
                    tombstones=pruned.tombstones,
                    receipts=pruned.receipts,
                    datasets=pruned.datasets,
                    audit=pruned.audit,
                )
            if not pruned.more:
                await self._note_ages()
                return
            await asyncio.sleep(_BETWEEN_BATCHES.total_seconds())

    async def _note_ages(self) -> None:
        oldest, now = await self._store.oldest(), self._clock()

        def seconds_since(time: datetime | None) -> float:
            return 0.0 if time is None else (now - time).total_seconds()

        ages = self._metrics.oldest_log_age_seconds
        ages["tombstone"].set(seconds_since(oldest.tombstone))
        ages["receipt"].set(seconds_since(oldest.receipt))

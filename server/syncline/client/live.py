"""A live subscription to one dataset: every event is applied to the cache, then told; lost connections are made again.

The cache is the truth here too: an event that follows on the checkpoint is applied, any other one only says that it is
time to pull. What an app is told are the records applied to the cache, whoever applied them, in that order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from syncline.client.backoff import Backoff
from syncline.client.cache import Delta, SyncedRecord, covered_version
from syncline.client.endpoints import Tokens
from syncline.client.errors import NotSyncline, ServerRefused, ServerUnreachable, TokenRejected
from syncline.client.local import LocalDataset
from syncline.client.models import (
    Author,
    Connectivity,
    DatasetGone,
    Disconnected,
    LiveEvent,
    Ready,
    RecordChange,
    Status,
)
from syncline.client.references import reference
from syncline.client.synchronizing import Synchronizer
from syncline.client.transport_ws import Subscription
from syncline.client.wire import (
    CHANGES,
    AccessEnded,
    DatasetDeleted,
    ResyncRequired,
    StreamData,
    StreamEvent,
    WireCommit,
    WireReady,
    synced,
)
from syncline.core.checkpoint import START, ResyncReason
from syncline.core.json_values import parsed


@dataclass(frozen=True, slots=True)
class _Applied:
    """Records were applied."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Closed:
    """The device is being closed."""


_Signal = Ready | Disconnected | DatasetGone | _Applied | _Failed | _Closed


class Live:
    """Follows one dataset until it is closed.

    One signal is handed over at a time, and the next event is applied only after the app has taken what came before: a
    slow app holds up its own socket and nothing else.
    """

    def __init__(
        self,
        local: LocalDataset,
        *,
        socket_url: str,
        tokens: Tokens,
        synchronizer: Callable[[], Synchronizer],
        lock: asyncio.Lock,
        backoff: Callable[[], Backoff],
        edited: asyncio.Event | None,
    ) -> None:
        """With ``edited``, edits are pushed when connected and whenever it is set."""
        self.status = Status(Connectivity.CONNECTING)
        self._local = local
        self._url = socket_url
        self._tokens = tokens
        self._synchronizer = synchronizer
        self._lock = lock
        self._backoff = backoff
        self._edited = edited
        self._signals: asyncio.Queue[_Signal] = asyncio.Queue(maxsize=1)
        self._tasks: list[asyncio.Task[None]] = []
        self._at_start = False

    async def events(self) -> AsyncGenerator[LiveEvent, None]:
        """What was missed, and all that happens from now on. Raises what connecting again does not help."""
        sequence = self._local.cache.sequence()
        self._start()
        try:
            while True:
                signal = await self._signals.get()
                while records := self._local.cache.applied_after(sequence):
                    sequence = records[-1].sequence
                    for record in records:
                        yield _change(record)
                match signal:
                    case _Failed(error):
                        raise error
                    case _Closed():
                        return
                    case _Applied():
                        pass
                    case event:
                        yield event
                self._signals.task_done()
        finally:
            await self.close()

    def poke(self) -> None:
        """Records were applied by someone else in this process."""
        if self._signals.empty():
            self._signals.put_nowait(_Applied())

    def _start(self) -> None:
        self._tasks.append(asyncio.create_task(self._guarded(self._follow())))
        if self._edited is not None:
            self._edited.clear()
            self._tasks.append(asyncio.create_task(self._guarded(self._push_edits(self._edited))))

    async def close(self) -> None:
        """Stop. A push that is under way goes on with the next synchronize."""
        if self.status.state is not Connectivity.STOPPED:
            self.status = Status(Connectivity.OFFLINE)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        while not self._signals.empty():
            self._signals.get_nowait()
        self._signals.put_nowait(_Closed())

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            self.status = Status(Connectivity.STOPPED, str(error))
            await self._signals.put(_Failed(error))

    # --- following ----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        backoff = self._backoff()
        renewed = False
        while True:
            try:
                async with aclosing(self._connection()) as events:
                    async for event in events:
                        if isinstance(event, WireReady):
                            backoff.reset()
                            renewed = False
                        await self._take(event)
            except TokenRejected:
                if renewed or not await self._tokens.renew():
                    raise
                renewed = True
            except ServerUnreachable as error:
                self.status = Status(Connectivity.OFFLINE, error.message)
                await self._tell(Disconnected(reason=error.message))
                await asyncio.sleep(backoff.next_delay().total_seconds())

    async def _connection(self) -> AsyncGenerator[StreamEvent, None]:
        self.status = Status(Connectivity.CONNECTING)
        if self._local.cache.standing().resyncing:
            await self._catch_up()
        since = self._local.cache.standing().checkpoint
        self._at_start = since == START
        variables: Mapping[str, Any] = {"dataset": reference(self._local.name), "since": since}
        async with Subscription(self._url, await self._tokens.current(), CHANGES, dict(variables)) as subscription:
            while True:
                data = await subscription.next_event()
                try:
                    yield msgspec.json.decode(data, type=StreamData).dataset_changes
                except msgspec.DecodeError as error:
                    raise NotSyncline(self._url, str(error)) from error

    async def _take(self, event: StreamEvent) -> None:
        match event:
            case WireReady():
                self.status = Status(Connectivity.LIVE)
                if self._edited is not None:
                    self._edited.set()
                await self._tell(Ready(checkpoint=event.checkpoint, resumed=event.resumed))
            case WireCommit():
                await self._signals.join()
                if not await self._applied(event):
                    await self._catch_up()
                await self._tell(_Applied())
            case ResyncRequired():
                await self._start_over(event)
            case DatasetDeleted():
                self._at_start = True
                if self._local.cache.standing().dataset_id in (None, event.dataset_id):
                    await self._dataset_gone()
            case AccessEnded():
                raise ServerRefused("ACCESS_ENDED", "this device may no longer see the dataset")

    async def _applied(self, commit: WireCommit) -> bool:
        """Whether the cache now holds the commit; if not, it does not follow on what the cache holds."""
        from_start, self._at_start = self._at_start, False
        async with self._lock:
            if self._local.outbox.batch() is not None:
                # The answer to a push was lost. Before its outcome is known, what it pushed would be seen twice.
                return False
            standing = self._local.cache.standing()
            if standing.dataset_id == commit.dataset_id and commit.version <= standing.known_version:
                return True
            if standing.resyncing or not (commit.previous == standing.checkpoint or (from_start and standing.fresh)):
                return False
            records = synced(commit.records)
            delta = Delta(
                since=standing.checkpoint,
                checkpoint=commit.checkpoint,
                records=records,
                complete=False,
                covered_version=max(commit.version - 1, covered_version(records, complete=False)),
                dataset_id=commit.dataset_id,
            )
            return self._local.cache.apply(delta) is not None

    async def _start_over(self, resync: ResyncRequired) -> None:
        """The log does not lead on from here: what is there now is pulled, whatever else the stream brings."""
        self._at_start = True
        if resync.reason is ResyncReason.DATASET_RECREATED:
            await self._dataset_gone()
        else:
            await self._catch_up()
            await self._tell(_Applied())

    async def _dataset_gone(self) -> None:
        standing = self._local.cache.standing()
        if standing.fresh and standing.dataset_id is None:
            return
        if await self._synchronizer().dataset_deleted(since=standing.checkpoint):
            await self._tell(DatasetGone(name=self._local.name))
            if self._edited is not None:
                self._edited.set()

    async def _catch_up(self) -> None:
        before, self.status = self.status, Status(Connectivity.CATCHING_UP)
        await self._synchronizer().run(push=False)
        self.status = before

    async def _tell(self, signal: _Signal) -> None:
        await self._signals.put(signal)

    # --- pushing ------------------------------------------------------------------------------------------------------

    async def _push_edits(self, edited: asyncio.Event) -> None:
        backoff = self._backoff()
        while True:
            await edited.wait()
            edited.clear()
            try:
                await self._synchronizer().run()
                backoff.reset()
            except ServerUnreachable:
                await asyncio.sleep(backoff.next_delay().total_seconds())
                edited.set()


def _change(record: SyncedRecord) -> RecordChange:
    return RecordChange(
        key=record.key,
        value=None if record.value is None else parsed(record.value),
        deleted=record.value is None,
        version=record.version,
        author=None if record.author_identity is None else Author(record.author_identity, record.author_device),
    )

"""A dataset as an app uses it: read and edited at once and offline, synchronized and watched when there is a server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from syncline.client.backoff import Backoff
from syncline.client.database import Database
from syncline.client.endpoints import Tokens
from syncline.client.exchange import Exchange
from syncline.client.handlers import Handlers, OnConflict, OnDatasetDeleted, OnResync
from syncline.client.live import Live
from syncline.client.local import LocalDataset
from syncline.client.models import LiveEvent, Operation, Parked, RecordChange, SyncReport
from syncline.client.presence import WATCH_ONLY, Presence
from syncline.client.sharing import Invitation, Member, Sharing
from syncline.client.synchronizing import Synchronizer, parked
from syncline.core.ids import DatasetName, MutationId, record_key
from syncline.core.json_values import json_text, parsed, whole
from syncline.core.model import ConflictPolicy, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a device shares between its datasets."""

    database: Database
    exchange: Exchange
    sharing: Sharing
    socket_url: str
    tokens: Tokens
    limit: Callable[[], Awaitable[int]]
    """How many changes fit into one sync. Also makes sure that the cache is this viewer's."""
    backoff: Callable[[], Backoff]
    now: Callable[[], datetime]


class Dataset:
    """One dataset of the device's identity.

    Edits are on disk when their method returns; they are seen at once, and sent by ``synchronize`` or ``subscribe``.
    Use it from one thread.
    """

    def __init__(self, name: DatasetName, connection: Connection, *, conflict_policy: ConflictPolicy | None) -> None:
        self.name = name
        self._connection = connection
        self._policy = conflict_policy
        self._local = LocalDataset(
            connection.database,
            name,
            now=connection.now,
            new_mutation_id=lambda: MutationId(uuid.uuid4().hex),
        )
        self._lock = asyncio.Lock()
        self._edited = asyncio.Event()
        self._watching: set[Live] = set()
        self._bundle: str | None = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """The record's value with this device's edits on top; ``default`` if there is no such record."""
        value = self._local.view(record_key(key))
        return default if value is None else parsed(value)

    def __contains__(self, key: str) -> bool:
        return self._local.view(record_key(key)) is not None

    def items(self, prefix: str = "") -> list[tuple[str, Any]]:
        """All records whose key begins with ``prefix``, by key, with this device's edits on top."""
        return [(key, parsed(value)) for key, value in self._local.items(prefix).items()]

    def records(self, prefix: str = "") -> dict[str, Any]:
        """The same as a dictionary."""
        return dict(self.items(prefix))

    # --- editing ------------------------------------------------------------------------------------------------------

    def put(self, key: str, value: Any) -> None:
        """The record gets this value. Raises InvalidInput for what is no JSON value."""
        self._edit(key, Operation.PUT, value)

    def update(self, records: Mapping[str, Any]) -> None:
        """Put them all in one step on this device; the server decides on each by itself."""
        with self._connection.database.transaction():
            for key, value in records.items():
                self.put(key, value)

    def remove(self, key: str) -> None:
        """The record goes."""
        self._make(key, Operation.REMOVE, None)

    def merge(self, key: str, patch: Any) -> None:
        """Patch the record's value as RFC 7396 says: fields set to None go, others are set, objects are entered."""
        self._edit(key, Operation.MERGE, patch)

    def increment(self, key: str, by: float = 1) -> None:
        """Add to a number; no record counts as 0. Raises ChangeNotApplicable, as do the ones below."""
        self._edit(key, Operation.INCREMENT, whole(by))

    def max(self, key: str, value: float | str) -> None:
        """Keep the greater of the record's value and this one."""
        self._edit(key, Operation.MAX, value)

    def min(self, key: str, value: float | str) -> None:
        """Keep the lesser of the record's value and this one."""
        self._edit(key, Operation.MIN, value)

    def add_to_set(self, key: str, *members: Any) -> None:
        """Append the members that the array does not hold; no record counts as an empty array."""
        self._edit(key, Operation.ADD_TO_SET, list(members))

    def remove_from_set(self, key: str, *members: Any) -> None:
        """Take the members out of the array."""
        self._edit(key, Operation.REMOVE_FROM_SET, list(members))

    def _edit(self, key: str, operation: Operation, argument: Any) -> None:
        self._make(key, operation, json_text(argument, field=operation.value))

    def _make(self, key: str, operation: Operation, argument: Any) -> None:
        self._local.edit(record_key(key), operation, argument, bundle=self._bundle)
        if self._bundle is None:
            self._edited.set()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The edits made in it are applied by the server together or not at all.

        They are on disk when the block ends; if it raises, none was made. Do not await in it.
        """
        if self._bundle is not None:
            yield
            return
        self._bundle = uuid.uuid4().hex
        try:
            with self._connection.database.transaction():
                yield
        finally:
            self._bundle = None
        self._edited.set()

    # --- what is not done yet -----------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """How many edits the server has not acknowledged, conflicts included, parked ones not."""
        return len(self._local.outbox.edits()) - len(self._local.parked())

    @property
    def parked(self) -> Sequence[Parked]:
        """Edits that could not be applied as they were."""
        return [parked(edit) for edit in self._local.parked()]

    def retry(self, edit: Parked) -> bool:
        """Make a parked edit again, by itself, on what is there now. False: it is not parked any more."""
        done = self._local.retry_parked(edit.id)
        self._edited.set()
        return done

    def discard(self, edit: Parked) -> bool:
        """Give a parked edit up. False: it is not parked any more."""
        return self._local.discard_parked(edit.id)

    # --- with a server ------------------------------------------------------------------------------------------------

    async def synchronize(
        self,
        *,
        on_conflict: OnConflict | None = None,
        on_dataset_deleted: OnDatasetDeleted | None = None,
        on_resync: OnResync | None = None,
    ) -> SyncReport:
        """Push what is pending and pull what is missing; afterwards this device holds what the server held.

        Without a handler nothing is lost: conflicts stay pending and are reported. Raises ServerUnreachable after all
        attempts, TokenRejected, ServerRefused, NotSyncline and CacheBelongsToAnother; edits are kept. Cancelling is
        safe: a push under way is taken up by the next synchronize.
        """
        handlers = Handlers(on_conflict=on_conflict, on_dataset_deleted=on_dataset_deleted, on_resync=on_resync)
        return await self._synchronizer(handlers).run()

    async def settle(self) -> None:
        """Learn the outcome of a push that was begun, and pull; nothing new is sent. Raises as ``synchronize``."""
        await self._synchronizer(Handlers()).run(push=False)

    def _synchronizer(self, handlers: Handlers) -> Synchronizer:
        return Synchronizer(
            self._local,
            self._connection.exchange,
            handlers,
            lock=self._lock,
            limit=self._connection.limit,
            policy=self._policy,
            on_applied=self._on_applied,
        )

    def _on_applied(self) -> None:
        for live in self._watching:
            live.poke()

    async def subscribe(
        self,
        *,
        push: bool = False,
        on_conflict: OnConflict | None = None,
        on_dataset_deleted: OnDatasetDeleted | None = None,
        on_resync: OnResync | None = None,
    ) -> AsyncGenerator[RecordChange, None]:
        """Each record that changes on the server, after it was applied here; first, what was missed.

        With ``push``, edits are sent as they are made. Connects again by itself for as long as it is iterated; raises
        what connecting again does not help. Close it with ``contextlib.aclosing`` if you leave the loop early.
        """
        events = self.events(
            push=push, on_conflict=on_conflict, on_dataset_deleted=on_dataset_deleted, on_resync=on_resync
        )
        try:
            async for event in events:
                if isinstance(event, RecordChange):
                    yield event
        finally:
            await events.aclose()

    async def events(
        self,
        *,
        push: bool = False,
        on_conflict: OnConflict | None = None,
        on_dataset_deleted: OnDatasetDeleted | None = None,
        on_resync: OnResync | None = None,
    ) -> AsyncGenerator[LiveEvent, None]:
        """As ``subscribe``, and between the records: Ready, Disconnected and DatasetGone."""
        handlers = Handlers(on_conflict=on_conflict, on_dataset_deleted=on_dataset_deleted, on_resync=on_resync)
        live = Live(
            self._local,
            socket_url=self._connection.socket_url,
            tokens=self._connection.tokens,
            synchronizer=lambda: self._synchronizer(handlers),
            lock=self._lock,
            backoff=self._connection.backoff,
            edited=self._edited if push else None,
        )
        await self._connection.limit()
        self._watching.add(live)
        events = live.events()
        try:
            async for event in events:
                yield event
        finally:
            self._watching.discard(live)
            await events.aclose()

    def presence(self, state: Any = WATCH_ONLY) -> Presence:
        """Who is on the dataset right now, and with a ``state`` (at most 1 KiB of JSON) this device, too.

        Raises InvalidInput for a state that is no JSON.
        """
        connection = self._connection
        return Presence(
            self.name,
            state,
            exchange=connection.exchange,
            socket_url=connection.socket_url,
            tokens=connection.tokens,
            backoff=connection.backoff,
        )

    # --- sharing ------------------------------------------------------------------------------------------------------

    async def members(self) -> Sequence[Member]:
        """Who sees the dataset, the owner first. This, like all of sharing, needs the server."""
        return await self._connection.sharing.members(self.name)

    async def share(self, identity: str, role: Role) -> None:
        """Let an identity in, or give it another role. For the owner, as are the next ones."""
        await self._connection.sharing.share(self.name, identity, role)

    async def change_role(self, identity: str, role: Role) -> None:
        """Give a member another role."""
        await self._connection.sharing.change_role(self.name, identity, role)

    async def remove_member(self, identity: str) -> None:
        """Nothing that is committed from now on reaches it."""
        await self._connection.sharing.remove_member(self.name, identity)

    async def transfer_ownership(self, identity: str) -> None:
        """Make a member the owner. From now on this device opens the dataset by its id."""
        await self._connection.sharing.transfer_ownership(self.name, identity)

    async def invite(self, role: Role, *, uses: int = 1, expires_at: datetime | None = None) -> Invitation:
        """A code that lets in whoever has it, so many times, for a week unless something else is said."""
        return await self._connection.sharing.invite(self.name, role, uses=uses, expires_at=expires_at)

    async def revoke_invitation(self, invitation: str) -> None:
        """Make an invitation, named by its id, worthless."""
        await self._connection.sharing.revoke_invitation(self.name, invitation)

    async def leave(self) -> None:
        """End one's own access; the local copy stays. For members."""
        await self._connection.sharing.leave(self.name)

    async def close(self) -> None:
        """End all subscriptions."""
        for live in list(self._watching):
            await live.close()

    def export(self, *, indent: int = 0) -> str:
        """All records as one JSON object in canonical form: devices that are in sync get the same text."""
        return canonical(self.records(), indent=indent)


def canonical(value: Any, *, indent: int = 0) -> str:
    """``value`` as JSON with all names sorted by code point."""
    data = msgspec.json.encode(value, order="sorted")
    return (msgspec.json.format(data, indent=indent) if indent else data).decode()

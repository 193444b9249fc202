"""A dataset as an app uses it: read and edited at once and offline, synchronized and watched when there is a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from syncline.client.backoff import Backoff
from syncline.client.database import Database
from syncline.client.endpoints import Tokens
from syncline.client.exchange import Exchange
from syncline.client.handlers import Handlers, OnConflict, OnDatasetDeleted, OnResync
from syncline.client.live import Live
from syncline.client.models import Connectivity, LiveEvent, RecordChange, Status, SyncReport
from syncline.client.presence import WATCH_ONLY, Presence
from syncline.client.records import Records
from syncline.client.sharing import Invitation, Member, NewInvitation, Sharing
from syncline.client.synchronizing import Synchronizer
from syncline.core.ids import DatasetName
from syncline.core.model import ConflictPolicy, Role

_FROM_STOPPED_TO_LIVE: Final = (
    Connectivity.STOPPED,
    Connectivity.OFFLINE,
    Connectivity.CONNECTING,
    Connectivity.CATCHING_UP,
    Connectivity.LIVE,
)


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


class Dataset(Records):
    """One dataset of the device's identity. ``synchronize`` and ``subscribe`` send edits. Use it from one thread."""

    def __init__(self, name: DatasetName, connection: Connection, *, conflict_policy: ConflictPolicy | None) -> None:
        super().__init__(name, connection.database, now=connection.now)
        self._connection = connection
        self._policy = conflict_policy
        self._lock = asyncio.Lock()
        self._watching: set[Live] = set()
        self._last_status = Status(Connectivity.OFFLINE)

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
            self._last_status = live.status

    def status(self) -> Status:
        """How the dataset stands to the server; without a ``subscribe`` that is iterated, it is offline.

        After one that failed it is stopped, until the next begins.
        """
        return max((live.status for live in self._watching), key=_liveness, default=self._last_status)

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

    async def invite(self, role: Role, *, uses: int = 1, expires_at: datetime | None = None) -> NewInvitation:
        """A code that lets in whoever has it, so many times, for a week unless something else is said."""
        return await self._connection.sharing.invite(self.name, role, uses=uses, expires_at=expires_at)

    async def invitations(self) -> Sequence[Invitation]:
        """Those that are good now, without their codes."""
        return await self._connection.sharing.invitations(self.name)

    async def revoke_invitation(self, invitation: str) -> None:
        """Make an invitation, named by its id, worthless."""
        await self._connection.sharing.revoke_invitation(self.name, invitation)

    async def leave(self) -> None:
        """End one's own access; the local copy stays. For members."""
        await self._connection.sharing.leave(self.name)

    async def delete(self) -> None:
        """Delete it on the server, for every device. This one, too, is told by its next ``synchronize``."""
        await self._connection.sharing.delete(self.name)

    async def close(self) -> None:
        """End all subscriptions."""
        for live in list(self._watching):
            await live.close()

    def export(self, *, indent: int = 0) -> str:
        """All records as one JSON object in canonical form: devices that are in sync get the same text."""
        return canonical(self.records(), indent=indent)


def _liveness(status: Status) -> int:
    return _FROM_STOPPED_TO_LIVE.index(status.state)


def canonical(value: Any, *, indent: int = 0) -> str:
    """``value`` as JSON with all names sorted by code point."""
    data = msgspec.json.encode(value, order="sorted")
    return (msgspec.json.format(data, indent=indent) if indent else data).decode()

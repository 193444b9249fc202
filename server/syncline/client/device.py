"""A device: one installation of an app, with its cache file and its way to the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from syncline.client.backoff import Backoff
from syncline.client.database import Database
from syncline.client.dataset import Connection, Dataset
from syncline.client.endpoints import TokenProvider, Tokens, endpoint
from syncline.client.errors import CacheBelongsToAnother, GuestLinked
from syncline.client.exchange import Exchange
from syncline.client.linking import LINK, RENEW, LinkData, LinkedGuest, RenewData, adopt, settle_as_guest
from syncline.client.references import shared_name
from syncline.client.sharing import DatasetInfo, Sharing
from syncline.client.transport_http import HttpTransport
from syncline.core.ids import DatasetName, dataset_name
from syncline.core.linking import LinkRule
from syncline.core.model import ConflictPolicy, DatasetScope
from syncline.errors import InvalidInput


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Device:
    """One device of one identity. Opening it needs no server; use it in one event loop.

    The cache file is for one identity and device: it says so after the first contact with a server, and refuses others.
    Several processes may use one cache file at the same time.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | TokenProvider,
        cache: Path | str,
        timeout: timedelta = timedelta(seconds=30),
        attempts: int = 5,
        backoff: Callable[[], Backoff] = Backoff,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """``token`` may be a coroutine function: it is asked again when the server rejects what it gave.

        Each request has ``timeout`` and up to ``attempts`` attempts. Raises InvalidInput, CacheTooNew, CacheUnusable.
        """
        address = endpoint(server)
        tokens = Tokens(token)
        self._database = Database(cache)
        self._transport = HttpTransport(
            address.http, tokens, timeout_seconds=timeout.total_seconds(), attempts=attempts, backoff=backoff
        )
        self._connection = Connection(
            database=self._database,
            exchange=Exchange(self._transport),
            sharing=Sharing(self._transport),
            socket_url=address.socket,
            tokens=tokens,
            limit=self._changes_per_sync,
            backoff=backoff,
            now=now,
        )
        self._datasets: dict[DatasetName, Dataset] = {}
        self._limit: int | None = None

    def dataset(
        self,
        name: str | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the word of the schema
        conflict_policy: ConflictPolicy | None = None,
    ) -> Dataset:
        """The identity's dataset of this name, which need not exist, or one that is shared with it, by ``id``.

        ``conflict_policy`` is asked for instead of the dataset's own; it is fixed by the first call for a dataset. By
        its id an own dataset is another one here than by its name: each has its own local copy. Raises InvalidInput.
        """
        if (name is None) == (id is None):
            raise InvalidInput("dataset", "give either a name or an id")
        key = dataset_name(name) if name is not None else shared_name(str(id))
        if key not in self._datasets:
            self._datasets[key] = Dataset(key, self._connection, conflict_policy=conflict_policy)
        return self._datasets[key]

    async def datasets(self, scope: DatasetScope = DatasetScope.ALL) -> Sequence[DatasetInfo]:
        """What the identity sees, by name. Needs the server."""
        return await self._connection.sharing.datasets(scope)

    async def accept_invitation(self, code: str) -> DatasetInfo:
        """Become a member by an invitation's code; open the dataset by the id that this answers. Needs the server."""
        return await self._connection.sharing.accept(code)

    async def _changes_per_sync(self) -> int:
        if self._limit is None:
            viewer = await self._connection.exchange.viewer()
            self._claim(viewer.identity_id, viewer.device_id)
            self._limit = viewer.limits.changes_per_sync
        return self._limit

    def _claim(self, identity: str, device: str | None) -> None:
        """A push is known to the server under the device that sent it, so no other one may take it up."""
        with self._database.transaction():
            self._database.execute("INSERT INTO owner VALUES (1, ?, ?) ON CONFLICT DO NOTHING", identity, device)
            owner = self._database.row("SELECT identity, device FROM owner")
        if owner != (identity, device):
            raise CacheBelongsToAnother(path=self._database.path, owner=_name(owner), viewer=_name((identity, device)))

    async def link_guest(self, guest_token: str, rule: LinkRule) -> LinkedGuest:
        """Sign in, and keep what is in this cache: all that the guest has becomes this device's identity's.

        For a device with the token of the account and the cache of the guest. The account's token must name the same
        device as the guest's. Call it before any dataset is opened. If it fails, call it again: it has one effect. Each
        of the guest's devices is to call it, and all get the same answer.

        Raises GuestLinked (another account was first), CacheBelongsToAnother, and what ``synchronize`` raises.
        """
        if self._datasets:
            raise RuntimeError("link_guest comes before any dataset is opened")
        viewer = await self._connection.exchange.viewer()
        owner = self._database.row("SELECT identity, device FROM owner")
        if owner is not None and owner[1] != viewer.device_id:
            # What was pushed is known to the server under the device that pushed it.
            raise CacheBelongsToAnother(
                path=self._database.path, owner=_name(owner), viewer=_name((viewer.identity_id, viewer.device_id))
            )
        with suppress(GuestLinked):
            await self._settle_as_guest(guest_token)
        answer = await self._transport.execute(LINK, {"guest": guest_token, "rule": rule}, LinkData)
        linked = answer.link_guest
        with self._database.transaction():
            if owner is not None and owner[0] not in (linked.guest_id, viewer.identity_id):
                raise CacheBelongsToAnother(
                    path=self._database.path, owner=_name(owner), viewer=f"the guest {linked.guest_id}"
                )
            adopt(self._database, linked, self._connection)
            self._database.execute("DELETE FROM owner")
            self._claim(viewer.identity_id, viewer.device_id)
        return linked

    async def _settle_as_guest(self, guest_token: str) -> None:
        fresh = (await self._transport.execute(RENEW, {"guest": guest_token}, RenewData)).renew_guest.token
        transport = self._transport.with_token(fresh)
        exchange = Exchange(transport)

        async def limit() -> int:
            return (await exchange.viewer()).limits.changes_per_sync

        connection = replace(self._connection, exchange=exchange, tokens=Tokens(fresh), limit=limit)
        try:
            await settle_as_guest(self._database, lambda name: Dataset(name, connection, conflict_policy=None))
        finally:
            await transport.close()

    async def close(self) -> None:
        """End subscriptions and let go of the file. Edits that were not pushed are in it."""
        for dataset in self._datasets.values():
            await dataset.close()
        await self._transport.close()
        self._database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _name(owner: tuple[str | None, ...] | None) -> str:
    return "/".join(part or "(no device)" for part in owner or ())

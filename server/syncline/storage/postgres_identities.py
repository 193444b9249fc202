"""Which login is which identity, and API keys, in PostgreSQL. See ``ports.Identities`` and ``ports.ApiKeys``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import asyncpg

from syncline.core.ids import IdentityId
from syncline.errors import ApiKeyNotFound, IdentityErased, LoginInUse
from syncline.ports import ApiKey, ApiKeyId, LinkedLogin, Login
from syncline.storage.credential_rows import api_key_bindings, api_key_of, erased_hashes, linked_login_of
from syncline.storage.named_queries import load_queries
from syncline.storage.postgres_migrations import Connection
from syncline.storage.postgres_texts import storable
from syncline.storage.rows import micros

T = TypeVar("T")


class Transactions(Protocol):
    """Where the statements run: in a server on its pool, in a command on a connection of its own."""

    async def select(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement that only reads."""
        ...

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What ``work`` returns, committed; what it raised for was not done."""
        ...


class PostgresIdentities:
    """``ports.Identities``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._sql = load_queries("postgres", "credentials")
        self._lock_owner = load_queries("postgres")["lock_owner"]

    async def identity_of(self, login: Login, *, new_identity: IdentityId, now: datetime) -> IdentityId:
        known = await self.login(login)
        if known is not None:
            return known.identity

        async def claim(connection: Connection) -> IdentityId:
            return IdentityId((await self._claimed(connection, login, new_identity, now))["identity"])

        return await self._transactions.transaction(claim)

    async def link(self, login: Login, identity: IdentityId, *, now: datetime) -> bool:
        async def link(connection: Connection) -> bool:
            claimed = await self._claimed(connection, login, identity, now)
            before = claimed["identity"]
            if before == identity:
                return bool(claimed["new"])
            # From here on nobody creates a dataset for it.
            await connection.execute(self._lock_owner, before)
            if await connection.fetchval(self._sql["has_data"], before):
                raise LoginInUse
            await connection.execute(self._sql["move_login"], *_key(login), identity)
            return True

        return await self._transactions.transaction(link)

    async def unlink(self, login: Login) -> bool:
        if not _storable(login):
            return False
        return await self._transactions.transaction(
            lambda connection: _any(connection.fetch(self._sql["remove_login"], *_key(login)))
        )

    async def logins(self, identity: IdentityId) -> Sequence[LinkedLogin]:
        return [linked_login_of(row) for row in await self._transactions.select(self._sql["logins_of"], identity)]

    async def login(self, login: Login) -> LinkedLogin | None:
        rows = await self._transactions.select(self._sql["login"], *_key(login)) if _storable(login) else []
        return linked_login_of(rows[0]) if rows else None

    async def _claimed(
        self, connection: Connection, login: Login, identity: IdentityId, now: datetime
    ) -> asyncpg.Record:
        if await connection.fetchval(self._sql["erased"], erased_hashes(login, identity)):
            raise IdentityErased
        row = await connection.fetchrow(self._sql["claim_login"], *_key(login), identity, micros(now))
        assert row is not None  # noqa: S101 # it is inserted or updated
        return row


class PostgresApiKeys:
    """``ports.ApiKeys``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._sql = load_queries("postgres", "credentials")

    async def add(self, key: ApiKey) -> None:
        await self._transactions.transaction(
            lambda connection: connection.execute(self._sql["add_key"], *api_key_bindings(key).values())
        )

    async def found(self, ids: Sequence[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        rows = await self._transactions.select(self._sql["found_keys"], list(ids))
        keys = [api_key_of(row) for row in rows]
        return {key.id: key for key in keys}

    async def all(self) -> Sequence[ApiKey]:
        return [api_key_of(row) for row in await self._transactions.select(self._sql["keys"])]

    async def revoke(self, key: ApiKeyId, *, now: datetime) -> ApiKey:
        return await self._changed("revoke_key", key, micros(now))

    async def rotate(self, key: ApiKeyId, secret_hash: bytes, *, old_until: datetime, expires_at: datetime) -> ApiKey:
        return await self._changed("rotate_key", key, secret_hash, micros(old_until), micros(expires_at))

    async def used(self, keys: Mapping[ApiKeyId, datetime]) -> None:
        times = [micros(at) for at in keys.values()]
        await self._transactions.transaction(
            lambda connection: connection.execute(self._sql["use_keys"], list(keys), times)
        )

    async def _changed(self, query: str, key: ApiKeyId, *arguments: object) -> ApiKey:
        row = await self._transactions.transaction(
            lambda connection: connection.fetchrow(self._sql[query], key, *arguments)
        )
        if row is None:
            raise ApiKeyNotFound(key)
        return api_key_of(row)


async def _any(rows: Awaitable[Sequence[object]]) -> bool:
    return bool(await rows)


def _key(login: Login) -> tuple[str, str, str]:
    return login.issuer, login.subject, login.tenant


def _storable(login: Login) -> bool:
    return all(map(storable, _key(login)))

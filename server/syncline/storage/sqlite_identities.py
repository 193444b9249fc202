"""Which login is which identity, and API keys, in SQLite. See ``ports.Identities`` and ``ports.ApiKeys``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import apsw

from syncline.core.ids import IdentityId
from syncline.errors import ApiKeyNotFound, IdentityErased, LoginInUse
from syncline.ports import ApiKey, ApiKeyId, LinkedLogin, Login
from syncline.storage.credential_rows import api_key_bindings, api_key_of, erased_hashes, linked_login_of
from syncline.storage.named_queries import load_queries
from syncline.storage.rows import micros

T = TypeVar("T")


class Transactions(Protocol):
    """Where the statements run: in a server by its threads, in a command on a connection of its own."""

    def read(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        """What ``work`` returns, on a snapshot."""
        ...

    def write(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        """What ``work`` returns, once it is durable; what it raised for was not done."""
        ...


class SqliteIdentities:
    """``ports.Identities``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._sql = load_queries("sqlite", "credentials")

    async def identity_of(self, login: Login, *, new_identity: IdentityId, now: datetime) -> IdentityId:
        known = await self.login(login)
        if known is not None:
            return known.identity

        def add(connection: apsw.Connection) -> IdentityId:
            self._check_not_erased(connection, login, new_identity)
            connection.execute(self._sql["add_login"], _row(login, new_identity, now))
            return _identity(connection.execute(self._sql["login"], _key(login)).fetchone())

        return await self._transactions.write(add)

    async def link(self, login: Login, identity: IdentityId, *, now: datetime) -> bool:
        def link(connection: apsw.Connection) -> bool:
            self._check_not_erased(connection, login, identity)
            row = connection.execute(self._sql["login"], _key(login)).fetchone()
            if row is None:
                connection.execute(self._sql["add_login"], _row(login, identity, now))
                return True
            before = _identity(row)
            if before == identity:
                return False
            if connection.execute(self._sql["has_data"], {"identity": before}).get:
                raise LoginInUse
            connection.execute(self._sql["move_login"], {**_key(login), "identity": identity})
            return True

        return await self._transactions.write(link)

    def _check_not_erased(self, connection: apsw.Connection, login: Login, identity: IdentityId) -> None:
        hashes = [each.hex() for each in erased_hashes(login, identity)]
        if connection.execute(self._sql["erased"], {"hashes": json.dumps(hashes)}).get:
            raise IdentityErased

    async def unlink(self, login: Login) -> bool:
        return await self._transactions.write(
            lambda connection: bool(connection.execute(self._sql["remove_login"], _key(login)).fetchall())
        )

    async def logins(self, identity: IdentityId) -> Sequence[LinkedLogin]:
        rows = await self._transactions.read(
            lambda connection: connection.execute(self._sql["logins_of"], {"identity": identity}).fetchall()
        )
        return [linked_login_of(row) for row in rows]

    async def login(self, login: Login) -> LinkedLogin | None:
        row = await self._transactions.read(
            lambda connection: connection.execute(self._sql["login"], _key(login)).fetchone()
        )
        return None if row is None else linked_login_of(row)


class SqliteApiKeys:
    """``ports.ApiKeys``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._sql = load_queries("sqlite", "credentials")

    async def add(self, key: ApiKey) -> None:
        await self._write("add_key", api_key_bindings(key))

    async def found(self, ids: Sequence[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        rows = await self._transactions.read(
            lambda connection: connection.execute(self._sql["found_keys"], {"ids": json.dumps(ids)}).fetchall()
        )
        keys = [api_key_of(row) for row in rows]
        return {key.id: key for key in keys}

    async def all(self) -> Sequence[ApiKey]:
        rows = await self._transactions.read(lambda connection: connection.execute(self._sql["keys"]).fetchall())
        return [api_key_of(row) for row in rows]

    async def revoke(self, key: ApiKeyId, *, now: datetime) -> ApiKey:
        return await self._changed("revoke_key", key, {"now": micros(now)})

    async def rotate(self, key: ApiKeyId, secret_hash: bytes, *, old_until: datetime, expires_at: datetime) -> ApiKey:
        return await self._changed(
            "rotate_key",
            key,
            {"secret_hash": secret_hash, "old_until": micros(old_until), "expires_at": micros(expires_at)},
        )

    async def used(self, keys: Mapping[ApiKeyId, datetime]) -> None:
        def note(connection: apsw.Connection) -> None:
            connection.executemany(self._sql["use_key"], [{"id": key, "at": micros(at)} for key, at in keys.items()])

        await self._transactions.write(note)

    async def _changed(self, query: str, key: ApiKeyId, bindings: Mapping[str, Any]) -> ApiKey:
        rows = await self._write(query, {"id": key, **bindings})
        if not rows:
            raise ApiKeyNotFound(key)
        return api_key_of(rows[0])

    async def _write(self, query: str, bindings: Mapping[str, Any]) -> list[Any]:
        return await self._transactions.write(
            lambda connection: connection.execute(self._sql[query], bindings).fetchall()
        )


def _key(login: Login) -> dict[str, Any]:
    return {"issuer": login.issuer, "subject": login.subject, "tenant": login.tenant}


def _row(login: Login, identity: IdentityId, now: datetime) -> dict[str, Any]:
    return {**_key(login), "identity": identity, "created_at": micros(now)}


def _identity(row: Any) -> IdentityId:
    return linked_login_of(row).identity

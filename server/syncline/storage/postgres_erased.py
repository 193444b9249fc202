"""Identities that were erased, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.core.ids import IdentityId, erased_hash
from syncline.errors import IdentityErased
from syncline.storage.postgres_migrations import Connection

Sql = Mapping[str, str]


async def check_not_erased(connection: Connection, sql: Sql, *identities: IdentityId) -> None:
    """Raises IdentityErased: nothing of it may come to be here again."""
    if identities and await connection.fetchval(sql["erased"], [erased_hash(identity) for identity in identities]):
        raise IdentityErased

"""What each table holds about an identity, and what becomes of it when the identity is erased: all of it, in one place.

A test compares this with the schema of every store: whoever adds a table or a column has to say here what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Column(Enum):
    """What is in a column of texts or bytes."""

    REMOVED = auto()
    """An identity. When it is erased, the row is removed."""
    REPLACED = auto()
    """An identity, in whose place stands ``core.ids.erased_in`` when it is erased."""
    PSEUDONYM = auto()
    """An identity, in whose place stands the random name of its erasure."""
    OF_IDENTITY = auto()
    """Of the identity in the same row, and gone with it: its device, what it named and wrote."""
    FREE = auto()
    """What people wrote themselves; gone with the row. Elsewhere, what others wrote about an identity is theirs."""
    IMPERSONAL = auto()
    """Never about an identity: roles, random ids, hashes of secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityTable:
    """A table. ``exported_as``: the kinds of lines in which an export has its rows."""

    columns: Mapping[str, Column]
    exported_as: tuple[str, ...] = ()


_IMPERSONAL: Final = Column.IMPERSONAL

IDENTITY_TABLES: Final[Mapping[str, IdentityTable]] = {
    "meta": IdentityTable(columns={"name": _IMPERSONAL, "value": _IMPERSONAL}),
    "owners": IdentityTable(columns={"owner": Column.REMOVED}),
    "datasets": IdentityTable(
        columns={
            "id": _IMPERSONAL,
            "owner": Column.REPLACED,
            "name": Column.FREE,
            "conflict_policy": _IMPERSONAL,
            "updated_by_identity": Column.REPLACED,
            "updated_by_device": Column.OF_IDENTITY,
        },
        exported_as=("dataset", "changed"),
    ),
    "records": IdentityTable(
        columns={
            "dataset": _IMPERSONAL,
            "owner": Column.REMOVED,
            "key": Column.FREE,
            "value": Column.FREE,
            "updated_by_identity": Column.REPLACED,
            "updated_by_device": Column.OF_IDENTITY,
            "field_versions": Column.FREE,
        },
        exported_as=("record", "written"),
    ),
    "receipts": IdentityTable(
        columns={
            "identity": Column.REMOVED,
            "device": Column.OF_IDENTITY,
            "mutation_id": Column.FREE,
            "request_hash": _IMPERSONAL,
            "dataset": _IMPERSONAL,
            "outcomes": Column.FREE,
        },
        exported_as=("receipt",),
    ),
    "members": IdentityTable(
        columns={
            "dataset": _IMPERSONAL,
            "owner": Column.REPLACED,
            "identity": Column.REMOVED,
            "role": _IMPERSONAL,
        },
        exported_as=("member", "membership"),
    ),
    "invitations": IdentityTable(
        columns={
            "id": _IMPERSONAL,
            "owner": Column.REMOVED,
            "code_hash": _IMPERSONAL,
            "dataset": _IMPERSONAL,
            "role": _IMPERSONAL,
        },
        exported_as=("invitation",),
    ),
    "guests": IdentityTable(
        columns={
            "identity": Column.REMOVED,
            "linked_to": Column.REMOVED,
            "outcome": Column.FREE,
        },
        exported_as=("guest",),
    ),
    "logins": IdentityTable(
        columns={
            "issuer": _IMPERSONAL,
            "subject": Column.OF_IDENTITY,
            "tenant": _IMPERSONAL,
            "identity": Column.REMOVED,
        },
        exported_as=("login",),
    ),
    "api_keys": IdentityTable(
        columns={
            # A key that acts for nobody else is the identity ``key:<id>``; with that, it is removed.
            "id": Column.OF_IDENTITY,
            "tenant": _IMPERSONAL,
            "name": Column.FREE,
            "secret_hash": _IMPERSONAL,
            "old_hash": _IMPERSONAL,
            "scopes": _IMPERSONAL,
        },
        exported_as=("apiKey",),
    ),
    "audit": IdentityTable(
        columns={
            "tenant": _IMPERSONAL,
            "actor": Column.PSEUDONYM,
            "actor_device": Column.OF_IDENTITY,
            "operator": _IMPERSONAL,
            "act": _IMPERSONAL,
            "dataset": _IMPERSONAL,
            "subject": Column.PSEUDONYM,
            "details": _IMPERSONAL,
        },
        exported_as=("audited",),
    ),
    "erased_identities": IdentityTable(columns={"hash": _IMPERSONAL, "pseudonym": _IMPERSONAL}),
}
"""Every table of PostgreSQL with its columns of texts and bytes. SQLite has no other."""

OTHERS_TEXTS: Final = frozenset(
    (name, column)
    for name, table in IDENTITY_TABLES.items()
    for column, what in table.columns.items()
    if what in (Column.FREE, Column.OF_IDENTITY)
)
"""Where a text that is also an identity's can stand though nothing is held about it: in rows of others."""

"""What is copied from one store to another, row by row, and how two sides are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from syncline.storage.rows import Row

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """``columns`` in the order in which rows have them: first the ``key_columns`` that rows are ordered by."""

    name: str
    columns: tuple[str, ...]
    key_columns: int
    text: int | None
    """The column whose texts may be long, if there is one."""
    by_id: bool
    """Whether the key begins with an id, which is bytes; all other columns of keys are texts."""
    changes_alone: bool = False
    """Whether it may change while no dataset and no receipt does."""
    numbered: bool = False
    """Unless the key is a number, from 1 on, and nothing else."""

    @property
    def before_all(self) -> Row:
        """A key before that of every row."""
        if self.numbered:
            return (0,)
        return (b"" if self.by_id else "", *[""] * (self.key_columns - 1))

    def key_of(self, row: Row) -> Row:
        return row[: self.key_columns]


DATASETS: Final = CopiedTable(
    "datasets",
    (
        *("id", "owner", "name", "version", "record_count", "size_bytes", "conflict_policy", "created_at"),
        *("updated_at", "updated_by_identity", "updated_by_device", "pruned_through", "scope", "deleted_at"),
        "tombstones",
    ),
    key_columns=1,
    text=None,
    by_id=True,
)
RECORDS: Final = CopiedTable(
    "records",
    (
        *("dataset", "key", "value", "owner", "version", "ordinal", "updated_at", "updated_by_identity"),
        *("updated_by_device", "device_time", "field_versions", "unseen"),
    ),
    key_columns=2,
    text=2,
    by_id=True,
)
RECEIPTS: Final = CopiedTable(
    "receipts",
    ("identity", "device", "mutation_id", "request_hash", "dataset", "version", "outcomes", "created_at"),
    key_columns=3,
    text=6,
    by_id=False,
)
MEMBERS: Final = CopiedTable(
    "members",
    ("dataset", "identity", "owner", "role", "since"),
    key_columns=2,
    text=None,
    by_id=True,
)
INVITATIONS: Final = CopiedTable(
    "invitations",
    ("id", "dataset", "owner", "code_hash", "role", "uses_left", "created_at", "expires_at"),
    key_columns=1,
    text=None,
    by_id=True,
    changes_alone=True,
)
GUESTS: Final = CopiedTable(
    "guests",
    ("identity", "created_at", "linked_to", "linked_at", "outcome"),
    key_columns=1,
    text=4,
    by_id=False,
    changes_alone=True,
)
LOGINS: Final = CopiedTable(
    "logins",
    ("issuer", "subject", "tenant", "identity", "created_at"),
    key_columns=3,
    text=None,
    by_id=False,
    changes_alone=True,
)
API_KEYS: Final = CopiedTable(
    "api_keys",
    (
        *("id", "tenant", "name", "secret_hash", "old_hash", "old_until", "scopes", "created_at", "expires_at"),
        *("revoked_at", "last_used_at"),
    ),
    key_columns=1,
    text=None,
    by_id=False,
    changes_alone=True,
)
AUDIT: Final = CopiedTable(
    "audit",
    ("number", "at", "tenant", "actor", "actor_device", "operator", "act", "dataset", "subject", "details"),
    key_columns=1,
    text=None,
    by_id=False,
    numbered=True,
)
ERASED: Final = CopiedTable(
    "erased_identities",
    ("hash", "number", "pseudonym", "begun_at", "finished_at"),
    key_columns=1,
    text=None,
    by_id=True,
    changes_alone=True,
)
TABLES: Final = (DATASETS, RECORDS, RECEIPTS, MEMBERS, INVITATIONS, GUESTS, LOGINS, API_KEYS, AUDIT, ERASED)
"""In the order in which they are copied."""


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows a table has, and a checksum of all their columns in the order of the key."""

    rows: int
    checksum: str


class Summing:
    """Makes a ``Sum`` of rows that come in pieces, however large the pieces are."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, rows: Iterable[Row]) -> None:
        encoded = [_encode(row) for row in rows]
        self.rows += len(encoded)
        self._hash.update(b"".join(encoded))

    def sum(self) -> Sum:
        return Sum(rows=self.rows, checksum=self._hash.hexdigest())


def joint_checksum(sums: Iterable[Sum]) -> str:
    """One checksum of several tables."""
    return hashlib.blake2b("".join(each.checksum for each in sums).encode(), digest_size=16).hexdigest()

"""What a transaction can look up."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import apsw

from syncline.core.guests import may_be_guest
from syncline.core.ids import (
    DatasetId,
    DatasetName,
    Epoch,
    IdentityId,
    MutationId,
    RecordKey,
    Tenant,
    Version,
    erased_hash,
    tenant_of,
)
from syncline.core.linking import GuestMembership
from syncline.core.model import (
    Author,
    DatasetHead,
    DatasetRef,
    DatasetScope,
    Position,
    Record,
    Role,
    Standing,
    Viewer,
)
from syncline.core.pages import Page, PageRequest, page_of
from syncline.core.receipts import Receipt
from syncline.core.sharing import Invitation, Member
from syncline.errors import GuestLinked, IdentityErased
from syncline.ports import ErasureMark, Erasures, HeadMark, Oldest, Usage
from syncline.storage.key_ranges import key_range
from syncline.storage.rows import (
    Bindings,
    Row,
    StoredGuest,
    guest_of,
    head_of,
    invitation_of,
    member_of,
    receipt_key,
    receipt_of,
    record_of,
    time_of,
)

_BEHIND_ALL_TEXTS = b""
"""An upper bound for any text: SQLite orders every blob behind every text."""


@dataclass(frozen=True, slots=True)
class StoredHead:
    """A dataset's head, and the number by which the dataset's rows refer to it."""

    number: int
    head: DatasetHead


@dataclass(frozen=True, slots=True)
class StoredStanding(StoredHead):
    """With the role of the viewer that it was looked up for."""

    role: Role


class Lookups:
    """Reads of one connection, each as of the transaction it is made in. Not for two threads at once."""

    def __init__(self, connection: apsw.Connection, sql: Mapping[str, str]) -> None:
        self.connection = connection
        self._sql = sql

    def epoch(self) -> Epoch:
        return Epoch(self._one("epoch", {})[0])

    # --- datasets -----------------------------------------------------------------------------------------------------

    def standing(self, viewer: Viewer, ref: DatasetRef) -> StoredStanding | None:
        """By name a live one of its own, by id also a deleted one; None if the viewer sees none.

        Raises GuestLinked rather than None for a guest that has signed in: what it looks for is the account's.
        """
        found = self.find(viewer, ref)
        if found is None:
            self.check_not_linked(viewer.identity)
        return found

    def find(self, viewer: Viewer, ref: DatasetRef) -> StoredStanding | None:
        """As ``standing``, whoever the viewer is."""
        row = (
            self._first("head_by_name", {"viewer": viewer.identity, "name": ref.name})
            if ref.id is None
            else self._first("head_by_id", {"viewer": viewer.identity, "id": bytes.fromhex(ref.id)})
        )
        return None if row is None else StoredStanding(row[0], head_of(row[1:-1]), Role(row[-1]))

    def any_head(self, tenant: Tenant, dataset: DatasetId) -> StoredHead | None:
        """Whoever's it is within the tenant, a deleted one too."""
        row = self._first("any_head", {"id": bytes.fromhex(dataset)})
        stored = None if row is None else StoredHead(row[0], head_of(row[1:]))
        return None if stored is None or tenant_of(stored.head.owner) != tenant else stored

    def live_standings(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None
    ) -> list[Standing]:
        name, id_ = after or ("", "")
        rows = self._all(
            "live_heads",
            {
                "viewer": viewer.identity,
                "owned": scope is not DatasetScope.SHARED,
                "shared": scope is not DatasetScope.OWNED,
                "name": name,
                "after": bytes.fromhex(id_),
                "first": max(first, 0),
            },
        )
        return [Standing(head=head_of(row[1:-1]), role=Role(row[-1])) for row in rows]

    def deleted_heads(self, viewer: Viewer, ids: Sequence[DatasetId]) -> list[DatasetHead]:
        rows = self._all("deleted_heads", {"viewer": viewer.identity, "ids": _json(ids)})
        return [head_of(row[1:]) for row in rows]

    def members(self, number: int) -> list[Member]:
        """Without the owner."""
        return [member_of(row) for row in self._all("members", {"number": number})]

    def invitations(self, stored: StoredHead) -> list[Invitation]:
        return [invitation_of(row, stored.head.id) for row in self._all("invitations", {"number": stored.number})]

    def dataset_of_code(self, code_hash: bytes) -> DatasetId | None:
        row = self._first("dataset_of_code", {"code_hash": code_hash})
        return None if row is None else DatasetId(row[0].hex())

    # --- guests -------------------------------------------------------------------------------------------------------

    def guest(self, identity: IdentityId) -> StoredGuest | None:
        row = self._first("guest", {"identity": identity})
        return None if row is None else guest_of(row)

    def linked_guests(self, identities: Sequence[IdentityId]) -> frozenset[IdentityId]:
        return frozenset(IdentityId(row[0]) for row in self._all("linked_guests", {"identities": _json(identities)}))

    def check_not_linked(self, identity: IdentityId) -> None:
        """Raises GuestLinked for a guest that has signed in."""
        if may_be_guest(identity) and self.linked_guests([identity]):
            raise GuestLinked

    def owned_heads(self, owner: IdentityId) -> list[StoredHead]:
        """Live ones."""
        return [StoredHead(row[0], head_of(row[1:])) for row in self._all("owned_heads", {"owner": owner})]

    def memberships(self, guest: IdentityId, account: IdentityId) -> list[tuple[int, GuestMembership]]:
        """In live datasets, each with the dataset's number."""
        return [
            (
                row[0],
                GuestMembership(
                    head=head_of(row[1:-4]),
                    guest=member_of(row[-4:-1]),
                    account=None if row[-1] is None else Role(row[-1]),
                ),
            )
            for row in self._all("memberships", {"guest": guest, "account": account})
        ]

    def all_records(self, number: int) -> dict[RecordKey, Record]:
        """Tombstones included."""
        records = map(record_of, self._all("all_records", {"number": number}))
        return {record.key: record for record in records}

    # --- erased identities --------------------------------------------------------------------------------------------

    def check_not_erased(self, identity: IdentityId) -> None:
        """Raises IdentityErased: nothing of it may come to be here again."""
        if self._first("erased", {"hash": erased_hash(identity)}) is not None:
            raise IdentityErased

    def erasures(self, known: ErasureMark | None) -> Erasures | None:
        """What ``Erased.erasures`` promises."""
        count, numbers = self._one("erasure_mark", {})
        mark = ErasureMark(count=count, numbers=numbers)
        if mark == known:
            return None
        return Erasures(mark=mark, hashes=frozenset(row[0] for row in self._all("erasures", {})))

    # --- for the sweep ------------------------------------------------------------------------------------------------

    def head_marks(self, ids: Sequence[DatasetId]) -> dict[DatasetId, HeadMark]:
        return {
            DatasetId(id_.hex()): HeadMark(version=Version(version), scope=scope, deleted=bool(deleted))
            for id_, version, scope, deleted in self._all("head_marks", {"ids": _json(ids)})
        }

    def visible(self, identities: Sequence[IdentityId]) -> dict[IdentityId, dict[DatasetId, Role]]:
        visible: dict[IdentityId, dict[DatasetId, Role]] = {identity: {} for identity in identities}
        for identity, id_, role in self._all("visible", {"identities": _json(identities)}):
            visible[IdentityId(identity)][DatasetId(id_.hex())] = Role(role)
        return visible

    def usage(self, owner: IdentityId) -> Usage:
        datasets, size_bytes = self._one("usage", {"owner": owner})
        return Usage(datasets=datasets, size_bytes=size_bytes)

    def oldest(self) -> Oldest:
        [tombstone], [receipt] = self._one("oldest_tombstone", {}), self._one("oldest_receipt", {})
        return Oldest(
            tombstone=None if tombstone is None else time_of(tombstone),
            receipt=None if receipt is None else time_of(receipt),
        )

    # --- records ------------------------------------------------------------------------------------------------------

    def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        row = self._first("record", {"viewer": viewer.identity, "id": bytes.fromhex(dataset), "key": key})
        return None if row is None else record_of(row)

    def records_of_keys(self, number: int, keys: Collection[RecordKey]) -> dict[RecordKey, Record]:
        """Those there are, tombstones included."""
        if not keys:
            return {}
        records = map(record_of, self._all("records_of_keys", {"number": number, "keys": _json(list(keys))}))
        return {record.key: record for record in records}

    def live_records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None, prefix: str
    ) -> list[Record]:
        from_, until = key_range(prefix=prefix, after=after)
        rows = self._all(
            "live_records",
            {
                "viewer": viewer.identity,
                "id": bytes.fromhex(dataset),
                "first": max(first, 0),
                "from": from_,
                "until": _BEHIND_ALL_TEXTS if until is None else until,
            },
        )
        return [record_of(row) for row in rows]

    def page(self, stored: StoredHead, request: PageRequest, *, start: Position) -> Page:
        """The page of the dataset's log that begins at ``start``; reads no further than it needs."""
        if start == Position(stored.head.version):
            # As most devices that come back have it.
            return Page(records=(), position=start, has_more=False)
        with closing(self._log(stored.number, start, request.filter.prefix)) as scanned:
            return page_of(scanned, request, start=start, head_version=stored.head.version)

    def _log(self, number: int, start: Position, prefix: str) -> Generator[Record]:
        from_, until = key_range(prefix=prefix)
        cursor = self.connection.cursor()
        try:
            for row in cursor.execute(
                self._sql["log"],
                {
                    "number": number,
                    "version": start.version + 1,
                    "ordinal": start.offset,
                    "from": from_,
                    "until": _BEHIND_ALL_TEXTS if until is None else until,
                },
            ):
                yield record_of(row)
        finally:
            # An unfinished statement would keep the transaction's snapshot alive.
            cursor.close()

    # --- receipts -----------------------------------------------------------------------------------------------------

    def receipt(self, author: Author, mutation_id: MutationId) -> Receipt | None:
        row = self._first("receipt", receipt_key(author, mutation_id))
        return None if row is None else receipt_of(row, author=author, mutation_id=mutation_id)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _all(self, query: str, bindings: Bindings) -> list[Row]:
        return self.connection.execute(self._sql[query], bindings).fetchall()

    def _first(self, query: str, bindings: Bindings) -> Row | None:
        rows = self._all(query, bindings)
        return rows[0] if rows else None

    def _one(self, query: str, bindings: Bindings) -> Row:
        (row,) = self._all(query, bindings)
        return row


def _json(texts: Sequence[str]) -> str:
    # Of ASCII only: a key that cannot be one, with a lone surrogate say, is looked for too, and not found.
    return json.dumps(texts)

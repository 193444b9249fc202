"""What a write transaction can look up and write."""

from __future__ import annotations

from datetime import datetime

from syncline.core.audit import AuditEntry
from syncline.core.ids import IdentityId, InvitationId, Version
from syncline.core.linking import Linked
from syncline.core.model import DatasetHead, Record
from syncline.core.receipts import Receipt
from syncline.core.sharing import Invitation, Member
from syncline.storage.rows import (
    Bindings,
    audit_bindings,
    head_bindings,
    invitation_bindings,
    linked_text,
    member_bindings,
    micros,
    receipt_bindings,
    record_bindings,
)
from syncline.storage.sqlite_lookups import Lookups, StoredHead

Pruning = list[tuple[int, Version]]
"""Tombstones that are gone: the number of each one's dataset, and its version."""


class Writes(Lookups):
    """Reads and writes of the writer's connection."""

    # --- datasets -----------------------------------------------------------------------------------------------------

    def insert_head(self, head: DatasetHead, *, tombstones: int = 0) -> StoredHead:
        row = self._one("insert_head", {**head_bindings(head), "tombstones": tombstones})
        return StoredHead(row[0], head)

    def update_head(self, stored: StoredHead, *, more_tombstones: int = 0) -> None:
        """Write what may change of a live dataset's head."""
        self._run(
            "update_head",
            {**head_bindings(stored.head), "number": stored.number, "more_tombstones": more_tombstones},
        )

    def delete_dataset(self, stored: StoredHead) -> None:
        """Keep the head, which says when it was deleted, and its members, who are to be told; drop all else."""
        self._run("delete_head", {**head_bindings(stored.head), "number": stored.number})
        self._run("delete_records", {"number": stored.number})
        self._run("drop_invitations", {"number": stored.number})

    # --- members and invitations --------------------------------------------------------------------------------------

    def update_sharing(self, stored: StoredHead) -> None:
        """Write the owner and the scope of a dataset's head."""
        self._run(
            "update_sharing",
            {"owner": stored.head.owner, "scope": stored.head.scope, "number": stored.number},
        )

    def put_member(self, number: int, member: Member) -> None:
        self._run("put_member", {"dataset": number, **member_bindings(member)})

    def drop_member(self, number: int, identity: IdentityId) -> None:
        self._run("drop_member", {"dataset": number, "identity": identity})

    def put_invitation(self, number: int, invitation: Invitation) -> None:
        self._run("put_invitation", {"dataset": number, **invitation_bindings(invitation)})

    def drop_invitation(self, id_: InvitationId) -> None:
        self._run("drop_invitation", {"id": bytes.fromhex(id_)})

    # --- guests -------------------------------------------------------------------------------------------------------

    def put_guest(self, identity: IdentityId, now: datetime) -> None:
        self._run("put_guest", {"identity": identity, "created_at": micros(now)})

    def link_guest(self, linked: Linked, account: IdentityId) -> None:
        self._run(
            "link_guest",
            {
                "identity": linked.guest,
                "linked_to": account,
                "linked_at": micros(linked.linked_at),
                "outcome": linked_text(linked),
            },
        )

    def hand_over_head(self, stored: StoredHead) -> None:
        """Write the owner, the name, the scope and the last author's identity of a dataset's head."""
        head = stored.head
        self._run(
            "hand_over_head",
            {
                "owner": head.owner,
                "name": head.name,
                "scope": head.scope,
                "updated_by_identity": None if head.updated_by is None else head.updated_by.identity,
                "number": stored.number,
            },
        )

    def hand_over_records(self, number: int, guest: IdentityId, account: IdentityId) -> None:
        """What the guest wrote in this dataset, the account wrote."""
        self._run("hand_over_records", {"number": number, "guest": guest, "account": account})

    def hand_over_the_rest(self, guest: IdentityId, account: IdentityId) -> None:
        """What is left of the guest: deleted datasets, standings in such, and receipts."""
        for query in ("hand_over_deleted", "hand_over_members", "hand_over_receipts"):
            self._run(query, {"guest": guest, "account": account})
        for query in ("drop_memberships", "drop_receipts"):
            self._run(query, {"guest": guest})

    def forget_outcomes(self, *, before: datetime, batch: int) -> int:
        """Outcomes of links before ``before``; that there was a link is never forgotten."""
        self._run("forget_outcomes", {"before": micros(before), "batch": batch})
        return self.connection.changes()

    def insert_audit(self, entry: AuditEntry) -> None:
        self._run("insert_audit", audit_bindings(entry))

    # --- records and receipts -----------------------------------------------------------------------------------------

    def write_records(self, number: int, records: tuple[Record, ...]) -> None:
        bindings = [{"dataset": number, **record_bindings(record)} for record in records]
        self.connection.executemany(self._sql["write_record"], bindings)

    def insert_receipt(self, receipt: Receipt) -> None:
        self._run("insert_receipt", receipt_bindings(receipt))

    # --- pruning ------------------------------------------------------------------------------------------------------

    def prune_old_tombstones(self, *, before: datetime, batch: int) -> Pruning:
        """Tombstones written before ``before``, the oldest first."""
        return self._pruning("prune_old_tombstones", {"before": micros(before), "batch": batch})

    def datasets_over_tombstones(self, maximum: int, *, batch: int) -> list[tuple[int, int]]:
        """``(number, tombstones)`` of datasets that keep more than ``maximum``."""
        rows = self._all("datasets_over_tombstones", {"maximum": maximum, "batch": batch})
        return [(number, tombstones) for number, tombstones in rows]

    def prune_surplus_tombstones(self, number: int, *, batch: int) -> Pruning:
        """``batch`` tombstones of the dataset, those of the oldest versions."""
        return self._pruning("prune_surplus_tombstones", {"number": number, "batch": batch})

    def raise_pruned_through(self, number: int, version: Version, *, pruned: int) -> None:
        """Remember that ``pruned`` tombstones up to ``version`` are gone."""
        self._run("raise_pruned_through", {"number": number, "version": version, "pruned": pruned})

    def prune_receipts(self, *, before: datetime, batch: int) -> int:
        self._run("prune_receipts", {"before": micros(before), "batch": batch})
        return self.connection.changes()

    def prune_invitations(self, *, before: datetime, batch: int) -> int:
        """Those that expired before ``before``."""
        self._run("prune_invitations", {"before": micros(before), "batch": batch})
        return self.connection.changes()

    def prune_deleted_datasets(self, *, before: datetime, batch: int) -> int:
        self._run("prune_deleted_datasets", {"before": micros(before), "batch": batch})
        return self.connection.changes()

    def prune_audit(self, *, before: datetime, batch: int) -> int:
        self._run("prune_audit", {"before": micros(before), "batch": batch})
        return self.connection.changes()

    def prune_erasures(self, *, before: datetime, batch: int) -> int:
        """Those that began before ``before``: the identities are no longer refused."""
        self._run("prune_erasures", {"before": micros(before), "batch": batch})
        return self.connection.changes()

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _run(self, query: str, bindings: Bindings) -> None:
        self.connection.execute(self._sql[query], bindings)

    def _pruning(self, query: str, bindings: Bindings) -> Pruning:
        return [(number, Version(version)) for number, version in self._all(query, bindings)]

"""Sharing a dataset, as one transaction: lock its head, load, decide, write. And who it is shared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from syncline.core.audit import audited
from syncline.core.ids import DatasetId, IdentityId, Tenant, tenant_of
from syncline.core.model import DatasetHead, DatasetRef, Role, Viewer
from syncline.core.sharing import (
    AcceptInvitation,
    Invitation,
    Member,
    Share,
    SharingDecision,
    SharingRequest,
    SharingState,
    TransferOwnership,
    check_guest_to_share_with,
    decide,
    listed,
)
from syncline.errors import GuestLinked
from syncline.ports import Access
from syncline.storage.postgres_datasets import lock, standing
from syncline.storage.postgres_erased import check_not_erased
from syncline.storage.postgres_linking import linked_among
from syncline.storage.postgres_migrations import Connection
from syncline.storage.rows import (
    audit_bindings,
    head_of,
    invitation_bindings,
    invitation_of,
    member_bindings,
    member_of,
    time_of,
)

Sql = Mapping[str, str]


async def share(connection: Connection, sql: Sql, request: SharingRequest) -> SharingDecision:
    """What ``Store.share`` promises. Nothing is written if it raises from ``decide``."""
    viewer, act = request.viewer.identity, request.act
    linked = await linked_among(connection, sql, viewer, act.identity if isinstance(act, Share) else viewer)
    if viewer in linked:
        raise GuestLinked
    check_guest_to_share_with(linked)
    head = await _locked(connection, sql, request)
    await check_not_erased(connection, sql, *request.standing_for)
    decision = decide(request, await _state(connection, sql, request, head))
    if head is not None:
        await _write(connection, sql, head, decision)
    entry = audited(request, decision)
    if entry is not None:
        await connection.execute(sql["insert_audit"], *audit_bindings(entry).values())
    return decision


async def members(
    connection: Connection, sql: Sql, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None
) -> Sequence[Member]:
    """What ``Store.members`` promises."""
    rows = await connection.fetch(sql["members_seen_by"], viewer.identity, bytes.fromhex(dataset))
    others = [member_of(row[2:]) for row in rows if row["identity"] is not None]
    if not rows:
        return []
    owner = IdentityId(rows[0]["owner"])
    return listed(owner, time_of(rows[0]["created_at"]), others, first=first, after=after)


async def invitations(
    connection: Connection, sql: Sql, viewer: Viewer, dataset: DatasetId, *, now: datetime
) -> Sequence[Invitation]:
    """What ``Store.invitations`` promises."""
    # Kept by the dataset's owner: nobody else's identity finds any.
    found = await _invitations(connection, sql, dataset, viewer.identity)
    return [each for each in found if each.uses_left and each.expires_at > now]


async def access(connection: Connection, sql: Sql, tenant: Tenant, dataset: DatasetId) -> Access | None:
    """What ``Store.access`` promises."""
    rows = await connection.fetch(sql["access"], bytes.fromhex(dataset))
    if not rows or tenant_of(owner := IdentityId(rows[0]["owner"])) != tenant:
        return None
    roles = {IdentityId(row["identity"]): Role(row["role"]) for row in rows if row["identity"] is not None}
    return Access(scope=rows[0]["scope"], roles={**roles, owner: Role.OWNER})


async def _locked(connection: Connection, sql: Sql, request: SharingRequest) -> DatasetHead | None:
    """The dataset of the act, if there is a way to it; nobody else changes it until the transaction ends."""
    if isinstance(request.act, AcceptInvitation):
        id_ = await connection.fetchval(sql["dataset_of_code"], request.act.code_hash)
        row = None if id_ is None else await connection.fetchrow(sql["lock_head"], id_)
        return None if row is None else head_of(row)
    found = None if request.ref is None else await lock(connection, sql, request.viewer, request.ref)
    return None if found is None else found.head


async def _state(connection: Connection, sql: Sql, request: SharingRequest, head: DatasetHead | None) -> SharingState:
    if head is None:
        return SharingState(head=None, members={}, invitations={})
    receiver_owns, namesake = 0, None
    if isinstance(request.act, TransferOwnership):
        receiver = Viewer(identity=request.act.identity, device=None)
        # From here on nobody creates a dataset for it.
        await connection.execute(sql["lock_owner"], receiver.identity)
        usage = await connection.fetchrow(sql["usage"], receiver.identity)
        receiver_owns = 0 if usage is None else usage["datasets"]
        namesake = await standing(connection, sql, receiver, DatasetRef(name=head.name))
    rows = await connection.fetch(sql["members"], bytes.fromhex(head.id), head.owner)
    return SharingState(
        head=head,
        members={member.identity: member for member in map(member_of, rows)},
        invitations={each.id: each for each in await _invitations(connection, sql, head.id, head.owner)},
        receiver_owns=receiver_owns,
        receiver_has_name=None if namesake is None else namesake.head.id,
    )


async def _invitations(connection: Connection, sql: Sql, dataset: DatasetId, owner: IdentityId) -> Sequence[Invitation]:
    rows = await connection.fetch(sql["invitations"], bytes.fromhex(dataset), owner)
    return [invitation_of(row, dataset) for row in rows]


async def _write(connection: Connection, sql: Sql, before: DatasetHead, decision: SharingDecision) -> None:
    id_, owner = bytes.fromhex(before.id), decision.head.owner
    if decision.head != before:
        await connection.execute(sql["update_sharing"], id_, before.owner, owner, decision.head.scope)
    if owner != before.owner:
        for rows in ("hand_over_records", "hand_over_members", "hand_over_invitations"):
            await connection.execute(sql[rows], id_, before.owner, owner)
    for identity in decision.dropped_members:
        await connection.execute(sql["drop_member"], id_, owner, identity)
    for member in decision.put_members:
        await connection.execute(sql["put_member"], id_, owner, *member_bindings(member).values())
    for dropped in decision.dropped_invitations:
        await connection.execute(sql["drop_invitation"], bytes.fromhex(dropped), owner)
    if decision.put_invitation is not None:
        values = invitation_bindings(decision.put_invitation).values()
        await connection.execute(sql["put_invitation"], id_, owner, *values)

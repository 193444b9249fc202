"""Sharing a dataset, as one transaction: load, decide, write. And who it is shared with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncline.core.audit import audited
from syncline.core.guests import may_be_guest
from syncline.core.ids import DatasetId, IdentityId, Tenant, tenant_of
from syncline.core.model import DatasetRef, Role, Viewer
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
from syncline.ports import Access
from syncline.storage.sqlite_lookups import Lookups, StoredHead
from syncline.storage.sqlite_writes import Writes


def share(writes: Writes, request: SharingRequest) -> SharingDecision:
    """What ``Store.share`` promises, inside a write transaction. Nothing is written if it raises from ``decide``."""
    stored = _find(writes, request)
    if isinstance(request.act, Share) and may_be_guest(request.act.identity):
        check_guest_to_share_with(writes.linked_guests([request.act.identity]))
    for identity in request.standing_for:
        writes.check_not_erased(identity)
    decision = decide(request, _state(writes, request, stored))
    if stored is not None:
        _write(writes, StoredHead(stored.number, decision.head), stored, decision)
    entry = audited(request, decision)
    if entry is not None:
        writes.insert_audit(entry)
    return decision


def members(
    lookups: Lookups, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None
) -> Sequence[Member]:
    """What ``Store.members`` promises."""
    stored = lookups.standing(viewer, DatasetRef(id=dataset))
    if stored is None or stored.head.deleted_at is not None:
        return []
    head = stored.head
    return listed(head.owner, head.created_at, lookups.members(stored.number), first=first, after=after)


def invitations(lookups: Lookups, viewer: Viewer, dataset: DatasetId, *, now: datetime) -> Sequence[Invitation]:
    """What ``Store.invitations`` promises."""
    stored = lookups.standing(viewer, DatasetRef(id=dataset))
    if stored is None or stored.role is not Role.OWNER:
        return []
    return [each for each in lookups.invitations(stored) if each.uses_left and each.expires_at > now]


def access(lookups: Lookups, tenant: Tenant, dataset: DatasetId) -> Access | None:
    """What ``Store.access`` promises."""
    stored = lookups.any_head(tenant, dataset)
    if stored is None:
        return None
    roles = {member.identity: member.role for member in lookups.members(stored.number)}
    return Access(scope=stored.head.scope, roles={**roles, stored.head.owner: Role.OWNER})


def _find(writes: Writes, request: SharingRequest) -> StoredHead | None:
    if isinstance(request.act, AcceptInvitation):
        writes.check_not_linked(request.viewer.identity)
        dataset = writes.dataset_of_code(request.act.code_hash)
        return None if dataset is None else writes.any_head(tenant_of(request.viewer.identity), dataset)
    return None if request.ref is None else writes.standing(request.viewer, request.ref)


def _state(writes: Writes, request: SharingRequest, stored: StoredHead | None) -> SharingState:
    if stored is None:
        return SharingState(head=None, members={}, invitations={})
    receiver_owns, namesake = 0, None
    if isinstance(request.act, TransferOwnership):
        receiver = Viewer(identity=request.act.identity, device=None)
        receiver_owns = writes.usage(receiver.identity).datasets
        namesake = writes.find(receiver, DatasetRef(name=stored.head.name))
    return SharingState(
        head=stored.head,
        members={member.identity: member for member in writes.members(stored.number)},
        invitations={invitation.id: invitation for invitation in writes.invitations(stored)},
        receiver_owns=receiver_owns,
        receiver_has_name=None if namesake is None else namesake.head.id,
    )


def _write(writes: Writes, after: StoredHead, before: StoredHead, decision: SharingDecision) -> None:
    number = after.number
    if after.head != before.head:
        writes.update_sharing(after)
    for identity in decision.dropped_members:
        writes.drop_member(number, identity)
    for member in decision.put_members:
        writes.put_member(number, member)
    for invitation in decision.dropped_invitations:
        writes.drop_invitation(invitation)
    if decision.put_invitation is not None:
        writes.put_invitation(number, decision.put_invitation)

"""What is kept of acts of sharing and of administration: who did what to whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from syncline.core.ids import DatasetId, DeviceId, IdentityId, Tenant, tenant_of
from syncline.core.linking import Linked, LinkRequest
from syncline.core.sharing import (
    AcceptInvitation,
    ChangeRole,
    Invite,
    Leave,
    RemoveMember,
    RevokeInvitation,
    Share,
    SharingDecision,
    SharingRequest,
    TransferOwnership,
)

Detail = str | int


class AuditAct(StrEnum):
    """What was done. Acts of sharing have the names of their mutations."""

    SHARE_DATASET = "shareDataset"
    CHANGE_ROLE = "changeRole"
    REMOVE_MEMBER = "removeMember"
    LEAVE_DATASET = "leaveDataset"
    TRANSFER_OWNERSHIP = "transferOwnership"
    CREATE_INVITATION = "createInvitation"
    REVOKE_INVITATION = "revokeInvitation"
    ACCEPT_INVITATION = "acceptInvitation"
    LINK_GUEST = "linkGuest"
    LINK_IDENTITY = "linkIdentity"
    UNLINK_IDENTITY = "unlinkIdentity"
    CREATE_KEY = "createKey"
    ROTATE_KEY = "rotateKey"
    REVOKE_KEY = "revokeKey"
    EXPORT_IDENTITY = "exportIdentity"
    ERASE_IDENTITY = "eraseIdentity"
    RENEW_EPOCH = "renewEpoch"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. Either an identity did it (``actor``), or an operator (``operator`` says in which way)."""

    at: datetime
    tenant: Tenant
    act: AuditAct
    actor: IdentityId | None = None
    device: DeviceId | None = None
    operator: str | None = None
    dataset: DatasetId | None = None
    subject: IdentityId | None = None
    """Whom it was done to. Identities stand here and in ``actor`` and nowhere else, so that they can be erased."""
    details: Mapping[str, Detail] = field(default_factory=dict)


def audited(request: SharingRequest, decision: SharingDecision) -> AuditEntry | None:
    """The entry for an act of sharing; None if it changed nothing, as a retry that comes too late to."""
    if not (decision.affected or decision.put_invitation or decision.dropped_invitations):
        return None
    act, subject, details = _told(request, decision)
    return AuditEntry(
        at=request.now,
        tenant=tenant_of(request.viewer.identity),
        actor=request.viewer.identity,
        device=request.viewer.device,
        act=act,
        dataset=decision.head.id,
        subject=subject,
        details=details,
    )


def audited_link(request: LinkRequest, linked: Linked) -> AuditEntry:
    """The entry for a guest that was linked to an account."""
    return AuditEntry(
        at=linked.linked_at,
        tenant=tenant_of(request.viewer.identity),
        actor=request.viewer.identity,
        device=request.viewer.device,
        act=AuditAct.LINK_GUEST,
        subject=linked.guest,
        details={"rule": linked.rule.value, "datasets": len(linked.datasets)},
    )


def _told(
    request: SharingRequest, decision: SharingDecision
) -> tuple[AuditAct, IdentityId | None, Mapping[str, Detail]]:
    act, viewer = request.act, request.viewer.identity
    match act:
        case Share():
            return AuditAct.SHARE_DATASET, act.identity, {"role": act.role.value}
        case ChangeRole():
            return AuditAct.CHANGE_ROLE, act.identity, {"role": act.role.value}
        case RemoveMember():
            return AuditAct.REMOVE_MEMBER, act.identity, {}
        case TransferOwnership():
            return AuditAct.TRANSFER_OWNERSHIP, act.identity, {}
        case Leave():
            return AuditAct.LEAVE_DATASET, viewer, {}
        case Invite():
            until = act.expires_at.isoformat(timespec="seconds")
            invited: dict[str, Detail] = {"invitation": act.id, "role": act.role.value}
            return AuditAct.CREATE_INVITATION, None, {**invited, "uses": act.uses, "expiresAt": until}
        case RevokeInvitation():
            return AuditAct.REVOKE_INVITATION, None, {"invitation": act.id}
        case AcceptInvitation():
            taken = decision.put_invitation
            used: dict[str, Detail] = {} if taken is None else {"invitation": taken.id, "role": taken.role.value}
            return AuditAct.ACCEPT_INVITATION, viewer, used
        case _:
            assert_never(act)

"""Sharing: who stands how in a dataset, and what changes that.

A store loads a ``SharingState``, asks ``decide``, and writes what it answers, all in one transaction, under the lock of
the dataset. As with syncs, the decision is pure. Acts can be retried: what is so already is not changed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from syncline.core.ids import DatasetId, IdentityId, InvitationId, shown, tenant_of
from syncline.core.limits import Limits
from syncline.core.model import DatasetHead, DatasetRef, Role, Viewer
from syncline.errors import (
    DatasetExists,
    DatasetIsDeleted,
    DatasetNotFound,
    Forbidden,
    InvalidInput,
    InvitationNotFound,
    MemberNotFound,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An identity's standing in a dataset that it does not own, or, with the role OWNER, that it does."""

    identity: IdentityId
    role: Role
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Lets whoever has its code become a member, ``uses_left`` times until it expires. The code itself is not kept."""

    id: InvitationId
    code_hash: bytes
    dataset: DatasetId
    role: Role
    uses_left: int
    created_at: datetime
    expires_at: datetime


# --- acts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Make ``identity`` a member with this role; of a member, change the role."""

    identity: IdentityId
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRole:
    """Give a member another role."""

    identity: IdentityId
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMember:
    """End a member's access. One who is none stays none."""

    identity: IdentityId


@dataclass(frozen=True, slots=True)
class Leave:
    """End one's own access."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOwnership:
    """Make a member the owner; who owned the dataset stays on as an editor."""

    identity: IdentityId


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """Make an invitation. ``dataset`` in it is looked up."""

    id: InvitationId
    code_hash: bytes
    role: Role
    uses: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeInvitation:
    """Make an invitation worthless. One that is gone stays gone."""

    id: InvitationId


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptInvitation:
    """Become a member by an invitation's code. Who is one already stays as it is, and the invitation as well."""

    code_hash: bytes


OwnerAct = Share | ChangeRole | RemoveMember | TransferOwnership | Invite | RevokeInvitation
Act = OwnerAct | Leave | AcceptInvitation


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingRequest:
    """One act as its viewer meant it. ``ref`` None: the dataset is the invitation's."""

    viewer: Viewer
    ref: DatasetRef | None
    act: Act
    limits: Limits
    now: datetime

    @property
    def standing_for(self) -> tuple[IdentityId, ...]:
        """Who may have a standing by the act that it had not: none of these may be one that was erased."""
        match self.act:
            case Share() | TransferOwnership():
                return (self.act.identity,)
            case AcceptInvitation():
                return (self.viewer.identity,)
            case _:
                return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingState:
    """What a store knows that bears on an act."""

    head: DatasetHead | None
    """The dataset, whoever asks; a deleted one too."""
    members: Mapping[IdentityId, Member]
    """Of the dataset, without its owner."""
    invitations: Mapping[InvitationId, Invitation]
    """Those of the dataset that are kept."""
    receiver_owns: int = 0
    """How many live datasets whoever is to own this one owns already; only looked at for a transfer."""
    receiver_has_name: DatasetId | None = None
    """The live dataset of that name that it owns already."""


# --- decisions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingDecision:
    """What the store has to write: the head if it is another one, then what is put and what is dropped."""

    head: DatasetHead
    role: Role | None
    """The viewer's from now on; None: it has left."""
    member: Member | None = None
    """The one that the act was about, as it is now."""
    invitation: Invitation | None = None
    put_members: tuple[Member, ...] = ()
    dropped_members: tuple[IdentityId, ...] = ()
    put_invitation: Invitation | None = None
    dropped_invitations: tuple[InvitationId, ...] = ()

    @property
    def affected(self) -> frozenset[IdentityId]:
        """Whose standing is another one than before."""
        return frozenset({*(member.identity for member in self.put_members), *self.dropped_members})


def role_in(head: DatasetHead, members: Mapping[IdentityId, Member], identity: IdentityId) -> Role | None:
    """The identity's standing; None: it has none."""
    if head.owner == identity:
        return Role.OWNER
    member = members.get(identity)
    return None if member is None else member.role


def check_owned(head: DatasetHead, role: Role) -> None:
    """Raises DatasetIsDeleted, Forbidden unless it is the owner who asks for something that is for owners only."""
    if head.deleted_at is not None:
        raise DatasetIsDeleted(head.id)
    if role is not Role.OWNER:
        raise Forbidden("only its owner may do this to a dataset", dataset=head.id, role=role)


def check_guest_to_share_with(linked: Collection[IdentityId]) -> None:
    """Raises InvalidInput if the guest that is to become a member is among those that have signed in."""
    if linked:
        raise InvalidInput("identityId", "this guest has signed in: share with the account instead")


def decide(request: SharingRequest, state: SharingState) -> SharingDecision:
    """Decide what an act changes.

    Raises DatasetNotFound, DatasetIsDeleted, Forbidden, MemberNotFound, InvitationNotFound, InvalidInput,
    DatasetExists, LimitExceeded; then nothing is to be written.
    """
    act, head = request.act, state.head
    if isinstance(act, AcceptInvitation):
        return _accepted(request, state, act)
    name = str(request.ref)
    if head is None:
        raise DatasetNotFound(name)
    role = role_in(head, state.members, request.viewer.identity)
    if role is None:
        raise DatasetNotFound(name)
    if head.deleted_at is not None:
        raise DatasetIsDeleted(head.id)
    if isinstance(act, Leave):
        if role is Role.OWNER:
            raise Forbidden("an owner cannot leave: transfer the ownership, or delete the dataset", dataset=head.id)
        return _changed(head, None, dropped=(request.viewer.identity,))
    check_owned(head, role)
    return _owners(request, state, head, act)


def _owners(request: SharingRequest, state: SharingState, head: DatasetHead, act: OwnerAct) -> SharingDecision:
    owner = request.viewer.identity
    match act:
        case Share() | ChangeRole():
            _check_role(act.role)
            _check_other(act.identity, owner, "the owner's own role cannot be changed; transfer the ownership instead")
            before = state.members.get(act.identity)
            if before is None and isinstance(act, ChangeRole):
                raise MemberNotFound(identity=shown(act.identity), dataset=head.id)
            if before is not None and before.role is act.role:
                return SharingDecision(head=head, role=Role.OWNER, member=before)
            if before is None:
                request.limits.check_members(len(state.members) + 2)
                return _changed(head, Role.OWNER, put=_member(act.identity, act.role, request.now))
            return _changed(head, Role.OWNER, put=replace(before, role=act.role))
        case RemoveMember():
            _check_other(act.identity, owner, "the owner cannot be removed; transfer the ownership first")
            if act.identity not in state.members:
                return SharingDecision(head=head, role=Role.OWNER)
            return _changed(head, Role.OWNER, dropped=(act.identity,))
        case TransferOwnership():
            return _transferred(request, state, head, act)
        case Invite():
            _check_role(act.role)
            return _invited(request, state, head, act)
        case RevokeInvitation():
            known = act.id in state.invitations
            return SharingDecision(head=head, role=Role.OWNER, dropped_invitations=(act.id,) if known else ())
        case _:
            assert_never(act)


def _transferred(
    request: SharingRequest, state: SharingState, head: DatasetHead, act: TransferOwnership
) -> SharingDecision:
    if act.identity == head.owner:
        return SharingDecision(head=head, role=Role.OWNER, member=_member(head.owner, Role.OWNER, head.created_at))
    receiver = state.members.get(act.identity)
    if receiver is None:
        raise MemberNotFound(identity=shown(act.identity), dataset=head.id)
    if state.receiver_has_name is not None:
        raise DatasetExists(name=head.name, dataset_id=state.receiver_has_name)
    request.limits.check_datasets(state.receiver_owns + 1)
    old = _member(head.owner, Role.EDITOR, request.now)
    return replace(
        _changed(replace(head, owner=act.identity), Role.EDITOR, put=old, dropped=(act.identity,)),
        member=_member(act.identity, Role.OWNER, receiver.since),
    )


def _invited(request: SharingRequest, state: SharingState, head: DatasetHead, act: Invite) -> SharingDecision:
    live = [each for each in state.invitations.values() if each.expires_at > request.now]
    request.limits.check_invitations(len(live) + 1)
    invitation = Invitation(
        id=act.id,
        code_hash=act.code_hash,
        dataset=head.id,
        role=act.role,
        uses_left=act.uses,
        created_at=request.now,
        expires_at=act.expires_at,
    )
    return SharingDecision(
        head=head,
        role=Role.OWNER,
        invitation=invitation,
        put_invitation=invitation,
        dropped_invitations=tuple(each.id for each in state.invitations.values() if each not in live),
    )


def _accepted(request: SharingRequest, state: SharingState, act: AcceptInvitation) -> SharingDecision:
    identity, head = request.viewer.identity, state.head
    invitation = next((each for each in state.invitations.values() if each.code_hash == act.code_hash), None)
    if (
        head is None
        or invitation is None
        or head.deleted_at is not None
        or tenant_of(identity) != tenant_of(head.owner)
    ):
        raise InvitationNotFound
    role = role_in(head, state.members, identity)
    if role is not None:
        return SharingDecision(head=head, role=role, member=state.members.get(identity))
    if invitation.expires_at <= request.now or not invitation.uses_left:
        raise InvitationNotFound
    request.limits.check_members(len(state.members) + 2)
    left = replace(invitation, uses_left=invitation.uses_left - 1)
    return replace(
        _changed(head, invitation.role, put=_member(identity, invitation.role, request.now)),
        # One that is used up is kept until it expires: whoever used it may ask again, having lost the answer.
        put_invitation=left,
    )


def _member(identity: IdentityId, role: Role, since: datetime) -> Member:
    return Member(identity=identity, role=role, since=since)


def _changed(
    head: DatasetHead, role: Role | None, *, put: Member | None = None, dropped: tuple[IdentityId, ...] = ()
) -> SharingDecision:
    return SharingDecision(
        head=replace(head, scope=head.scope + 1),
        role=role,
        member=put,
        put_members=() if put is None else (put,),
        dropped_members=dropped,
    )


def _check_role(role: Role) -> None:
    if role is Role.OWNER:
        raise InvalidInput("role", "there is one owner: share as EDITOR or VIEWER, or transfer the ownership")


def _check_other(identity: IdentityId, owner: IdentityId, reason: str) -> None:
    if identity == owner:
        raise InvalidInput("identityId", reason)


def listed(
    owner: IdentityId, created_at: datetime, members: Iterable[Member], *, first: int, after: IdentityId | None
) -> Sequence[Member]:
    """The owner, then the other members by identity, at most ``first`` of those behind ``after``."""
    others = sorted(members, key=lambda member: member.identity)
    everyone = [_member(owner, Role.OWNER, created_at), *others]
    if after == owner:
        everyone = others
    elif after is not None:
        everyone = [member for member in others if member.identity > after]
    return everyone[: max(first, 0)]

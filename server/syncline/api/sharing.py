"""Sharing in the schema: members and invitations, and what may be done about them."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import UNSET

from syncline.api.context import Info
from syncline.api.events import AccessEnded
from syncline.api.inputs import DatasetRef
from syncline.api.types import Dataset, Invitation, Member
from syncline.core import ids, sharing
from syncline.core.model import Role


@strawberry.input
class CreateInvitationInput:
    dataset: DatasetRef
    role: Role = strawberry.field(description="EDITOR or VIEWER.")
    uses: int | None = strawberry.field(default=1, description="How many may accept it: 1 to 1000.")
    expires_at: datetime | None = strawberry.field(
        default=UNSET, description="In the next 365 days; left out: in 7 days."
    )


@strawberry.type(description="A new invitation. Keep the code: the server has only its hash.")
class CreatedInvitation:
    code: str = strawberry.field(description="Whoever sends this with acceptInvitation becomes a member.")
    invitation: Invitation


@strawberry.type(description="An identity that is no member of the dataset.")
class RemovedMember:
    dataset_id: strawberry.ID
    identity_id: strawberry.ID


@strawberry.type(description="An invitation that is worth nothing any more.")
class RevokedInvitation:
    dataset_id: strawberry.ID
    invitation_id: strawberry.ID


@strawberry.type
class SharingMutation:
    @strawberry.mutation(
        description=(
            "Make an identity a member; of a member, change the role. Only the owner may. Doing it twice changes "
            "nothing."
        )
    )
    async def share_dataset(self, info: Info, dataset: DatasetRef, identity_id: strawberry.ID, role: Role) -> Member:
        return await _member(info, dataset, sharing.Share(identity=_identity(info, identity_id), role=role))

    @strawberry.mutation(description="Give a member another role. Only the owner may.")
    async def change_role(self, info: Info, dataset: DatasetRef, identity_id: strawberry.ID, role: Role) -> Member:
        return await _member(info, dataset, sharing.ChangeRole(identity=_identity(info, identity_id), role=role))

    @strawberry.mutation(
        description=(
            "End a member's access: nothing that is committed from now on reaches it. Only the owner may. "
            "An invitation that the member still has lets it in again: revoke that too."
        )
    )
    async def remove_member(self, info: Info, dataset: DatasetRef, identity_id: strawberry.ID) -> RemovedMember:
        act = sharing.RemoveMember(identity=_identity(info, identity_id))
        decision, _ = await info.context.services.sharing.do(info.context.viewer, dataset.value(), act)
        return RemovedMember(dataset_id=strawberry.ID(decision.head.id), identity_id=identity_id)

    @strawberry.mutation(description="End one's own access. The owner cannot: see transferOwnership.")
    async def leave_dataset(self, info: Info, dataset: DatasetRef) -> AccessEnded:
        decision, _ = await info.context.services.sharing.do(info.context.viewer, dataset.value(), sharing.Leave())
        return AccessEnded(dataset_id=strawberry.ID(decision.head.id))

    @strawberry.mutation(
        description=(
            "Make a member the owner, on whose quota the dataset counts from now on. "
            "Who owned it stays on as an editor. The dataset keeps its id and its name."
        )
    )
    async def transfer_ownership(self, info: Info, dataset: DatasetRef, identity_id: strawberry.ID) -> Dataset:
        act = sharing.TransferOwnership(identity=_identity(info, identity_id))
        decision, epoch = await info.context.services.sharing.do(info.context.viewer, dataset.value(), act)
        return Dataset.of(decision.head, _role(decision), epoch)

    @strawberry.mutation(description="Make an invitation to a dataset. Only the owner may.")
    async def create_invitation(self, info: Info, input: CreateInvitationInput) -> CreatedInvitation:  # noqa: A002
        invited = await info.context.services.sharing.invite(
            info.context.viewer,
            input.dataset.value(),
            input.role,
            uses=1 if input.uses is None else input.uses,
            expires_at=input.expires_at or None,
        )
        return CreatedInvitation(code=invited.code, invitation=Invitation.of(invited.invitation))

    @strawberry.mutation(description="Make an invitation worthless. Who accepted it before stays a member.")
    async def revoke_invitation(
        self, info: Info, dataset: DatasetRef, invitation_id: strawberry.ID
    ) -> RevokedInvitation:
        act = sharing.RevokeInvitation(id=ids.invitation_id(invitation_id))
        decision, _ = await info.context.services.sharing.do(info.context.viewer, dataset.value(), act)
        return RevokedInvitation(dataset_id=strawberry.ID(decision.head.id), invitation_id=invitation_id)

    @strawberry.mutation(
        description="Become a member by an invitation's code. Who is one already stays as it is, and uses nothing up."
    )
    async def accept_invitation(self, info: Info, code: str) -> Dataset:
        decision, epoch = await info.context.services.sharing.accept(info.context.viewer, code)
        return Dataset.of(decision.head, _role(decision), epoch)


async def _member(info: Info, dataset: DatasetRef, act: sharing.Act) -> Member:
    decision, _ = await info.context.services.sharing.do(info.context.viewer, dataset.value(), act)
    if decision.member is None:
        raise RuntimeError("a member was made, and is not there")
    return Member.of(decision.member)


def _role(decision: sharing.SharingDecision) -> Role:
    if decision.role is None:
        raise RuntimeError("the viewer is a member, and has no role")
    return decision.role


def _identity(info: Info, text: str) -> ids.IdentityId:
    """An identity of the viewer's own tenant: others cannot be named."""
    return ids.identity_id(text, ids.tenant_of(info.context.viewer.identity))

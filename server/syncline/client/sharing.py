"""Sharing from a device: who else may see a dataset. These need the server; nothing of them is kept for later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from syncline.client.references import reference
from syncline.client.transport_http import HttpTransport
from syncline.core.ids import DatasetName
from syncline.core.model import ConflictPolicy, DatasetScope, Role

_MEMBERS = """query Members($dataset: DatasetRef!, $after: String) { dataset(dataset: $dataset) {
  members(after: $after) { nodes { identityId role } pageInfo { hasNextPage endCursor } } } }"""
_DATASETS = """query Datasets($scope: DatasetScope!, $after: String) { datasets(scope: $scope, after: $after) {
  nodes { id name role ownerId version conflictPolicy } pageInfo { hasNextPage endCursor } } }"""
_SHARE = """mutation Share($dataset: DatasetRef!, $identity: ID!, $role: Role!) {
  done: shareDataset(dataset: $dataset, identityId: $identity, role: $role) { __typename } }"""
_CHANGE_ROLE = """mutation ChangeRole($dataset: DatasetRef!, $identity: ID!, $role: Role!) {
  done: changeRole(dataset: $dataset, identityId: $identity, role: $role) { __typename } }"""
_REMOVE = """mutation Remove($dataset: DatasetRef!, $identity: ID!) {
  done: removeMember(dataset: $dataset, identityId: $identity) { __typename } }"""
_LEAVE = "mutation Leave($dataset: DatasetRef!) { done: leaveDataset(dataset: $dataset) { __typename } }"
_TRANSFER = """mutation Transfer($dataset: DatasetRef!, $identity: ID!) {
  done: transferOwnership(dataset: $dataset, identityId: $identity) { __typename } }"""
_INVITE = """mutation Invite($input: CreateInvitationInput!) {
  createInvitation(input: $input) { code invitation { id role usesLeft expiresAt } } }"""
_REVOKE = """mutation Revoke($dataset: DatasetRef!, $invitation: ID!) {
  done: revokeInvitation(dataset: $dataset, invitationId: $invitation) { __typename } }"""
_INVITATIONS = """query Invitations($dataset: DatasetRef!) { dataset(dataset: $dataset) {
  invitations { id role usesLeft expiresAt } } }"""
_DELETE = "mutation Delete($dataset: DatasetRef!) { done: deleteDataset(dataset: $dataset) { __typename } }"
_ACCEPT = """mutation Accept($code: String!) { acceptInvitation(code: $code) {
  id name role ownerId version conflictPolicy } }"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An identity's standing in a dataset."""

    identity: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """A dataset that the device's identity sees. Open one of somebody else's by its id."""

    id: str
    name: str
    role: Role
    owner: str
    version: int
    conflict_policy: ConflictPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Lets whoever has its code become a member."""

    id: str
    role: Role
    uses_left: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation(Invitation):
    """The server does not tell the code again."""

    code: str


class _Struct(msgspec.Struct, rename="camel", kw_only=True):
    pass


class _Nothing(_Struct):
    pass


class _Done(_Struct):
    done: _Nothing


class _PageInfo(_Struct):
    has_next_page: bool
    end_cursor: str | None = None


class _Member(_Struct):
    identity_id: str
    role: Role


class _Members(_Struct):
    nodes: list[_Member]
    page_info: _PageInfo


class _DatasetWithMembers(_Struct):
    members: _Members


class _MembersData(_Struct):
    dataset: _DatasetWithMembers | None = None


class _Dataset(_Struct):
    id: str
    name: str
    role: Role
    owner_id: str
    version: int
    conflict_policy: ConflictPolicy

    @property
    def info(self) -> DatasetInfo:
        return DatasetInfo(
            id=self.id,
            name=self.name,
            role=self.role,
            owner=self.owner_id,
            version=self.version,
            conflict_policy=self.conflict_policy,
        )


class _Datasets(_Struct):
    nodes: list[_Dataset]
    page_info: _PageInfo


class _DatasetsData(_Struct):
    datasets: _Datasets


class _Invitation(_Struct):
    id: str
    role: Role
    uses_left: int
    expires_at: datetime


class _DatasetWithInvitations(_Struct):
    invitations: list[_Invitation]


class _InvitationsData(_Struct):
    dataset: _DatasetWithInvitations | None = None


class _CreatedInvitation(_Struct):
    code: str
    invitation: _Invitation


class _InviteData(_Struct):
    create_invitation: _CreatedInvitation


class _AcceptData(_Struct):
    accept_invitation: _Dataset


class Sharing:
    """The questions, each raising what ``HttpTransport.execute`` raises."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    async def members(self, dataset: DatasetName) -> list[Member]:
        """The owner first; nobody, if there is no such dataset."""
        found: list[Member] = []
        after: str | None = None
        while True:
            variables = {"dataset": reference(dataset), "after": after}
            answer = (await self._transport.execute(_MEMBERS, variables, _MembersData)).dataset
            if answer is None:
                return found
            found += [Member(identity=each.identity_id, role=each.role) for each in answer.members.nodes]
            if not answer.members.page_info.has_next_page:
                return found
            after = answer.members.page_info.end_cursor

    async def datasets(self, scope: DatasetScope) -> list[DatasetInfo]:
        found: list[DatasetInfo] = []
        after: str | None = None
        while True:
            variables = {"scope": scope.value, "after": after}
            page = (await self._transport.execute(_DATASETS, variables, _DatasetsData)).datasets
            found += [each.info for each in page.nodes]
            if not page.page_info.has_next_page:
                return found
            after = page.page_info.end_cursor

    async def share(self, dataset: DatasetName, identity: str, role: Role) -> None:
        await self._do(_SHARE, dataset, identity=identity, role=role.value)

    async def change_role(self, dataset: DatasetName, identity: str, role: Role) -> None:
        await self._do(_CHANGE_ROLE, dataset, identity=identity, role=role.value)

    async def remove_member(self, dataset: DatasetName, identity: str) -> None:
        await self._do(_REMOVE, dataset, identity=identity)

    async def leave(self, dataset: DatasetName) -> None:
        await self._do(_LEAVE, dataset)

    async def transfer_ownership(self, dataset: DatasetName, identity: str) -> None:
        await self._do(_TRANSFER, dataset, identity=identity)

    async def invite(
        self, dataset: DatasetName, role: Role, *, uses: int, expires_at: datetime | None
    ) -> NewInvitation:
        given = {"dataset": reference(dataset), "role": role.value, "uses": uses}
        if expires_at is not None:
            given["expiresAt"] = expires_at.isoformat()
        made = (await self._transport.execute(_INVITE, {"input": given}, _InviteData)).create_invitation
        return NewInvitation(**_told(made.invitation), code=made.code)

    async def invitations(self, dataset: DatasetName) -> list[Invitation]:
        """None, if there is no such dataset."""
        variables = {"dataset": reference(dataset)}
        answer = (await self._transport.execute(_INVITATIONS, variables, _InvitationsData)).dataset
        return [] if answer is None else [Invitation(**_told(each)) for each in answer.invitations]

    async def revoke_invitation(self, dataset: DatasetName, invitation: str) -> None:
        await self._do(_REVOKE, dataset, invitation=invitation)

    async def delete(self, dataset: DatasetName) -> None:
        await self._do(_DELETE, dataset)

    async def accept(self, code: str) -> DatasetInfo:
        return (await self._transport.execute(_ACCEPT, {"code": code}, _AcceptData)).accept_invitation.info

    async def _do(self, document: str, dataset: DatasetName, **variables: Any) -> None:
        await self._transport.execute(document, {"dataset": reference(dataset), **variables}, _Done)


def _told(invitation: _Invitation) -> dict[str, Any]:
    return msgspec.structs.asdict(invitation)

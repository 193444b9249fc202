"""Output types of the schema, each made from its value in the core."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

import strawberry
from strawberry import UNSET

from syncline.api.context import Info
from syncline.api.cursors import cursor_of, page_size, place_of
from syncline.api.scalars import JSON, Checkpoint
from syncline.core import conflicts, model, sharing
from syncline.core.checkpoint import Checkpoint as CoreCheckpoint
from syncline.core.checkpoint import ResyncReason
from syncline.core.ids import Epoch, RecordKey, identity_id, record_key, shown, tenant_of
from syncline.core.json_values import JsonText

# The core's enums serve the schema as they are.
strawberry.enum(model.Role, description="An identity's standing in a dataset.")
strawberry.enum(
    model.ConflictPolicy,
    description="What happens to a change that is based on an older state of its record than the server has.",
)
strawberry.enum(
    conflicts.ChangeStatus,
    description=(
        "What became of a change. UNCHANGED: equal to the current state, whatever its base was; never a conflict. "
        "MERGED: it and what others wrote both stand. REJECTED (a limit, or it does not fit the value): only with "
        "atomic: false."
    ),
)
strawberry.enum(ResyncReason, description="Why a device has to pull a dataset anew.")


@strawberry.type(description="Who wrote: an identity, by one of its devices.")
class Author:
    identity_id: strawberry.ID
    device_id: strawberry.ID | None

    @staticmethod
    def of(author: model.Author) -> Author:
        return Author(
            identity_id=strawberry.ID(shown(author.identity)),
            device_id=None if author.device is None else strawberry.ID(author.device),
        )


@strawberry.type(description="A key and its JSON value.")
class Record:
    key: str
    value: JSON | None = strawberry.field(
        description="The value. null with deleted: true is a tombstone; a live record may also hold JSON null."
    )
    deleted: bool = strawberry.field(description="The record was removed; this is its tombstone.")
    version: int = strawberry.field(description="The version of the dataset that last wrote this record.")
    updated_at: datetime = strawberry.field(description="When, by the server's clock.")
    updated_by: Author
    device_time: datetime | None = strawberry.field(
        description="When, by the device's own clock, if it sent that. Never used for order."
    )

    @staticmethod
    def of(record: model.Record) -> Record:
        return Record(
            key=record.key,
            value=None if record.value is None else json_of(record.value),
            deleted=record.deleted,
            version=record.version,
            updated_at=record.updated_at,
            updated_by=Author.of(record.updated_by),
            device_time=record.device_time,
        )


def json_of(text: JsonText) -> JSON:
    return JSON(text)


def checkpoint_of(epoch: Epoch, head: model.DatasetHead, position: model.Position | None = None) -> Checkpoint:
    """The checkpoint at ``position``; without one, at the dataset's end."""
    return Checkpoint(CoreCheckpoint(epoch, head.id, position or model.Position(head.version)))


@strawberry.type(description="How a listing goes on.")
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class RecordEdge:
    cursor: str
    node: Record


@strawberry.type(description="Live records in the order of their keys.")
class RecordConnection:
    edges: list[RecordEdge]
    nodes: list[Record]
    page_info: PageInfo


@strawberry.type(description="An identity's standing in a dataset.")
class Member:
    identity_id: strawberry.ID
    role: model.Role
    since: datetime = strawberry.field(description="When it became a member.")

    @staticmethod
    def of(member: sharing.Member) -> Member:
        return Member(identity_id=strawberry.ID(shown(member.identity)), role=member.role, since=member.since)


@strawberry.type
class MemberEdge:
    cursor: str
    node: Member


@strawberry.type(description="The owner, then the others in the order of their ids.")
class MemberConnection:
    edges: list[MemberEdge]
    nodes: list[Member]
    page_info: PageInfo


@strawberry.type(description="Lets whoever has its code become a member.")
class Invitation:
    id: strawberry.ID
    role: model.Role
    uses_left: int
    created_at: datetime
    expires_at: datetime

    @staticmethod
    def of(invitation: sharing.Invitation) -> Invitation:
        return Invitation(
            id=strawberry.ID(invitation.id),
            role=invitation.role,
            uses_left=invitation.uses_left,
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
        )


@strawberry.type(description="A named set of records: the unit of sync, order, sharing and quota.")
class Dataset:
    head: strawberry.Private[model.DatasetHead]

    id: strawberry.ID
    name: str
    owner_id: strawberry.ID
    role: model.Role = strawberry.field(description="The viewer's standing in this dataset.")
    version: int = strawberry.field(description="How many commits were made; each raises it by exactly one.")
    checkpoint: Checkpoint = strawberry.field(description="Where the dataset stands now.")
    conflict_policy: model.ConflictPolicy
    record_count: int = strawberry.field(description="Live records.")
    size_bytes: int = strawberry.field(description="UTF-8 keys and compact JSON values of live records.")
    created_at: datetime
    updated_at: datetime
    updated_by: Author | None

    @staticmethod
    def of(head: model.DatasetHead, role: model.Role, epoch: Epoch) -> Dataset:
        return Dataset(
            head=head,
            id=strawberry.ID(head.id),
            name=head.name,
            owner_id=strawberry.ID(shown(head.owner)),
            role=role,
            version=head.version,
            checkpoint=checkpoint_of(epoch, head),
            conflict_policy=head.conflict_policy,
            record_count=head.record_count,
            size_bytes=head.size_bytes,
            created_at=head.created_at,
            updated_at=head.updated_at,
            updated_by=None if head.updated_by is None else Author.of(head.updated_by),
        )

    @strawberry.field(description="One record, or its tombstone.")
    async def record(self, info: Info, key: str) -> Record | None:
        record = await info.context.services.datasets.record(info.context.viewer, self.head.id, record_key(key))
        return None if record is None else Record.of(record)

    @strawberry.field(description="Live records by key; with prefix, those whose keys begin with it.")
    async def records(
        self, info: Info, first: int | None = 100, after: str | None = UNSET, prefix: str | None = UNSET
    ) -> RecordConnection:
        part = await info.context.services.datasets.records(
            info.context.viewer,
            self.head.id,
            first=page_size(first, default=100),
            after=RecordKey(place_of(after)) if after else None,
            prefix=prefix or "",
        )
        nodes = [Record.of(record) for record in part.items]
        edges = [RecordEdge(cursor=cursor_of(node.key), node=node) for node in nodes]
        return RecordConnection(
            edges=edges,
            nodes=nodes,
            page_info=PageInfo(has_next_page=part.has_more, end_cursor=edges[-1].cursor if edges else None),
        )

    @strawberry.field(description="Who may see the dataset: the owner first.")
    async def members(self, info: Info, first: int | None = 100, after: str | None = UNSET) -> MemberConnection:
        viewer = info.context.viewer
        part = await info.context.services.sharing.members(
            viewer,
            self.head.id,
            first=page_size(first, default=100),
            after=identity_id(place_of(after), tenant_of(viewer.identity)) if after else None,
        )
        nodes = [Member.of(member) for member in part.items]
        edges = [MemberEdge(cursor=cursor_of(node.identity_id), node=node) for node in nodes]
        return MemberConnection(
            edges=edges,
            nodes=nodes,
            page_info=PageInfo(has_next_page=part.has_more, end_cursor=edges[-1].cursor if edges else None),
        )

    @strawberry.field(description="Those that are good now. Nobody but the owner sees any.")
    async def invitations(self, info: Info) -> list[Invitation]:
        invitations = await info.context.services.sharing.invitations(info.context.viewer, self.head.id)
        return [Invitation.of(invitation) for invitation in invitations]


@strawberry.type
class DatasetEdge:
    cursor: str
    node: Dataset


@strawberry.type(description="Datasets by name.")
class DatasetConnection:
    edges: list[DatasetEdge]
    nodes: list[Dataset]
    page_info: PageInfo


@strawberry.type(description="What the viewer's own datasets take up.")
class Usage:
    datasets: int
    size_bytes: int


@strawberry.type(description="How much an identity may keep, and send at once.")
class Limits:
    datasets: int = strawberry.field(description="Datasets of one identity.")
    dataset_bytes: int = strawberry.field(description="UTF-8 keys and compact JSON values of a dataset's live records.")
    records: int = strawberry.field(description="Live records of one dataset.")
    key_bytes: int = strawberry.field(description="UTF-8 bytes of one key.")
    changes_per_sync: int
    members: int = strawberry.field(description="Members of one dataset, its owner included.")
    invitations: int = strawberry.field(description="Invitations to one dataset at a time.")


@strawberry.type(description="Who is asking: identity and device of this request.")
class Viewer:
    identity_id: strawberry.ID
    device_id: strawberry.ID | None
    guest: bool = strawberry.field(description="The identity was never signed in.")
    limits: Limits

    @strawberry.field
    async def usage(self, info: Info) -> Usage:
        usage = await info.context.services.datasets.usage(info.context.viewer)
        return Usage(datasets=usage.datasets, size_bytes=usage.size_bytes)


@strawberry.type(description="What became of one change, and the record as it is now.")
class ChangeResult:
    key: str
    status: conflicts.ChangeStatus
    code: str | None = strawberry.field(description="Why the change was rejected, as an error's extensions.code.")
    details: JSON | None = strawberry.field(
        description="The facts of a rejection, as an error's extensions: limit, maximum and actual, say."
    )
    record: Record | None


@strawberry.type(description="A change that is based on an older state than the server has.")
class Conflict:
    key: str
    current: Record | None = strawberry.field(description="The record as it is now; null: there never was one.")
    proposed: JSON | None = strawberry.field(description="The value that was put, or the patch that was to be merged.")
    proposed_deleted: bool = strawberry.field(description="The change was to remove the record.")


@strawberry.type(description="Done. records: what the device lacked, its own changes included.")
class SyncApplied:
    dataset: Dataset
    checkpoint: Checkpoint = strawberry.field(
        description="Covers exactly `records`. If hasMore, go on with `changes` from here."
    )
    results: list[ChangeResult] = strawberry.field(description="One for each change, in their order.")
    records: list[Record]
    has_more: bool


@strawberry.type(description="Nothing was applied: some changes conflict.")
class SyncConflicted:
    dataset: Dataset
    checkpoint: Checkpoint
    conflicts: list[Conflict]
    records: list[Record]
    has_more: bool


@strawberry.type(description="The device's checkpoint does not lead to the server's log: pull the dataset anew.")
class ResyncRequired:
    dataset_id: strawberry.ID = strawberry.field(
        description="The dataset to pull anew; if there is none any more, the one that the device knew."
    )
    reason: ResyncReason


@strawberry.type(description="Records in the order of the log. A page is full unless it is the last one.")
class ChangePage:
    records: list[Record]
    checkpoint: Checkpoint = strawberry.field(description="Covers exactly what was scanned for this page.")
    has_more: bool


@strawberry.type(description="A login leads to this identity now.")
class LoginLinked:
    identity_id: strawberry.ID
    new: bool = strawberry.field(description="False: it did so already.")


SyncResult: TypeAlias = Annotated[
    SyncApplied | SyncConflicted | ResyncRequired,
    strawberry.union("SyncResult", description="The outcome of a sync. A conflict is an outcome, not an error."),
]
PullResult: TypeAlias = Annotated[
    ChangePage | ResyncRequired, strawberry.union("PullResult", description="The outcome of a pull.")
]

"""Creating, changing and deleting datasets, each inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from syncline.core.ids import DatasetId, DatasetName, Version
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, Role, Standing, Viewer
from syncline.core.sharing import check_owned
from syncline.errors import DatasetExists, DatasetNotFound
from syncline.storage.postgres_erased import check_not_erased
from syncline.storage.postgres_linking import check_not_linked
from syncline.storage.postgres_migrations import Connection
from syncline.storage.rows import head_bindings, head_of, micros

Sql = Mapping[str, str]


async def create_dataset(
    connection: Connection,
    sql: Sql,
    viewer: Viewer,
    name: DatasetName,
    policy: ConflictPolicy,
    *,
    new_id: DatasetId,
    limits: Limits,
    now: datetime,
) -> DatasetHead:
    """What ``Store.create_dataset`` promises."""
    await check_not_linked(connection, sql, viewer.identity)
    await check_not_erased(connection, sql, viewer.identity)
    await connection.execute(sql["lock_owner"], viewer.identity)
    existing = await standing(connection, sql, viewer, DatasetRef(name=name))
    if existing is not None:
        raise DatasetExists(name=name, dataset_id=existing.head.id)
    usage = await connection.fetchrow(sql["usage"], viewer.identity)
    limits.check_datasets((0 if usage is None else usage["datasets"]) + 1)
    head = DatasetHead(
        id=new_id,
        owner=viewer.identity,
        name=name,
        version=Version(0),
        record_count=0,
        size_bytes=0,
        conflict_policy=policy,
        created_at=now,
        updated_at=now,
        updated_by=viewer.author,
        pruned_through=Version(0),
    )
    await connection.execute(sql["insert_head"], *head_bindings(head).values())
    return head


async def update_dataset(
    connection: Connection, sql: Sql, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime
) -> DatasetHead:
    """What ``Store.update_dataset`` promises."""
    head = await _locked(connection, sql, viewer, ref)
    author = viewer.author
    await connection.execute(
        sql["update_policy"],
        bytes.fromhex(head.id),
        head.owner,
        policy.value,
        micros(now),
        author.identity,
        author.device,
    )
    return replace(head, conflict_policy=policy, updated_at=now, updated_by=author)


async def delete_dataset(
    connection: Connection, sql: Sql, viewer: Viewer, ref: DatasetRef, *, now: datetime
) -> DatasetHead:
    """What ``Store.delete_dataset`` promises."""
    head = await _locked(connection, sql, viewer, ref)
    author, id_ = viewer.author, bytes.fromhex(head.id)
    await connection.execute(sql["delete_head"], id_, head.owner, micros(now), author.identity, author.device)
    await connection.execute(sql["delete_records"], id_, head.owner)
    await connection.execute(sql["drop_invitations"], id_, head.owner)
    return replace(head, record_count=0, size_bytes=0, updated_at=now, updated_by=author, deleted_at=now)


async def _locked(connection: Connection, sql: Sql, viewer: Viewer, ref: DatasetRef) -> DatasetHead:
    """The viewer's own live dataset, which nobody else changes until the transaction ends."""
    await check_not_linked(connection, sql, viewer.identity)
    found = await lock(connection, sql, viewer, ref)
    if found is None:
        raise DatasetNotFound(str(ref))
    check_owned(found.head, found.role)
    return found.head


async def lock(connection: Connection, sql: Sql, viewer: Viewer, ref: DatasetRef) -> Standing | None:
    """The same as ``standing``; nobody else changes the dataset until the transaction ends."""
    found = await standing(connection, sql, viewer, ref)
    row = None if found is None else await connection.fetchrow(sql["lock_head"], bytes.fromhex(found.head.id))
    if found is None or row is None:
        return None
    head = head_of(row)
    if head.owner == found.head.owner:
        return Standing(head=head, role=found.role)
    # It changed hands before it was locked. A name is its owner's: it stands for this one no more.
    return None if ref.id is None else await standing(connection, sql, viewer, ref)


async def standing(connection: Connection, sql: Sql, viewer: Viewer, ref: DatasetRef) -> Standing | None:
    """The dataset as the viewer sees it, a deleted one by id too; not locked."""
    id_ = None if ref.id is None else bytes.fromhex(ref.id)
    row = await connection.fetchrow(sql["standing"], viewer.identity, id_, ref.name)
    return None if row is None else Standing(head=head_of(row[:-1]), role=Role(row["role"]))

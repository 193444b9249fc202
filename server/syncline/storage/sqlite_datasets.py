"""Creating, changing and deleting datasets, each inside a write transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from syncline.core.ids import DatasetId, DatasetName, Version
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetHead, DatasetRef, Viewer
from syncline.core.sharing import check_owned
from syncline.errors import DatasetExists, DatasetNotFound
from syncline.storage.sqlite_lookups import StoredHead
from syncline.storage.sqlite_writes import Writes


def create_dataset(
    writes: Writes,
    viewer: Viewer,
    name: DatasetName,
    policy: ConflictPolicy,
    *,
    new_id: DatasetId,
    limits: Limits,
    now: datetime,
) -> DatasetHead:
    """What ``Store.create_dataset`` promises."""
    writes.check_not_erased(viewer.identity)
    existing = writes.standing(viewer, DatasetRef(name=name))
    if existing is not None:
        raise DatasetExists(name=name, dataset_id=existing.head.id)
    limits.check_datasets(writes.usage(viewer.identity).datasets + 1)
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
    return writes.insert_head(head).head


def update_dataset(
    writes: Writes, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime
) -> DatasetHead:
    """What ``Store.update_dataset`` promises."""
    stored = _owned(writes, viewer, ref)
    head = replace(stored.head, conflict_policy=policy, updated_at=now, updated_by=viewer.author)
    writes.update_head(StoredHead(stored.number, head))
    return head


def delete_dataset(writes: Writes, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
    """What ``Store.delete_dataset`` promises."""
    stored = _owned(writes, viewer, ref)
    head = replace(stored.head, record_count=0, size_bytes=0, updated_at=now, updated_by=viewer.author, deleted_at=now)
    writes.delete_dataset(StoredHead(stored.number, head))
    return head


def _owned(writes: Writes, viewer: Viewer, ref: DatasetRef) -> StoredHead:
    stored = writes.standing(viewer, ref)
    if stored is None:
        raise DatasetNotFound(str(ref))
    check_owned(stored.head, stored.role)
    return stored

"""One look at a dataset's log."""

from __future__ import annotations

from syncline.core.checkpoint import Since, position_of, resync_reason
from syncline.core.ids import DatasetId, Epoch, Tenant
from syncline.core.model import BEGINNING, DatasetRef, Position, Role, Viewer
from syncline.core.pages import LogRead, Page, PageRequest
from syncline.storage.sqlite_lookups import Lookups, StoredHead


def read_log(
    lookups: Lookups, epoch: Epoch, viewer: Viewer, ref: DatasetRef, since: Since | None, request: PageRequest
) -> LogRead:
    """What ``Store.read_log`` promises, inside a transaction."""
    stored = lookups.standing(viewer, ref)
    return _read(lookups, epoch, stored, None if stored is None else stored.role, since, request)


def node_log(
    lookups: Lookups, epoch: Epoch, tenant: Tenant, dataset: DatasetId, since: Since | None, request: PageRequest
) -> LogRead:
    """What ``Store.node_log`` promises, inside a transaction."""
    return _read(lookups, epoch, lookups.any_head(tenant, dataset), None, since, request)


def _read(
    lookups: Lookups,
    epoch: Epoch,
    stored: StoredHead | None,
    role: Role | None,
    since: Since | None,
    request: PageRequest,
) -> LogRead:
    head = None if stored is None else stored.head
    reason = resync_reason(since, head, epoch)
    start = BEGINNING if reason is not None else position_of(since)
    page: Page | None = None
    if stored is not None and stored.head.deleted_at is None:
        if since is None:
            start = Position(stored.head.version)
            page = Page(records=(), position=start, has_more=False)
        else:
            page = lookups.page(stored, request, start=start)
    return LogRead(epoch=epoch, head=head, role=role, reason=reason, start=start, page=page)

"""One look at a dataset's log."""

from __future__ import annotations

from syncline.core.checkpoint import Since, position_of, resync_reason
from syncline.core.ids import Epoch
from syncline.core.model import BEGINNING, DatasetRef, Position, Viewer
from syncline.core.pages import LogRead, Page, PageRequest
from syncline.storage.sqlite_lookups import Lookups


def read_log(
    lookups: Lookups, epoch: Epoch, viewer: Viewer, ref: DatasetRef, since: Since | None, request: PageRequest
) -> LogRead:
    """What ``Store.read_log`` promises, inside a transaction."""
    stored = lookups.head(viewer, ref)
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
    return LogRead(epoch=epoch, head=head, reason=reason, start=start, page=page)

"""Opens feeds."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.core.checkpoint import Since
from syncline.core.ids import DatasetId
from syncline.core.model import DatasetRef, Viewer
from syncline.core.pages import RecordFilter
from syncline.ports import Store
from syncline.service.channels import Channels
from syncline.service.dataset_feed import DatasetFeed
from syncline.service.identity_feed import IdentityFeed
from syncline.service.memberships import Memberships


class Subscriptions:
    """Opens feeds for viewers that may see what they ask for."""

    def __init__(self, store: Store, memberships: Memberships, channels: Channels) -> None:
        self._store = store
        self._memberships = memberships
        self._channels = channels

    async def dataset(
        self, viewer: Viewer, ref: DatasetRef, since: Since | None, *, skip_own: bool, prefix: str
    ) -> DatasetFeed:
        """The feed of one dataset. By name it may not exist yet; raises DatasetNotFound for an id that never did."""
        feed = DatasetFeed(
            viewer,
            self._store,
            self._memberships,
            self._channels,
            ref=ref,
            since=since,
            record_filter=_filter(viewer, skip_own=skip_own, prefix=prefix),
        )
        if ref.id is not None:
            await feed.find()
        return feed

    async def identity(
        self, viewer: Viewer, since: Mapping[DatasetId, Since] | None, *, skip_own: bool
    ) -> IdentityFeed:
        """The feed of everything that the viewer's identity can see."""
        return IdentityFeed(
            viewer,
            self._store,
            self._memberships,
            self._channels,
            since=since,
            record_filter=_filter(viewer, skip_own=skip_own, prefix=""),
        )


def _filter(viewer: Viewer, *, skip_own: bool, prefix: str) -> RecordFilter:
    # A viewer without a device id has no writes to recognise as its own.
    own = viewer.author if skip_own and viewer.device is not None else None
    return RecordFilter(prefix=prefix, skip_author=own)

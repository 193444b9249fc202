"""The device client: a local cache that is read and edited offline, and kept in sync with a Syncline server."""

from syncline.client.dataset import Dataset
from syncline.client.device import Device
from syncline.client.errors import (
    CacheBelongsToAnother,
    CacheTooNew,
    CacheUnusable,
    ConnectionRefused,
    GuestLinked,
    NotSyncline,
    ServerRefused,
    ServerUnreachable,
    TokenRejected,
)
from syncline.client.linking import LinkConflict, LinkedDataset, LinkedGuest, LinkedMembership
from syncline.client.models import (
    KEEP_MINE,
    KEEP_THEIRS,
    Author,
    Conflict,
    DatasetGone,
    Disconnected,
    Keep,
    Operation,
    Parked,
    PendingEdit,
    Present,
    Ready,
    RecordChange,
    Resolution,
    Resync,
    State,
    SyncReport,
    Value,
)
from syncline.client.presence import Presence
from syncline.client.sharing import DatasetInfo, Invitation, Member
from syncline.core.checkpoint import ResyncReason
from syncline.core.linking import LinkFate, LinkRule
from syncline.core.model import ConflictPolicy, DatasetScope, Role

__all__ = [
    "KEEP_MINE",
    "KEEP_THEIRS",
    "Author",
    "CacheBelongsToAnother",
    "CacheTooNew",
    "CacheUnusable",
    "Conflict",
    "ConflictPolicy",
    "ConnectionRefused",
    "Dataset",
    "DatasetGone",
    "DatasetInfo",
    "DatasetScope",
    "Device",
    "Disconnected",
    "GuestLinked",
    "Invitation",
    "Keep",
    "LinkConflict",
    "LinkFate",
    "LinkRule",
    "LinkedDataset",
    "LinkedGuest",
    "LinkedMembership",
    "Member",
    "NotSyncline",
    "Operation",
    "Parked",
    "PendingEdit",
    "Presence",
    "Present",
    "Ready",
    "RecordChange",
    "Resolution",
    "Resync",
    "ResyncReason",
    "Role",
    "ServerRefused",
    "ServerUnreachable",
    "State",
    "SyncReport",
    "TokenRejected",
    "Value",
]

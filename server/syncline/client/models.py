"""The values an app gives to the client and gets from it. JSON values are plain Python: dict, list, str, int, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Any

from syncline.core.checkpoint import ResyncReason

# --- records and live events ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """What a record says, or that there is none (``deleted``; ``value`` is then None)."""

    value: Any = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote: an identity by one of its devices."""

    identity: str
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A device that is on a dataset right now, since when, and what it says of itself."""

    identity: str
    device: str | None
    state: Any
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChange:
    """A record as the server now has it, just applied to the cache. Pending edits of this device are not in it.

    ``version`` 0 and ``author`` None: the record went with its dataset, or was missing after a resync.
    """

    key: str
    value: Any
    deleted: bool
    version: int
    author: Author | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The subscription is live. ``resumed``: it goes on from where this device stood."""

    checkpoint: str | None
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """The connection is lost and will be made again; ``reason`` says why it was lost."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetGone:
    """The dataset was deleted. If one of its name is created again, its records follow."""

    name: str


LiveEvent = Ready | RecordChange | DatasetGone | Disconnected


class Connectivity(StrEnum):
    """How a dataset stands to the server. ``STOPPED``: connecting again does not help."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    CATCHING_UP = "catching up"
    LIVE = "live"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """``reason`` says why it is offline or stopped, if that is known."""

    state: Connectivity
    reason: str | None = None


# --- edits ------------------------------------------------------------------------------------------------------------


class Operation(StrEnum):
    """What an edit does, spelled as in ``ChangeInput``."""

    PUT = "put"
    REMOVE = "remove"
    MERGE = "merge"
    INCREMENT = "increment"
    MAX = "max"
    MIN = "min"
    ADD_TO_SET = "addToSet"
    REMOVE_FROM_SET = "removeFromSet"


class EditState(StrEnum):
    """PENDING: to be sent. CONFLICT: held until someone decides. PARKED: cannot be applied; taken out of reads."""

    PENDING = "PENDING"
    CONFLICT = "CONFLICT"
    PARKED = "PARKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEdit:
    """An edit of this device that the server has not acknowledged. ``argument`` is the value, patch, bound, members."""

    id: int
    key: str
    operation: Operation
    argument: Any
    state: EditState
    """PENDING, or CONFLICT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """An edit that cannot be applied as it is: no longer sent, no longer seen in reads, but not lost.

    ``code`` and ``details`` are the server's, or DATASET_DELETED.
    """

    id: int
    key: str
    operation: Operation
    argument: Any
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)


# --- decisions --------------------------------------------------------------------------------------------------------


class Keep(Enum):
    """Whose state stays."""

    MINE = auto()
    THEIRS = auto()


KEEP_MINE = Keep.MINE
KEEP_THEIRS = Keep.THEIRS


@dataclass(frozen=True, slots=True)
class Value:
    """The record gets this value instead of mine and theirs."""

    value: Any


Resolution = Keep | Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """An edit whose record was changed by someone else meanwhile.

    ``base`` is what this device saw when it made the edit, ``theirs`` what the server has, ``mine`` what the edit
    makes of it.
    """

    dataset: str
    edit_id: int
    key: str
    mine: State
    theirs: State
    base: State
    author: Author | None
    """Who wrote ``theirs``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """The dataset had to be pulled anew; ``edits`` were made before and are still to be sent."""

    dataset: str
    reason: ResyncReason
    edits: tuple[PendingEdit, ...]


# --- report -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What one synchronize did."""

    dataset: str
    pulled: int = 0
    """Records that were new to this device, its own included."""
    pushed: int = 0
    """Edits that the server acknowledged, ``merged`` and ``unchanged`` ones included."""
    merged: int = 0
    unchanged: int = 0
    resolved: int = 0
    """Conflicts that a handler decided."""
    conflicts: tuple[Conflict, ...] = ()
    """Conflicts that remain: their edits stay pending, and on top in reads."""
    parked: tuple[Parked, ...] = ()
    """Edits that were parked in this synchronize."""
    resyncs: tuple[ResyncReason, ...] = ()
    deleted: bool = False
    """The dataset this device knew was deleted."""

    @property
    def clean(self) -> bool:
        """Nothing is left to decide."""
        return not self.conflicts and not self.parked

"""Datasets, records and commits as values. What the words mean: ``docs/data-model.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from syncline.core.ids import DatasetId, DatasetName, DeviceId, Epoch, IdentityId, RecordKey, Version
from syncline.core.json_values import JsonText


class ConflictPolicy(StrEnum):
    """What happens to a change that is based on an older state of its record."""

    REJECT = "REJECT"
    LAST_WRITER_WINS = "LAST_WRITER_WINS"
    MERGE = "MERGE"


class Role(StrEnum):
    """An identity's standing in a dataset: an owner may all that an editor may, and an editor all that a viewer may."""

    OWNER = "OWNER"
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"

    @property
    def writes(self) -> bool:
        """Whether it may change records."""
        return self is not Role.VIEWER


class DatasetScope(StrEnum):
    """Which of the datasets that an identity sees: its own, those shared with it, or all."""

    ALL = "ALL"
    OWNED = "OWNED"
    SHARED = "SHARED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who wrote: an identity by one of its devices."""

    identity: IdentityId
    device: DeviceId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Identity and device of a request, from a verified credential only."""

    identity: IdentityId
    device: DeviceId | None

    @property
    def author(self) -> Author:
        return Author(identity=self.identity, device=self.device)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a dataset's log: all of ``version`` and the first ``offset`` records of the commit after it.

    The offset lets a page end inside a large commit and still say exactly what it covered.
    """

    version: Version
    offset: int = 0
    begun: Version = field(default=Version(0), compare=False)
    """Of a device that began with nothing and has not read all yet: the dataset's version when it began.

    What was removed up to then it never held, so it needs no tombstones from before.
    """

    def covers(self, record: Record) -> bool:
        """Whether who stands here has seen the record as it is now."""
        return record.version <= self.version or (record.version == self.version + 1 and record.ordinal < self.offset)


BEGINNING = Position(Version(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldVersions:
    """Which commit last wrote each field of a JSON object, so that merges of different fields do not conflict.

    Only fields written by a ``merge`` have an entry of their own; ``rest`` speaks for all others, absent ones included.
    """

    rest: Version
    fields: Mapping[str, Version] = field(default_factory=dict)

    def of(self, name: str) -> Version:
        return self.fields.get(name, self.rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A key's state, written by the commit ``version`` as its ``ordinal``-th record. ``value`` None: a tombstone."""

    key: RecordKey
    value: JsonText | None
    version: Version
    ordinal: int
    updated_at: datetime
    updated_by: Author
    device_time: datetime | None = None
    field_versions: FieldVersions | None = None
    """None: no field was ever merged, so every field is as old as the record."""
    unseen: Version | None = None
    """The last version by somebody else that the author had not seen when it wrote on top of it, by an increment, say.

    None: the author knew all that the record is made of.
    """

    @property
    def deleted(self) -> bool:
        return self.value is None

    @property
    def size_bytes(self) -> int:
        """What the record counts against its dataset's limit: UTF-8 key and compact value; a tombstone nothing."""
        return 0 if self.value is None else len(self.key.encode()) + len(self.value.encode())

    def version_of_field(self, name: str) -> Version:
        return self.version if self.field_versions is None else self.field_versions.of(name)

    def version_of_merge(self, name: str) -> Version:
        """The last commit that merged this very field into the value as it is; 0: none did."""
        return Version(0) if self.field_versions is None else self.field_versions.fields.get(name, Version(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetHead:
    """All of a dataset but its records."""

    id: DatasetId
    owner: IdentityId
    name: DatasetName
    version: Version
    record_count: int
    size_bytes: int
    conflict_policy: ConflictPolicy
    created_at: datetime
    updated_at: datetime
    updated_by: Author | None
    pruned_through: Version
    """Tombstones up to this version may be gone: who knows less must resync."""
    scope: int = 0
    """Raised whenever somebody's standing changes: who was found to be a member at another scope may be none now."""
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A dataset as one identity sees it: with its role there."""

    head: DatasetHead
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """Names a dataset: by id, or by a name among the viewer's own. Exactly one is set."""

    id: DatasetId | None = None
    name: DatasetName | None = None

    def __str__(self) -> str:
        return self.id or self.name or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What leads a device from ``previous`` to ``position``: the last state of every record written in between.

    One commit of the log, or several joined; then ``author`` is None unless all had the same.
    """

    dataset: DatasetId
    epoch: Epoch
    previous: Position
    position: Position
    author: Author | None
    records: tuple[Record, ...]
    scope: int = 0
    """The dataset's, when this was committed or read: only who is a member at this scope may get it."""

    @property
    def version(self) -> Version:
        """The last version any part of which is contained."""
        return Version(self.position.version + (1 if self.position.offset else 0))

"""Changes: what a device proposes for one key, and the state it was looking at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from syncline.core.ids import RecordKey, Version
from syncline.core.json_values import JsonText

# --- bases: what the device saw when it made the change ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AtVersion:
    """The record as commit ``version`` wrote it; 0: no record."""

    version: Version


@dataclass(frozen=True, slots=True)
class AtValue:
    """A live record of this value."""

    value: JsonText


@dataclass(frozen=True, slots=True)
class Absent:
    """No live record."""


@dataclass(frozen=True, slots=True)
class AnyState:
    """Whatever is there: the device overwrites it knowingly."""


@dataclass(frozen=True, slots=True)
class AtCheckpoint:
    """What the device has seen by the checkpoint it sends as ``since``; without one: nothing."""


Base = AtVersion | AtValue | Absent | AnyState | AtCheckpoint
AT_CHECKPOINT = AtCheckpoint()

# --- changes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyed:
    key: RecordKey
    device_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Put(_Keyed):
    """The record has this value."""

    value: JsonText
    base: Base = AT_CHECKPOINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(_Keyed):
    """The record is gone."""

    base: Base = AT_CHECKPOINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(_Keyed):
    """A JSON merge patch (RFC 7396) of the record's value."""

    patch: JsonText
    base: Base = AT_CHECKPOINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment(_Keyed):
    """Adds ``by`` to a number; no record counts as 0."""

    by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Max(_Keyed):
    """Keeps the greater of the record's value and this one, both numbers or both texts; no record loses."""

    value: JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class Min(_Keyed):
    """Keeps the lesser of the record's value and this one, both numbers or both texts; no record loses."""

    value: JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class AddToSet(_Keyed):
    """Appends the members that the array does not hold yet; no record counts as an empty array."""

    members: tuple[JsonText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFromSet(_Keyed):
    """Takes the members out of the array; no record counts as an empty array and stays absent."""

    members: tuple[JsonText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(_Keyed):
    """A change that breaks a rule of its type, whatever the record is; ``field`` and ``reason`` as in InvalidInput."""

    field: str
    reason: str


BasedChange = Put | Remove | Merge
"""Changes that can conflict."""
CommutativeChange = Increment | Max | Min | AddToSet | RemoveFromSet
"""Changes whose outcome does not depend on what the device saw: never a conflict."""
Change = BasedChange | CommutativeChange | Malformed

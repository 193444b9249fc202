"""Input types of the schema, and the changes of the core that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import strawberry
from strawberry import UNSET

from syncline.api.scalars import JSON, Checkpoint, json_of_input
from syncline.core import changes as core
from syncline.core import model
from syncline.core.ids import RecordKey, Version, dataset_id, dataset_name
from syncline.core.json_values import JsonText
from syncline.errors import InvalidInput

_MAX_VERSION = 2**31 - 1


@strawberry.input(one_of=True, description="Names a dataset: by id, or by a name among the viewer's own.")
class DatasetRef:
    id: strawberry.ID | None = UNSET
    name: str | None = UNSET

    def value(self) -> model.DatasetRef:
        """Raises InvalidInput."""
        if isinstance(self.id, str):
            return model.DatasetRef(id=dataset_id(self.id))
        return model.DatasetRef(name=dataset_name(str(self.name)))


@strawberry.input(description="A live record of this value.")
class ValueInput:
    json: JSON | None = UNSET


@strawberry.input(
    one_of=True,
    description=(
        "What the device saw when it made the change. version: the record's (0: no record). value: lets MERGE work "
        "field by field, and clients that keep no versions check. absent: no live record. any: overwrite what is there."
    ),
)
class BaseInput:
    version: int | None = UNSET
    value: ValueInput | None = UNSET
    absent: bool | None = UNSET
    any: bool | None = UNSET

    def base(self) -> core.Base:
        """Raises InvalidInput."""
        if isinstance(self.version, int):
            if not 0 <= self.version <= _MAX_VERSION:
                raise InvalidInput("base.version", "must be 0 or more")
            return core.AtVersion(Version(self.version))
        if isinstance(self.value, ValueInput):
            return core.AtValue(json_of_input(self.value.json, "base.value.json"))
        if self.absent is True:
            return core.Absent()
        if self.any is True:
            return core.AnyState()
        raise InvalidInput("base", "absent and any can only be true")


class _Keyed(Protocol):
    key: str


def _base(base: BaseInput | None) -> core.Base:
    return base.base() if isinstance(base, BaseInput) else core.AT_CHECKPOINT


def _time(moment: datetime | None) -> datetime | None:
    return moment if isinstance(moment, datetime) else None


@strawberry.input(description="The record has this value.")
class PutInput:
    key: str
    value: JSON | None = UNSET
    base: BaseInput | None = UNSET
    device_time: datetime | None = UNSET

    def change(self) -> core.Change:
        return core.Put(
            key=RecordKey(self.key),
            value=json_of_input(self.value, "value"),
            base=_base(self.base),
            device_time=_time(self.device_time),
        )


@strawberry.input(description="The record is gone.")
class RemoveInput:
    key: str
    base: BaseInput | None = UNSET
    device_time: datetime | None = UNSET

    def change(self) -> core.Change:
        return core.Remove(key=RecordKey(self.key), base=_base(self.base), device_time=_time(self.device_time))


@strawberry.input(description="A JSON merge patch (RFC 7396). Merges of different top-level fields do not conflict.")
class MergeInput:
    key: str
    patch: JSON
    base: BaseInput | None = UNSET
    device_time: datetime | None = UNSET

    def change(self) -> core.Change:
        return core.Merge(
            key=RecordKey(self.key),
            patch=json_of_input(self.patch, "patch"),
            base=_base(self.base),
            device_time=_time(self.device_time),
        )


@strawberry.input(description="Adds to a number; no record counts as 0.")
class IncrementInput:
    key: str
    by: float
    device_time: datetime | None = UNSET

    def change(self) -> core.Change:
        return core.Increment(key=RecordKey(self.key), by=self.by, device_time=_time(self.device_time))


@strawberry.input(description="A bound: a number or a text. No record loses against it.")
class BoundInput:
    key: str
    value: JSON
    device_time: datetime | None = UNSET

    def max(self) -> core.Change:
        return core.Max(
            key=RecordKey(self.key), value=json_of_input(self.value, "value"), device_time=_time(self.device_time)
        )

    def min(self) -> core.Change:
        return core.Min(
            key=RecordKey(self.key), value=json_of_input(self.value, "value"), device_time=_time(self.device_time)
        )


@strawberry.input(description="Members of an array that is used as a set.")
class SetInput:
    key: str
    members: list[JSON]
    device_time: datetime | None = UNSET

    def _members(self) -> tuple[JsonText, ...]:
        return tuple(json_of_input(member, f"members[{index}]") for index, member in enumerate(self.members))

    def add(self) -> core.Change:
        return core.AddToSet(key=RecordKey(self.key), members=self._members(), device_time=_time(self.device_time))

    def remove(self) -> core.Change:
        return core.RemoveFromSet(key=RecordKey(self.key), members=self._members(), device_time=_time(self.device_time))


@strawberry.input(
    one_of=True,
    description=(
        "One change of one record. Without a base it is based on what the device saw at `since` (left out: on "
        "nothing). increment, max, min, addToSet and removeFromSet never conflict."
    ),
)
class ChangeInput:
    put: PutInput | None = UNSET
    remove: RemoveInput | None = UNSET
    merge: MergeInput | None = UNSET
    increment: IncrementInput | None = UNSET
    max: BoundInput | None = UNSET
    min: BoundInput | None = UNSET
    add_to_set: SetInput | None = UNSET
    remove_from_set: SetInput | None = UNSET

    def change(self, place: str) -> core.Change:
        """The change, which stands at ``place`` in the input; a malformed one says there what is wrong."""
        kind, proposed, made = self._kind()
        try:
            return made()
        except InvalidInput as error:
            return core.Malformed(
                key=RecordKey(proposed.key),
                field=f"{place}.{kind}.{error.facts['field']}",
                reason=str(error.facts["reason"]),
            )

    def _kind(self) -> tuple[str, _Keyed, Callable[[], core.Change]]:
        if self.put:
            return "put", self.put, self.put.change
        if self.remove:
            return "remove", self.remove, self.remove.change
        if self.merge:
            return "merge", self.merge, self.merge.change
        if self.increment:
            return "increment", self.increment, self.increment.change
        if self.max:
            return "max", self.max, self.max.max
        if self.min:
            return "min", self.min, self.min.min
        if self.add_to_set:
            return "addToSet", self.add_to_set, self.add_to_set.add
        if self.remove_from_set:
            return "removeFromSet", self.remove_from_set, self.remove_from_set.remove
        raise InvalidInput("changes", "a change is exactly one of its kinds")


@strawberry.input
class SyncInput:
    dataset: DatasetRef
    mutation_id: strawberry.ID = strawberry.field(
        description=(
            "Made by the device, new for each sync, kept for its retries: within 30 days the same id gives the first "
            "outcome again and has no second effect."
        )
    )
    since: Checkpoint | None = strawberry.field(
        default=UNSET, description='What the device has applied. "start": pull everything; left out: pull nothing.'
    )
    changes: list[ChangeInput] | None = strawberry.field(default_factory=list)
    on_conflict: model.ConflictPolicy | None = strawberry.field(
        default=UNSET, description="For this sync, instead of the dataset's policy."
    )
    atomic: bool | None = strawberry.field(
        default=True,
        description="All changes or none. false: each for itself, with its own outcome, and the others go through.",
    )


@strawberry.input
class CreateDatasetInput:
    name: str
    conflict_policy: model.ConflictPolicy | None = model.ConflictPolicy.REJECT


@strawberry.input
class UpdateDatasetInput:
    dataset: DatasetRef
    conflict_policy: model.ConflictPolicy


@strawberry.input(description="What a device has applied of one dataset.")
class DatasetCheckpoint:
    dataset_id: strawberry.ID
    checkpoint: Checkpoint

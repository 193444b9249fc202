"""Hints to publish, and a listener that keeps what it hears."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from syncline.core.feed import Hint
from syncline.core.ids import NO_TENANT, DatasetId, DeviceId, Epoch, IdentityId, RecordKey, Version
from syncline.core.json_values import JsonText
from syncline.core.model import Author, Commit, Position, Record
from syncline.ports import Topic
from syncline.topics import dataset_topic
from tests.support.valkey import eventually

EPOCH = Epoch("e" * 16)
PHONE = Author(identity=IdentityId("alice"), device=DeviceId("phone"))


def a_dataset(number: int = 0) -> DatasetId:
    return DatasetId(f"{number:032x}")


def a_topic(number: int = 0) -> Topic:
    return dataset_topic(NO_TENANT, a_dataset(number))


def a_record(version: int, value: str = '{"text":"milk"}') -> Record:
    return Record(
        key=RecordKey("note"),
        value=JsonText(value),
        version=Version(version),
        ordinal=0,
        updated_at=datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC),
        updated_by=PHONE,
    )


def a_hint(version: int = 1, *, number: int = 0, value: str = '{"text":"milk"}') -> Hint:
    """Of a commit of one record, with that commit in it."""
    commit = Commit(
        dataset=a_dataset(number),
        epoch=EPOCH,
        previous=Position(Version(version - 1)),
        position=Position(Version(version)),
        author=PHONE,
        records=(a_record(version, value),),
    )
    return Hint(
        dataset=commit.dataset,
        epoch=EPOCH,
        version=Version(version),
        previous=Version(version - 1),
        commit=commit,
    )


class Ear:
    """A listener."""

    def __init__(self) -> None:
        self.heard: list[Hint] = []

    def __call__(self, hint: Hint) -> None:
        self.heard.append(hint)

    @property
    def versions(self) -> Sequence[int]:
        return [hint.version for hint in self.heard]

    async def hears(self, count: int, seconds: float = 5) -> None:
        """Wait until that many have been heard."""
        await eventually(lambda: len(self.heard) >= count, seconds)

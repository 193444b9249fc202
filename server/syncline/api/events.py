"""Types of subscription events.

Their fields are plain values: nothing is looked up and nothing depends on the viewer, so that an event is executed and
encoded once for all who asked alike (``tests/unit/api/test_events.py`` holds this).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, assert_never

import strawberry

from syncline.api.presence import PresenceChanges, PresenceList
from syncline.api.scalars import Checkpoint
from syncline.api.types import Author, Record, ResyncRequired
from syncline.core import events, model, presence
from syncline.core.checkpoint import Checkpoint as CoreCheckpoint
from syncline.core.commit import Resync


@strawberry.type(description="The subscription is live: every later commit will be delivered.")
class Ready:
    checkpoint: Checkpoint = strawberry.field(
        description='Where this subscription goes on from; "start" if there is no dataset yet, or if there are many.'
    )
    resumed: bool = strawberry.field(description="It goes on from where the device asked.")


@strawberry.type(
    description=(
        "What leads from `previous`, which the device must have applied already, to `checkpoint`. "
        "Several commits may arrive as one; records may be empty: then only the checkpoint moves on."
    )
)
class Commit:
    dataset_id: strawberry.ID
    previous: Checkpoint
    checkpoint: Checkpoint
    version: int
    author: Author | None = strawberry.field(description="Who wrote all of the records; null: several did.")
    records: list[Record]

    @staticmethod
    def of(commit: model.Commit) -> Commit:
        return Commit(
            dataset_id=strawberry.ID(commit.dataset),
            previous=Checkpoint(CoreCheckpoint(commit.epoch, commit.dataset, commit.previous)),
            checkpoint=Checkpoint(CoreCheckpoint(commit.epoch, commit.dataset, commit.position)),
            version=commit.version,
            author=None if commit.author is None else Author.of(commit.author),
            records=[Record.of(record) for record in commit.records],
        )


@strawberry.type(description="A dataset that the device did not know. Its records follow.")
class DatasetCreated:
    dataset_id: strawberry.ID
    name: str


@strawberry.type(description="A dataset that the device knew is gone, even if there is a new one of its name.")
class DatasetDeleted:
    dataset_id: strawberry.ID
    name: str


@strawberry.type(description="A dataset was shared with the viewer. Its records follow.")
class AccessGranted:
    dataset_id: strawberry.ID
    name: str
    role: model.Role


@strawberry.type(description="The viewer's role in a dataset is another one now.")
class RoleChanged:
    dataset_id: strawberry.ID
    name: str
    role: model.Role


@strawberry.type(description="The viewer may no longer see this dataset. It is still there for others.")
class AccessEnded:
    dataset_id: strawberry.ID


DatasetEvent: TypeAlias = Annotated[
    Ready | Commit | ResyncRequired | DatasetDeleted | AccessEnded,
    strawberry.union("DatasetEvent", description="What a subscription to one dataset tells. The first one is Ready."),
]
IdentityEvent: TypeAlias = Annotated[
    Ready | Commit | ResyncRequired | DatasetCreated | DatasetDeleted | AccessGranted | RoleChanged | AccessEnded,
    strawberry.union("IdentityEvent", description="What a subscription to everything tells. The first event is Ready."),
]
PresenceEvent: TypeAlias = Annotated[
    PresenceList | PresenceChanges | DatasetDeleted | AccessEnded,
    strawberry.union(
        "PresenceEvent", description="What a subscription to presence tells. The first event is PresenceList."
    ),
]
Event = (
    Ready
    | Commit
    | ResyncRequired
    | DatasetCreated
    | DatasetDeleted
    | AccessGranted
    | RoleChanged
    | AccessEnded
    | PresenceList
    | PresenceChanges
)
CoreEvent = events.FeedEvent | presence.PresenceEvent


def event_of(event: CoreEvent) -> Event:
    """The event as the schema has it."""
    match event:
        case model.Commit():
            return Commit.of(event)
        case events.Ready():
            return Ready(checkpoint=Checkpoint(event.checkpoint), resumed=event.resumed)
        case Resync():
            return resync_of(event)
        case events.DatasetCreated():
            return DatasetCreated(dataset_id=strawberry.ID(event.head.id), name=event.head.name)
        case events.DatasetDeleted():
            return DatasetDeleted(dataset_id=strawberry.ID(event.dataset), name=event.name)
        case events.AccessGranted():
            return AccessGranted(dataset_id=strawberry.ID(event.head.id), name=event.head.name, role=event.role)
        case events.RoleChanged():
            return RoleChanged(dataset_id=strawberry.ID(event.head.id), name=event.head.name, role=event.role)
        case events.AccessEnded():
            return AccessEnded(dataset_id=strawberry.ID(event.dataset))
        case presence.PresenceList():
            return PresenceList.of(event)
        case presence.PresenceChanges():
            return PresenceChanges.of(event)
        case _:
            assert_never(event)


def resync_of(resync: Resync) -> ResyncRequired:
    return ResyncRequired(dataset_id=strawberry.ID(resync.dataset), reason=resync.reason)

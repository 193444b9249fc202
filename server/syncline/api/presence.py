"""Types of presence: who is on a dataset right now. As with all events, their fields are plain values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import strawberry

from syncline.api.scalars import JSON
from syncline.api.types import json_of
from syncline.core import presence
from syncline.core.ids import shown


@strawberry.type(description="A device that is on a dataset right now, by one connection or by several.")
class Present:
    identity_id: strawberry.ID
    device_id: strawberry.ID | None = strawberry.field(
        description="null: the identity's connections without a device id, which count as one device."
    )
    state: JSON | None = strawberry.field(description="What the device last said of itself: a cursor, say.")
    since: datetime = strawberry.field(description="When its first connection of now began, by the server's clock.")

    @staticmethod
    def of(present: presence.Present) -> Present:
        return Present(
            identity_id=strawberry.ID(shown(present.identity)),
            device_id=None if present.device is None else strawberry.ID(present.device),
            state=json_of(present.state),
            since=present.since,
        )


@strawberry.type(
    description=(
        "All who are present, as far as this server knows. It takes the place of what was told before. Whom other "
        "servers have is asked, and follows within moments."
    )
)
class PresenceList:
    present: list[Present] = strawberry.field(
        description="Empty as long as there is no dataset of the name. When there is, another list comes."
    )

    @staticmethod
    def of(event: presence.PresenceList) -> PresenceList:
        return PresenceList(present=_all(event.present))


@strawberry.type(
    description=(
        "What changed since the event before, at most 20 times a second. Of a state that changes more often, the "
        "latest is told."
    )
)
class PresenceChanges:
    joined: list[Present]
    updated: list[Present] = strawberry.field(description="With their state as it is now.")
    left: list[Present] = strawberry.field(description="As they were last.")

    @staticmethod
    def of(event: presence.PresenceChanges) -> PresenceChanges:
        return PresenceChanges(
            joined=_all(event.joined),
            updated=_all(event.updated),
            left=_all(event.left),
        )


def _all(present: Iterable[presence.Present]) -> list[Present]:
    return [Present.of(each) for each in present]

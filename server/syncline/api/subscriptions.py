"""Subscription fields. Each answers with the source of its events; the engine decides how they are delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import strawberry
from strawberry import UNSET

from syncline.api.context import Info
from syncline.api.events import DatasetEvent, Event, IdentityEvent, PresenceEvent, event_of
from syncline.api.inputs import DatasetCheckpoint, DatasetRef
from syncline.api.scalars import JSON, Checkpoint, json_of_input, since_of
from syncline.core.checkpoint import START, Since
from syncline.core.ids import DatasetId, dataset_id
from syncline.service.sinks import Source


class EventSource:
    """A feed as GraphQL wants to see it: an asynchronous iterable of events."""

    def __init__(self, feed: Source) -> None:
        self.feed = feed

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self.feed:
            yield event_of(event)


@strawberry.type
class Subscription:
    @strawberry.subscription(
        description=(
            "One dataset, from a checkpoint on (none: from now on): first what was missed, then live. By name it need "
            "not exist yet. skipOwn leaves out what this very device wrote; prefix, all keys that do not begin with it."
        )
    )
    async def dataset_changes(
        self,
        info: Info,
        dataset: DatasetRef,
        since: Checkpoint | None = UNSET,
        skip_own: bool | None = False,
        prefix: str | None = UNSET,
    ) -> AsyncIterator[DatasetEvent]:
        feed = await info.context.services.subscriptions.dataset(
            info.context.viewer,
            dataset.value(),
            since_of(since),
            skip_own=bool(skip_own),
            prefix=prefix or "",
        )
        return EventSource(feed)  # type: ignore[return-value] # its events are those of the union

    @strawberry.subscription(
        description=(
            "Everything the viewer's identity can see, its new and deleted datasets included. With since, what was "
            "missed of each dataset named there, and all of those that are not; without, from now on."
        )
    )
    async def identity_changes(
        self, info: Info, since: list[DatasetCheckpoint] | None = UNSET, skip_own: bool | None = False
    ) -> AsyncIterator[IdentityEvent]:
        known = _known(since) if isinstance(since, list) else None
        feed = await info.context.services.subscriptions.identity(info.context.viewer, known, skip_own=bool(skip_own))
        return EventSource(feed)  # type: ignore[return-value] # its events are those of the union

    @strawberry.subscription(
        description=(
            "Who is on a dataset right now: everyone, then who comes, changes and leaves. With a state (at most 1 KiB; "
            "null is one, too) this device is present for as long as the subscription is open; without, it only "
            "watches. Told at most once, and never kept. By name the dataset need not exist yet."
        )
    )
    async def presence(
        self, info: Info, dataset: DatasetRef, state: JSON | None = UNSET
    ) -> AsyncIterator[PresenceEvent]:
        feed = await info.context.services.presence.open(
            info.context.viewer, dataset.value(), None if state is UNSET else json_of_input(state, "state")
        )
        return EventSource(feed)  # type: ignore[return-value] # its events are those of the union


def _known(since: list[DatasetCheckpoint]) -> dict[DatasetId, Since]:
    return {dataset_id(each.dataset_id): since_of(each.checkpoint) or START for each in since}

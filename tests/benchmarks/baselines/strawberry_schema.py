"""The part of Syncline's schema that the scenarios use, as Strawberry's documentation would have it written."""

# No `from __future__ import annotations`: Strawberry reads the annotations.

import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, NewType

import strawberry
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from tests.benchmarks.baselines.notes import Notes
from tests.benchmarks.baselines.redis_events import RedisEvents

Checkpoint = NewType("Checkpoint", str)


@strawberry.input
class DatasetRef:
    name: str


@strawberry.input
class BaseInput:
    any: bool


@strawberry.input
class PutInput:
    key: str
    value: JSON
    base: BaseInput | None = None


@strawberry.input
class ChangeInput:
    put: PutInput


@strawberry.input
class SyncInput:
    dataset: DatasetRef
    mutation_id: strawberry.ID
    changes: list[ChangeInput]


@strawberry.type
class ChangeResult:
    key: str
    status: str


@strawberry.type
class SyncApplied:
    checkpoint: str
    results: list[ChangeResult]


@strawberry.type
class Record:
    key: str
    value: JSON
    deleted: bool


@strawberry.type
class Ready:
    checkpoint: str


@strawberry.type
class Commit:
    previous: str
    checkpoint: str
    version: int
    records: list[Record]


DatasetEvent = Annotated[Ready | Commit, strawberry.union("DatasetEvent")]


@strawberry.type
class Query:
    @strawberry.field
    def ready(self) -> bool:
        """A schema must have a query."""
        return True


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def sync(self, info: strawberry.Info[dict[str, Any]], input: SyncInput) -> SyncApplied:  # noqa: A002 # the schema's name
        """Keep each change, and tell who is subscribed."""
        topic = _topic(info, input.dataset)
        version = 0
        for change in input.changes:
            version = await _notes(info).put(topic, change.put.key, json.dumps(change.put.value))
            event = {"version": version, "key": change.put.key, "value": change.put.value}
            await _events(info).publish(topic, json.dumps(event).encode())
        results = [ChangeResult(key=change.put.key, status="APPLIED") for change in input.changes]
        return SyncApplied(checkpoint=_checkpoint(version), results=results)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def dataset_changes(
        self, info: strawberry.Info[dict[str, Any]], dataset: DatasetRef, since: Checkpoint | None = None
    ) -> AsyncGenerator[DatasetEvent, None]:
        """Changes from now on. There is no log, so ``since`` leads to nothing."""
        async with _events(info).subscribed(_topic(info, dataset)) as queue:
            yield Ready(checkpoint=_checkpoint(0))
            while True:
                event = json.loads(await queue.get())
                version = event["version"]
                yield Commit(
                    previous=_checkpoint(version - 1),
                    checkpoint=_checkpoint(version),
                    version=version,
                    records=[Record(key=event["key"], value=event["value"], deleted=False)],
                )


def make_schema(*, cached: bool) -> strawberry.Schema:
    """``cached``: with the extensions that keep parsed and validated documents."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map={Checkpoint: strawberry.scalar(name="Checkpoint")}),
        extensions=[ParserCache, ValidationCache] if cached else [],
    )


def _topic(info: strawberry.Info[dict[str, Any]], dataset: DatasetRef) -> str:
    """The dataset of this identity: from the request's header, or from the socket's ``connection_init``."""
    context = info.context
    if "connection_params" in context:
        bearer = context["connection_params"]["authorization"]
    else:
        bearer = context["request"].headers["authorization"]
    identity = bearer.removeprefix("Bearer ").partition("/")[0]
    return f"{identity}:{dataset.name}"


def _notes(info: strawberry.Info[dict[str, Any]]) -> Notes:
    notes: Notes = info.context["notes"]
    return notes


def _events(info: strawberry.Info[dict[str, Any]]) -> RedisEvents:
    events: RedisEvents = info.context["events"]
    return events


def _checkpoint(version: int) -> str:
    """As long as one of Syncline's."""
    return f"{version:060}"

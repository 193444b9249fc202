"""Whoever shares an execution gets what it would have got alone: random selections, variables, viewers, groupings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, GraphQLUnionType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline.api.context import Context, Services
from syncline.api.documents import Documents
from syncline.api.engine import Engine, Subscription
from syncline.api.guard import DocumentLimits
from syncline.api.schema import graphql_schema
from syncline.core.checkpoint import START, ResyncReason
from syncline.core.commit import Resync
from syncline.core.events import DatasetDeleted, FeedEvent, Ready
from syncline.core.ids import DatasetName
from syncline.ports import Credential
from tests.support.core_builders import DATASET, checkpoint, js, record, viewer
from tests.support.core_builders import commit as a_commit
from tests.support.world import World, now

SCHEMA = graphql_schema()
LIMITS = DocumentLimits(tokens=100_000, aliases=10_000, directives=10_000, fields=10_000)
ARGUMENTS = "dataset: $ref, skipOwn: $skip, prefix: $prefix"
EVENTS: list[FeedEvent] = [
    Ready(checkpoint=START, resumed=False),
    Ready(checkpoint=checkpoint(3), resumed=True),
    a_commit(
        1,
        record("a", js({"x": [1, "é", None]}), version=2),
        record("b", None, version=2, ordinal=1, by="laptop"),
    ),
    a_commit(2),
    Resync(reason=ResyncReason.EPOCH_CHANGED, dataset=DATASET),
    DatasetDeleted(dataset=DATASET, name=DatasetName("notes")),
]


FIELD_ARGUMENTS = {("Dataset", "record"): '(key: "a")', ("Dataset", "records"): "(first: 2)"}


@st.composite
def selections(draw: st.DrawFn, type_: Any, depth: int = 0) -> str:
    """A selection set for a type of the schema, with aliases, directives and fragments."""
    if isinstance(type_, GraphQLUnionType):
        chosen = draw(st.lists(st.sampled_from(type_.types), min_size=1, max_size=4, unique=True))
        parts = [f"... on {each.name} {draw(selections(each, depth + 1))}" for each in chosen]
        return "{ __typename " + " ".join(parts) + " }"
    assert isinstance(type_, GraphQLObjectType)
    parts = []
    for number, name in enumerate(draw(st.lists(st.sampled_from(sorted(type_.fields)), min_size=1, max_size=5))):
        # A name of its own for each place: fields of different types must not meet under one name.
        alias = f"{type_.name}{depth}{name}{number}: " if draw(st.booleans()) else f"{type_.name}_{name}: "
        directive = draw(st.sampled_from(["", "", " @include(if: $yes)", " @skip(if: $no)"]))
        inner = get_named_type(type_.fields[name].type)
        nested = draw(selections(inner, depth + 1)) if isinstance(inner, GraphQLObjectType) else ""
        field = f"{alias}{name}{FIELD_ARGUMENTS.get((type_.name, name), '')}{directive} {nested}"
        parts.append(f"... on {type_.name} {{ {field} }}" if draw(st.booleans()) else field)
    return "{ __typename " + " ".join(parts) + " }"


def event_type() -> Any:
    assert SCHEMA.subscription_type is not None
    return get_named_type(SCHEMA.subscription_type.fields["datasetChanges"].type)


def document(selection: str) -> str:
    flags = "".join(f", ${name}: Boolean!" for name in ("yes", "no") if f"${name}" in selection)
    return (
        f"subscription S($ref: DatasetRef!, $skip: Boolean, $prefix: String{flags}) "
        f"{{ datasetChanges({ARGUMENTS}) {selection} }}"
    )


@dataclass(frozen=True)
class Request:
    """A subscription that a device asks for."""

    document: str
    variables: dict[str, Any]
    identity: str
    device: str


def requests(documents: list[str]) -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        document=st.sampled_from(documents),
        variables=st.fixed_dictionaries(
            {"ref": st.just({"name": "notes"}), "yes": st.booleans(), "no": st.booleans()},
            optional={"skip": st.booleans(), "prefix": st.sampled_from(["", "a"])},
        ),
        identity=st.sampled_from(["alice", "bob"]),
        device=st.sampled_from(["phone", "laptop"]),
    )


def engine() -> Engine:
    return Engine(SCHEMA, Documents(SCHEMA, LIMITS, entries=100, source_bytes=1 << 20))


class Api:
    def __init__(self, world: World) -> None:
        self._services = Services(
            datasets=world.datasets, syncs=world.syncs, subscriptions=world.subscriptions, presence=world.presence
        )

    async def subscribe(self, engine: Engine, request: Request) -> Subscription:
        credential = Credential(viewer=viewer(request.device, request.identity), expires_at=now() + timedelta(hours=1))
        context = Context(credential=credential, services=self._services, request_id="request")
        subscription = await engine.prepare(request.document).subscribe(request.variables, context)
        assert isinstance(subscription, Subscription), subscription
        return subscription


async def compare(folder: Path, asked: list[Request]) -> None:
    world = await World.open(folder)
    try:
        api, shared = Api(world), engine()
        together = [await api.subscribe(shared, request) for request in asked]
        alone = [await api.subscribe(engine(), request) for request in asked]
        payloads: dict[tuple[Any, int], bytes] = {}
        for one, other in zip(together, alone, strict=True):
            for number, event in enumerate(EVENTS):
                # As a channel does it: the first of a cohort encodes for all of them.
                payload = payloads.setdefault((one.cohort, number), one.encode(event))
                assert payload == other.encode(event)
        for subscription in together + alone:
            await subscription.close()
    finally:
        await world.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=100)
@given(data=st.data())
def test_a_cohort_gets_what_each_of_it_would_get_alone(data: st.DataObject, tmp_path: Path) -> None:
    wanted = data.draw(st.lists(selections(event_type()), min_size=1, max_size=3))
    documents = [document(selection) for selection in wanted]
    asyncio.run(compare(tmp_path, data.draw(st.lists(requests(documents), min_size=2, max_size=8))))

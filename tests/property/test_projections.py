"""A projection gives the very bytes that graphql-core gives: random selections of everything the API answers with."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type
from graphql.execution import Executor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline.api.context import Context, Services
from syncline.api.engine import Engine, Response
from syncline.api.projections import Projections
from syncline.core.changes import Remove
from syncline.core.ids import RecordKey
from syncline.ports import Credential
from tests.property.test_cohorts import EVENTS, SCHEMA, Api, Request, document, engine, event_type, selections
from tests.support.core_builders import commit as a_commit
from tests.support.core_builders import js, record, viewer
from tests.support.world import World, now, put

FLAGS = st.fixed_dictionaries({"yes": st.booleans(), "no": st.booleans()})
SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=100)


@contextmanager
def graphql_core_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Projections, "get", lambda *_args: None)
        yield


def without_request_ids(body: bytes) -> Any:
    answer = json.loads(body)
    for error in answer.get("errors", []):
        error["extensions"].pop("requestId", None)
    return answer


def wanted(variables: dict[str, Any], text: str) -> dict[str, Any]:
    return {name: value for name, value in variables.items() if f"${name}" in text}


async def compare_events(folder: Path, selection: str, flags: dict[str, bool]) -> None:
    world = await World.open(folder)
    try:
        request = Request(document(selection), {"ref": {"name": "notes"}, **flags}, "alice", "phone")
        subscription = await Api(world).subscribe(engine(), request)
        for event in EVENTS:
            projected = subscription.encode(event)
            with graphql_core_alone():
                assert subscription.encode(event) == projected
        await subscription.close()
    finally:
        await world.close()


@SLOW
@given(selection=selections(event_type()), flags=FLAGS)
def test_an_event_s_projection_is_what_execution_gives(selection: str, flags: dict[str, bool], tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        asyncio.run(compare_events(Path(folder), selection, flags))


async def answer(engine: Engine, world: World, text: str, variables: dict[str, Any]) -> bytes:
    credential = Credential(viewer=viewer(), expires_at=now() + timedelta(hours=1))
    services = Services(
        datasets=world.datasets, syncs=world.syncs, subscriptions=world.subscriptions, presence=world.presence
    )
    context = Context(credential=credential, services=services, request_id="request")
    response = await engine.prepare(text).execute(wanted(variables, text), context)
    assert isinstance(response, Response)
    assert response.has_data, response.body
    return response.body


def operation(kind: str, root: str, selection: str) -> str:
    flags = ", ".join(f"${name}: Boolean!" for name in ("yes", "no") if f"${name}" in selection)
    return f"{kind} O{f'({flags})' if flags else ''} {{ {root} {selection} }}"


def type_of(root: GraphQLObjectType | None, field: str) -> Any:
    assert root is not None
    return get_named_type(root.fields[field].type)


QUERIES = {
    'dataset(dataset: {name: "notes"})': "dataset",
    'dataset(dataset: {name: "none"})': "dataset",
    "datasets": "datasets",
    'changes(dataset: {name: "notes"}, since: "start")': "changes",
    "viewer": "viewer",
}


async def compare_queries(folder: Path, asked: list[tuple[str, dict[str, bool]]]) -> None:
    world = await World.open(folder)
    try:
        await world.sync(put("a", {"x": [1, None, "é"]}), put("b", None))
        await world.sync(Remove(key=RecordKey("b")))
        shared = engine()
        for text, flags in asked:
            projected = await answer(shared, world, text, flags)
            with graphql_core_alone():
                assert await answer(shared, world, text, flags) == projected
    finally:
        await world.close()


@SLOW
@given(data=st.data())
def test_a_query_s_projection_is_what_execution_gives(data: st.DataObject, tmp_path: Path) -> None:
    root = data.draw(st.sampled_from(sorted(QUERIES)))
    text = operation("query", root, data.draw(selections(type_of(SCHEMA.query_type, QUERIES[root]))))
    # The same document again, with other variables: what was compiled for one is not for all.
    flags = data.draw(st.lists(FLAGS, min_size=1, max_size=3))
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        asyncio.run(compare_queries(Path(folder), [(text, each) for each in flags]))


SYNC = (
    'sync(input: {dataset: {name: "notes"}, mutationId: "m", atomic: %s, since: "start", changes: ['
    '{put: {key: "a", value: {x: 2}, base: {version: 7}}}, {remove: {key: "b", base: {any: true}}}, '
    '{put: {key: "c", value: [1, null, "é"], base: {any: true}}}]})'
)


async def compare_syncs(folder: Path, text: str, flags: dict[str, bool]) -> None:
    world = await World.open(folder)
    try:
        await world.sync(put("a", 1), put("b", 1), by=viewer("laptop"))
        shared = engine()
        first = await answer(shared, world, text, flags)
        # A retry: the same outcome, told once more.
        projected = await answer(shared, world, text, flags)
        with graphql_core_alone():
            assert await answer(shared, world, text, flags) == projected
        assert set(json.loads(first)["data"]) == {"sync"}
    finally:
        await world.close()


@SLOW
@given(
    selection=selections(type_of(SCHEMA.mutation_type, "sync")), flags=FLAGS, atomic=st.sampled_from(["true", "false"])
)
def test_a_sync_s_projection_is_what_execution_gives(
    selection: str, flags: dict[str, bool], atomic: str, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        asyncio.run(compare_syncs(Path(folder), operation("mutation", SYNC % atomic, selection), flags))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path)
    yield world
    await world.close()


async def test_what_a_projection_cannot_bring_to_an_end_has_the_error_and_place_of_execution(world: World) -> None:
    request = Request(
        document("{ __typename ... on Commit { checkpoint version records { version } } }"),
        {"ref": {"name": "notes"}},
        "alice",
        "phone",
    )
    subscription = await Api(world).subscribe(engine(), request)
    beyond_int = a_commit(1, record("a", js(1), version=1 << 40))
    projected = without_request_ids(subscription.encode(beyond_int))
    with graphql_core_alone():
        assert without_request_ids(subscription.encode(beyond_int)) == projected
    assert projected["errors"]
    await subscription.close()


async def test_events_and_the_answers_to_syncs_are_projected_whole(world: World) -> None:
    """Or else all of this would be true of graphql-core alone."""
    walked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executor, "execute_field", noting(walked, Executor.execute_field))
        commit = "{ checkpoint author { deviceId } records { key value updatedBy { deviceId } } }"
        request = Request(document(f"{{ ... on Commit {commit} }}"), {"ref": {"name": "notes"}}, "alice", "phone")
        subscription = await Api(world).subscribe(engine(), request)
        subscription.encode(EVENTS[2])
        text = operation(
            "mutation", SYNC % "false", "{ ... on SyncApplied { dataset { name } results { record { key } } } }"
        )
        told = json.loads(await answer(engine(), world, text, {}))
        await subscription.close()
    assert walked == ["datasetChanges", "sync"]
    assert [each["record"] for each in told["data"]["sync"]["results"]] == [None, None, {"key": "c"}]


def noting(walked: list[str], execute_field: Any) -> Any:
    def noted(executor: Any, parent: Any, source: Any, details: Any, *rest: Any) -> Any:
        walked.append(details[0].node.name.value)
        return execute_field(executor, parent, source, details, *rest)

    return noted

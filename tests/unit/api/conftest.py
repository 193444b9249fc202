from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncline.api.context import Context, Services
from syncline.api.documents import Documents
from syncline.api.engine import Engine
from syncline.api.guard import DocumentLimits
from syncline.api.schema import graphql_schema
from syncline.core.limits import Limits
from syncline.core.model import Viewer
from syncline.ports import Credential
from tests.support.world import World, now, viewer

SCHEMA = graphql_schema()


class Api:
    """The GraphQL API of a world, without sockets."""

    def __init__(self, world: World, limits: DocumentLimits) -> None:
        self.world = world
        self.engine = Engine(SCHEMA, Documents(SCHEMA, limits, entries=100, source_bytes=1 << 20))

    def context(self, by: Viewer | None = None, *, anonymous: bool = False) -> Context:
        credential = Credential(viewer=by or viewer(), expires_at=now() + timedelta(hours=1))
        services = Services(
            datasets=self.world.datasets,
            syncs=self.world.syncs,
            subscriptions=self.world.subscriptions,
            presence=self.world.presence,
        )
        return Context(credential=None if anonymous else credential, services=services, request_id="request")

    async def __call__(self, query: str, by: Viewer | None = None, *, anonymous: bool = False, **variables: Any) -> Any:
        """The whole answer, decoded."""
        response = await self.engine.prepare(query).execute(variables, self.context(by, anonymous=anonymous))
        return msgspec.json.decode(response.body)

    async def data(self, query: str, by: Viewer | None = None, **variables: Any) -> Any:
        answer = await self(query, by, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def error(self, query: str, by: Viewer | None = None, **variables: Any) -> Any:
        answer = await self(query, by, **variables)
        return answer["errors"][0]


MakeApi = Callable[..., Any]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    world = await World.open(tmp_path)
    yield Api(world, DocumentLimits())
    await world.close()


@pytest.fixture
async def small_api(tmp_path: Path) -> AsyncIterator[Api]:
    """With limits that are quickly reached."""
    limits = Limits(datasets=2, dataset_bytes=200, records=3, key_bytes=10, changes_per_sync=4)
    world = await World.open(tmp_path, limits)
    yield Api(world, DocumentLimits())
    await world.close()

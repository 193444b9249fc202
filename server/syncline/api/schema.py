"""The schema, and how it is printed."""

from __future__ import annotations

from functools import cache

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter

from syncline.api.coercion import build_inputs
from syncline.api.mutations import Mutation
from syncline.api.queries import Query
from syncline.api.scalars import SCALARS
from syncline.api.subscriptions import Subscription


class _Names(NameConverter):
    """Strawberry asks for the name of every field of every input, each time one comes in; the answers never change."""

    def __init__(self) -> None:
        super().__init__()
        self.apply_naming_config = cache(super().apply_naming_config)  # type: ignore[method-assign]


def build_schema() -> strawberry.Schema:
    """The public schema."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(name_converter=_Names(), scalar_map=SCALARS),
    )


def graphql_schema() -> GraphQLSchema:
    """The public schema as graphql-core executes it."""
    # Strawberry's own `execute` parses, validates and runs extensions anew for each request, and its `subscribe` for
    # each event and subscriber; the engine does that once and hands graphql-core what Strawberry built.
    schema = build_schema()._schema
    build_inputs(schema)
    return schema


def schema_sdl() -> str:
    """The public schema in GraphQL's schema language, as in ``schema.graphql``."""
    return build_schema().as_str() + "\n"

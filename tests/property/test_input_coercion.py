"""Variables become what graphql-core and Strawberry would make of them, each in its own walk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    Undefined,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.language import OperationDefinitionNode
from graphql.utilities import coerce_input_value
from hypothesis import given
from hypothesis import strategies as st
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument

from syncline.api.coercion import InputCoercion
from syncline.api.schema import build_schema, graphql_schema

SCHEMA = graphql_schema()
STRAWBERRY = build_schema()
STOCK = STRAWBERRY._schema
COERCION = InputCoercion(SCHEMA)
INPUT_TYPES = sorted(name for name, type_ in SCHEMA.type_map.items() if isinstance(type_, GraphQLInputObjectType))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "JSON": JSON,
    "Checkpoint": st.just("start") | st.text(max_size=4),
    "DateTime": st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z")
    | st.just("no"),
    "Int": st.integers(-(2**33), 2**33) | st.just(1.0),
    "Float": st.floats() | st.integers(),
    "Boolean": st.booleans() | st.just(1),
    "String": st.text(max_size=5),
    "ID": st.text(max_size=5) | st.integers(),
}


def inputs(type_: GraphQLInputType) -> st.SearchStrategy[Any]:
    """Mostly values that fit the type."""
    if isinstance(type_, GraphQLNonNull):
        return inputs(type_.of_type)
    if isinstance(type_, GraphQLList):
        return st.lists(inputs(type_.of_type), max_size=3) | inputs(type_.of_type) | st.none()
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from([*type_.values, "NEVER"])
    if isinstance(type_, GraphQLInputObjectType):
        return objects(type_)
    return SCALARS[type_.name] | st.none()


def objects(type_: GraphQLInputObjectType) -> st.SearchStrategy[Any]:
    fields = {name: inputs(field.type) for name, field in type_.fields.items()}
    if type_.is_one_of:
        one = st.sampled_from(sorted(fields)).flatmap(lambda name: st.fixed_dictionaries({name: fields[name]}))
        several = st.fixed_dictionaries({}, optional=fields)
        return one | one | one | several | JSON
    required = {name: fields[name] for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull)}
    optional = {name: strategy for name, strategy in fields.items() if name not in required}
    fitting = st.fixed_dictionaries(required, optional=optional)
    unfitting = st.fixed_dictionaries({}, optional={**fields, "unknown": JSON})
    return fitting | fitting | fitting | unfitting | JSON


@contextmanager
def strawberry_builds_inputs() -> Iterator[None]:
    """Meanwhile Strawberry makes its input objects itself, as it does in any other schema."""
    definitions = [SCHEMA.type_map[name].extensions[GraphQLCoreConverter.DEFINITION_BACKREF] for name in INPUT_TYPES]
    hooks = [definition.from_input for definition in definitions]
    for definition in definitions:
        definition.from_input = None
    try:
        yield
    finally:
        for definition, hook in zip(definitions, hooks, strict=True):
            definition.from_input = hook


def stock(name: str, value: object) -> object:
    """What two walks make of a value: graphql-core's and Strawberry's."""
    type_ = STOCK.type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    try:
        coerced = coerce_input_value(value, type_)
    except StrawberryInputCoercionError:
        return Undefined
    if coerced is Undefined or coerced is None:
        return coerced
    origin = type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin
    with strawberry_builds_inputs():
        return convert_argument(coerced, origin, STRAWBERRY.schema_converter.scalar_registry, STRAWBERRY.config)


def input_type(name: str, schema: GraphQLSchema = SCHEMA) -> GraphQLInputObjectType:
    type_ = schema.type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    return type_


@pytest.mark.parametrize("name", INPUT_TYPES)
@given(data=st.data())
def test_an_input_is_coerced_as_graphql_core_and_strawberry_do_it(name: str, data: st.DataObject) -> None:
    value = data.draw(inputs(input_type(name)))
    expected = stock(name, value)
    assert repr(COERCION.of(input_type(name))(value)) == repr(expected)
    assert repr(coerce_input_value(value, input_type(name))) == repr(expected)


OPERATIONS = [
    "mutation($input: SyncInput!) { sync(input: $input) { __typename } }",
    """mutation($dataset: DatasetRef! = {name: "a"}, $changes: [ChangeInput!], $atomic: Boolean = false, $id: ID!) {
         sync(input: {dataset: $dataset, changes: $changes, atomic: $atomic, mutationId: $id}) { __typename } }""",
    'query($first: Int, $after: String = "x") { datasets(first: $first, after: $after) { nodes { id } } }',
    "query { viewer { identityId } }",
]


@pytest.mark.parametrize("source", OPERATIONS)
@given(data=st.data())
def test_variables_are_coerced_as_graphql_core_does_it(source: str, data: st.DataObject) -> None:
    document = parse(source)
    assert validate(SCHEMA, document) == []
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    coercion = COERCION.variables(operation)
    strategies = {variable.signature.name: inputs(variable.signature.type) for variable in coercion._variables}
    raw = data.draw(st.fixed_dictionaries({}, optional={**strategies, "unasked": JSON}))
    expected = get_variable_values(SCHEMA, operation.variable_definitions or (), raw)
    coerced = coercion.coerce(raw)
    if isinstance(expected, VariableValues):
        assert coerced is not None
        assert repr(coerced.coerced) == repr(expected.coerced)
        assert coerced.sources.keys() == expected.sources.keys()
        for name, source_ in coerced.sources.items():
            assert source_.value is expected.sources[name].value
            assert str(source_.signature.type) == str(expected.sources[name].signature.type)
    else:
        assert coerced is None

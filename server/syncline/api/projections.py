"""Projections: a selection of plain values, compiled once for an operation and then only applied.

graphql-core walks a selection anew for every value, some microseconds for each field. Where the fields are plain
attributes, with nothing to look up and nothing that depends on the viewer, the walk takes the same course each time; a
projection is that course. What it cannot bring to an end is left to graphql-core, which says what is wrong, and where.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    is_leaf_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

Project = Callable[[Any], Any]
"""From a value to what stands for it in the answer. Raises NotPlain, or whatever else comes in its way."""

_DEFINITION = "strawberry-definition"


class NotPlain(Exception):
    """There is more to be done for this than to take attributes."""


class Projections:
    """The projections of one operation, for one set of values of the variables that its selections use."""

    def __init__(self) -> None:
        self._known: dict[tuple[GraphQLObjectType, tuple[int, ...]], Project | None] = {}

    def get(self, executor: Executor[Any], type_: GraphQLObjectType, selected: FieldDetailsList) -> Project | None:
        """What is ``selected`` of a value of this type; None if that is not plain."""
        # The nodes live as long as the operation, and so do their ids.
        key = (type_, tuple([id(details.node) for details in selected]))
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = _compiled(executor, type_, selected)
            return found


def _compiled(executor: Executor[Any], type_: GraphQLObjectType, selected: FieldDetailsList) -> Project | None:
    try:
        return _object(executor, type_, selected)
    except NotPlain:
        return None


def _object(executor: Executor[Any], type_: GraphQLObjectType, selected: FieldDetailsList) -> Project:
    definition = type_.extensions.get(_DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition):
        raise NotPlain
    class_ = definition.origin
    # graphql-core's own rules say which fields these are: fragments, directives, merging.
    collected = executor.collect_subfields(type_, selected)
    if collected.new_defer_usages:
        raise NotPlain
    fields = [(name, *_field(executor, type_, details)) for name, details in collected.grouped_field_set.items()]

    def project(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not class_:
            raise NotPlain
        return {name: complete(take(value)) for name, take, complete in fields}

    return project


def _field(
    executor: Executor[Any], parent: GraphQLObjectType, selected: FieldDetailsList
) -> tuple[Callable[[Any], Any], Project]:
    """How to take the field from its object, and what to do with what was taken."""
    name = selected[0].node.name.value
    if name == "__typename":
        return (lambda _value: parent.name), (lambda taken: taken)
    field = parent.fields[name]
    return attrgetter(_attribute(field)), _value(executor, field.type, selected)


def _attribute(field: GraphQLField) -> str:
    definition = field.extensions.get(_DEFINITION)
    if field.args or not isinstance(definition, StrawberryField) or not definition.is_basic_field:
        raise NotPlain
    return definition.python_name


def _value(executor: Executor[Any], type_: GraphQLOutputType, selected: FieldDetailsList) -> Project:
    if isinstance(type_, GraphQLNonNull):
        return _non_null(_value(executor, type_.of_type, selected))
    if isinstance(type_, GraphQLList):
        return _list(_value(executor, type_.of_type, selected))
    if isinstance(type_, GraphQLObjectType):
        return _object(executor, type_, selected)
    if is_leaf_type(type_):
        return _leaf(type_)
    raise NotPlain


def _non_null(inner: Project) -> Project:
    def project(value: Any) -> Any:
        if value is None:
            raise NotPlain
        return inner(value)

    return project


def _list(inner: Project) -> Project:
    def project(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not list:
            raise NotPlain
        return [inner(item) for item in value]

    return project


def _leaf(type_: GraphQLLeafType) -> Project:
    coerce = type_.coerce_output_value

    def project(value: Any) -> Any:
        if value is None:
            return None
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise NotPlain
        return coerced

    return project

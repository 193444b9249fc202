"""From what a request sends as variables to what resolvers take: graphql-core's rules, laid out once for each type.

graphql-core walks the types anew for each request, and Strawberry then walks its result to build the input objects.
Here graphql-core builds the input objects itself (``build_inputs``), and variables that fit their types are coerced by
functions made once (``InputCoercion``). What does not fit is left to graphql-core, which says why.
Source: section "Coercing Variable Values" of the GraphQL specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    is_input_object_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

_Coerce = Callable[[Any], Any]
"""The coerced value, or Undefined if the value does not fit. Values are those that JSON can hold."""

_DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF


def build_inputs(schema: GraphQLSchema) -> None:
    """Let graphql-core make the objects of Strawberry's input types whenever it coerces one, literal or variable."""
    for type_ in schema.type_map.values():
        if not is_input_object_type(type_):
            continue
        definition: StrawberryObjectDefinition = type_.extensions[_DEFINITION]
        for field in type_.fields.values():
            field.out_name = cast("StrawberryField", field.extensions[_DEFINITION]).python_name
        # In place of a check of Strawberry's, which would be in `out_type`.
        type_.is_one_of = definition.is_one_of
        type_.out_type = _constructor(definition.origin)  # type: ignore[assignment, method-assign]
        definition.from_input = _as_it_is


def _constructor(input_: type) -> Callable[[dict[str, Any]], Any]:
    return lambda coerced: input_(**coerced)


def _as_it_is(_type: type, value: Any, _context: object) -> Any:
    return value


class VariableCoercion:
    """The variables of one valid operation."""

    def __init__(self, signatures: Sequence[GraphQLVariableSignature], inputs: InputCoercion) -> None:
        self._variables = [_Variable(each, inputs.of(each.type)) for each in signatures]

    def coerce(self, raw: Mapping[str, Any]) -> VariableValues | None:
        """The values to execute with; None: some do not fit, and graphql-core knows why."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for variable in self._variables:
            name = variable.signature.name
            value = raw.get(name, Undefined)
            sources[name] = VariableValueSource(variable.signature, value)
            if value is not Undefined:
                value = variable.coerce(value)
            elif variable.may_be_missing:
                if variable.default is not Undefined:
                    coerced[name] = variable.default
                continue
            if value is Undefined:
                return None
            coerced[name] = value
        return VariableValues(sources, coerced)


class _Variable:
    def __init__(self, signature: GraphQLVariableSignature, coerce: _Coerce) -> None:
        self.signature = signature
        self.coerce = coerce
        self.default = coerce_default_value(signature)
        self.may_be_missing = self.default is not Undefined or not is_non_null_type(signature.type)


class InputCoercion:
    """The input types of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._objects: dict[str, _Coerce] = {}

    def variables(self, operation: OperationDefinitionNode) -> VariableCoercion:
        """``operation`` is valid for the schema."""
        signatures = [get_variable_signature(self._schema, node) for node in operation.variable_definitions or ()]
        return VariableCoercion([each for each in signatures if not isinstance(each, GraphQLError)], self)

    def of(self, type_: GraphQLInputType) -> _Coerce:
        """How to coerce values of this type."""
        if isinstance(type_, GraphQLNonNull):
            return _present(self.of(type_.of_type))
        if isinstance(type_, GraphQLList):
            return _nullable(_each(self.of(type_.of_type)))
        if isinstance(type_, GraphQLInputObjectType):
            if type_.name not in self._objects:
                self._objects[type_.name] = _nullable(_Fields(type_, self))
            return self._objects[type_.name]
        return _nullable(_leaf(type_.coerce_input_value))


def _present(coerce: _Coerce) -> _Coerce:
    return lambda value: Undefined if value is None else coerce(value)


def _nullable(coerce: _Coerce) -> _Coerce:
    return lambda value: None if value is None else coerce(value)


def _leaf(coerce: _Coerce) -> _Coerce:
    def leaf(value: Any) -> Any:
        try:
            return coerce(value)
        except Exception:
            # Said again, and to the device, by graphql-core.
            return Undefined

    return leaf


def _each(coerce: _Coerce) -> _Coerce:
    def each(value: Any) -> Any:
        # What is no list stands for a list of itself.
        items = [coerce(item) for item in (value if isinstance(value, list) else (value,))]
        return Undefined if any(item is Undefined for item in items) else items

    return each


class _Fields:
    """Coerces objects of one type."""

    def __init__(self, type_: GraphQLInputObjectType, inputs: InputCoercion) -> None:
        self._type = type_
        self._inputs = inputs
        self._defaults = [
            (name, field.out_name or name, default)
            for name, field in type_.fields.items()
            if (default := coerce_default_value(field)) is not Undefined
        ]
        self._required = [name for name, field in type_.fields.items() if is_required_input_field(field)]

    @cached_property
    def _fields(self) -> Mapping[str, tuple[str, _Coerce]]:
        # Not before it is needed: a type may have fields of its own type.
        return {
            name: (field.out_name or name, self._inputs.of(field.type)) for name, field in self._type.fields.items()
        }

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return Undefined
        fields = self._fields
        coerced: dict[str, Any] = {}
        for name, part in value.items():
            field = fields.get(name)
            if field is None:
                return Undefined
            out_name, coerce = field
            found = coerce(part)
            if found is Undefined:
                return Undefined
            coerced[out_name] = found
        if any(name not in value for name in self._required):
            return Undefined
        coerced.update({out_name: default for name, out_name, default in self._defaults if name not in value})
        if self._type.is_one_of and (len(value) != 1 or any(part is None for part in value.values())):
            return Undefined
        return self._type.out_type(coerced)

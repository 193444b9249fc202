"""Custom scalars: where values of the wire become values of the core, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NewType, cast

import msgspec
from graphql import GraphQLError, ValueNode
from graphql.utilities import value_from_ast_untyped
from strawberry import UNSET, scalar
from strawberry.types.scalar import ScalarDefinition

from syncline.core.checkpoint import Since, parse_since
from syncline.core.json_values import JsonText, json_text
from syncline.errors import InvalidInput

JSON = NewType("JSON", object)
"""In resolvers a ``JsonText``; as input, an InvalidInput where the value breaks a rule. See ``json_of_input``."""
Checkpoint = NewType("Checkpoint", object)
"""In resolvers, as input a ``Since``; as output a ``core.checkpoint.Checkpoint`` or ``START``."""
NULL = JsonText("null")


def _serialize_json(value: JsonText) -> msgspec.Raw:
    # Ready text goes into the answer as it is: what a device wrote is what the others read, byte for byte.
    return msgspec.Raw(value.encode())


def _parse_json(value: object) -> JsonText | InvalidInput:
    # Not raised: that would fail the whole sync, also where each change is to have an outcome of its own.
    try:
        return json_text(value, field="JSON")
    except InvalidInput as error:
        return error.with_traceback(None)


def _parse_json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> JsonText | InvalidInput:
    return _parse_json(value_from_ast_untyped(node, variables))


def _parse_checkpoint(value: object) -> Since:
    if not isinstance(value, str):
        raise GraphQLError("a checkpoint is a text")
    return parse_since(value)


def _parse_datetime(value: object) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError("a DateTime is a text")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise GraphQLError("a DateTime is written as RFC 3339 says: 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise GraphQLError("a DateTime says its offset from UTC: 2026-01-31T12:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise GraphQLError("a DateTime is within the years 1 to 9999 in UTC") from None


def _serialize_datetime(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


SCALARS: dict[object, ScalarDefinition] = {
    JSON: scalar(
        name="JSON",
        description="Any JSON value. Numbers outside the IEEE double range, U+0000 and lone surrogates are refused.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_serialize_json,
        parse_value=_parse_json,
        parse_literal=_parse_json_literal,
    ),
    Checkpoint: scalar(
        name="Checkpoint",
        description=(
            "What a device has applied. Opaque, at most 64 characters: keep it, and send it back as it is. "
            'The literal "start" means: I have nothing.'
        ),
        serialize=str,
        parse_value=_parse_checkpoint,
    ),
    datetime: scalar(
        name="DateTime",
        description="A moment as RFC 3339 writes it, in UTC.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_serialize_datetime,
        parse_value=_parse_datetime,
    ),
}


def json_of_input(value: JSON | None, field: str) -> JsonText:
    """The JSON that came in as an argument; null is JSON's null. Raises InvalidInput if it is none, or was left out."""
    if value is UNSET:
        raise InvalidInput(field, "is required; null stands for JSON null")
    if isinstance(value, InvalidInput):
        raise InvalidInput(field, str(value.facts["reason"]))
    return NULL if value is None else JsonText(str(value))


def since_of(checkpoint: Checkpoint | None) -> Since | None:
    """The checkpoint that came in as an argument; None: none was sent."""
    return cast("Since", checkpoint) if checkpoint else None

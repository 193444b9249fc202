"""Errors as GraphQL tells them: a message for people; code, retryable and the facts for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError

from syncline.errors import DocumentInvalid, InternalError, InvalidInput, SynclineError
from syncline.logs import get_logger

_log = get_logger(__name__)


def error_body(error: Exception, request_id: str) -> dict[str, Any]:
    """One entry of an answer's ``errors``. What is not ours to tell is logged once and masked."""
    told = _told(error, request_id)
    return {
        "message": told.message,
        "extensions": {"code": told.code, "retryable": told.retryable, **told.facts},
    }


def _told(error: Exception, request_id: str) -> SynclineError:
    if isinstance(error, SynclineError):
        return error
    _log.error("unexpected_error", request_id=request_id, exc_info=error)
    return InternalError(request_id)


def request_errors(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Errors found before execution: the document, or the values of its variables."""
    return [_formatted(error, _own(error) or DocumentInvalid(error.message)) for error in errors]


def coercion_errors(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Errors of variables, whose values do not fit their types."""
    # graphql-core's sentence says at which place in which variable.
    return [
        {**_formatted(error, _own(error) or InvalidInput("variables", error.message)), "message": error.message}
        for error in errors
    ]


def field_errors(errors: Sequence[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Errors of execution. Nothing of how they came about is kept."""
    found = [_formatted(error, _execution_error(error, request_id)) for error in errors]
    for error in errors:
        _forget_frames(error)
    return found


def _forget_frames(error: BaseException | None) -> None:
    # A traceback leads to frames, and their variables to the error: what is left would wait for the cyclic collector.
    for _ in range(8):
        if error is None:
            return
        error.__traceback__ = None
        error = (error.original_error if isinstance(error, GraphQLError) else None) or error.__cause__


def _execution_error(error: GraphQLError, request_id: str) -> SynclineError:
    own = _own(error)
    if own is not None:
        return own
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        # graphql-core's own: an argument that does not fit its type, say.
        return InvalidInput("arguments", error.message)
    return _told(cause, request_id)


def _own(error: GraphQLError) -> SynclineError | None:
    """The SynclineError behind ``error``: graphql-core wraps what scalars and resolvers raise, sometimes twice."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None or isinstance(cause, SynclineError):
            return cause
        cause = (cause.original_error if isinstance(cause, GraphQLError) else None) or cause.__cause__
    return None


def _formatted(error: GraphQLError, told: SynclineError) -> dict[str, Any]:
    body: dict[str, Any] = {"message": told.message}
    if error.locations:
        body["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        body["path"] = error.path
    body["extensions"] = {"code": told.code, "retryable": told.retryable, **told.facts}
    return body

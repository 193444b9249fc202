"""Answers in JSON beside GraphQL's: what is wrong is told as GraphQL does, in ``errors``."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.responses import Response

from syncline.errors import (
    Forbidden,
    LimitExceeded,
    Overloaded,
    RateLimited,
    ScopeMissing,
    StoreUnavailable,
    SynclineError,
    Unauthenticated,
)

_encode = msgspec.json.Encoder().encode


def status_of(error: Exception) -> tuple[int, dict[str, str]]:
    """The status that says so, and the headers that go with it."""
    match error:
        case Unauthenticated():
            return 401, {"www-authenticate": 'Bearer error="invalid_token"'}
        case Forbidden() | ScopeMissing():
            return 403, {}
        case LimitExceeded():
            return 413, {}
        case RateLimited():
            return 429, {"retry-after": f"{math.ceil(error.retry_after_seconds)}"}
        case Overloaded() | StoreUnavailable():
            return 503, {"retry-after": "1"}
        case SynclineError():
            return 400, {}
        case _:
            return 500, {}


def json_answer(status: int, body: Any, name: str, headers: dict[str, str] | None = None) -> Response:
    """``name``: the request's id."""
    return Response(
        _encode(body),
        status,
        headers={
            "content-type": "application/json; charset=utf-8",
            "cache-control": "no-store",
            "x-request-id": name,
            **(headers or {}),
        },
    )

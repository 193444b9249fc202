"""A GraphQL request as both transports carry it."""

from __future__ import annotations

from typing import Any

import msgspec


class GraphqlRequest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What to execute. Members that the protocols do not define are ignored."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None

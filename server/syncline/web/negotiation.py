"""Which media types a request is in and wants, by the GraphQL-over-HTTP specification. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from enum import StrEnum


class MediaType(StrEnum):
    """What an answer can be in. The order is that of preference when a client likes both alike."""

    GRAPHQL_RESPONSE = "application/graphql-response+json"
    JSON = "application/json"


_UTF8 = {"utf-8", "utf8"}
_RANGES: Mapping[str, tuple[MediaType, int]] = {
    # A range stands for `application/json`, as the specification asks of `*/*`.
    "*/*": (MediaType.JSON, 0),
    "application/*": (MediaType.JSON, 1),
    MediaType.JSON.value: (MediaType.JSON, 2),
    MediaType.GRAPHQL_RESPONSE.value: (MediaType.GRAPHQL_RESPONSE, 2),
}


def acceptable(accept: str | None) -> MediaType | None:
    """The media type to answer in; None: none that the client accepts. Parts that cannot be parsed count as absent."""
    if accept is None or not accept.strip():
        return MediaType.JSON
    wanted: dict[MediaType, tuple[int, float]] = {}
    for part in accept.split(","):
        essence, parameters = _parsed(part)
        known = _RANGES.get(essence)
        quality = _quality(parameters.get("q", "1"))
        if known is None or quality is None or parameters.get("charset", "utf-8").lower() not in _UTF8:
            continue
        media_type, specificity = known
        # The most specific part decides (RFC 9110, 12.5.1); of equal ones, the kindest.
        wanted[media_type] = max(wanted.get(media_type, (-1, 0.0)), (specificity, quality))
    best = max(MediaType, key=lambda media_type: wanted.get(media_type, (0, 0.0))[1])
    return best if wanted.get(best, (0, 0.0))[1] > 0 else None


def is_json(content_type: str | None) -> bool:
    """Whether a body of this content type is JSON in UTF-8."""
    essence, parameters = _parsed(content_type or "")
    return essence == MediaType.JSON.value and parameters.get("charset", "utf-8").lower() in _UTF8


def _parsed(text: str) -> tuple[str, dict[str, str]]:
    message = Message()
    message["content-type"] = text.replace("\r", " ").replace("\n", " ")
    parameters = message.get_params(failobj=[("", "")])
    return parameters[0][0].strip().lower(), {name.strip().lower(): value for name, value in parameters[1:]}


def _quality(text: str) -> float | None:
    try:
        quality = float(text)
    except ValueError:
        return None
    return quality if 0 <= quality <= 1 else None

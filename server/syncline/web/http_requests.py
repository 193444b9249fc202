"""Reading a GraphQL request out of an HTTP request: a JSON body, or a query string."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request

from syncline.errors import BadRequest, LimitExceeded
from syncline.web.limits import WebLimits
from syncline.web.requests import GraphqlRequest

_decoder = msgspec.json.Decoder(GraphqlRequest)
_object_decoder: msgspec.json.Decoder[dict[str, Any] | None] = msgspec.json.Decoder(dict[str, Any] | None)
_PARAMETERS = ("query", "operationName", "variables", "extensions")


class BodyTimeout(Exception):
    """The body did not arrive in time."""


async def read_body(request: Request, limits: WebLimits) -> bytes:
    """The body, if it is within the limits. Raises LimitExceeded, BodyTimeout, BadRequest and ClientDisconnect."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and len(announced) < 20 and int(announced) > limits.body_bytes:
        raise LimitExceeded(limit="bodyBytes", maximum=limits.body_bytes, actual=int(announced))
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout.total_seconds()):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise LimitExceeded(limit="bodyBytes", maximum=limits.body_bytes, actual=len(body))
    except TimeoutError:
        raise BodyTimeout from None
    return bytes(body)


def from_body(body: bytes) -> GraphqlRequest:
    """The request in a JSON body. Raises BadRequest."""
    text = _text(body, "the body")
    if text.lstrip(" \t\r\n").startswith("["):
        raise BadRequest("the body is an array; batches are not supported: send one request at a time")
    request: GraphqlRequest = _decoded(_decoder, text, "the body")
    return request


def from_query_string(query_string: bytes) -> GraphqlRequest:
    """The request in a query string, whose length the HTTP server limits. Raises BadRequest."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        raise BadRequest("the query string is not URL-encoded UTF-8, or has too many parameters") from None
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in _PARAMETERS and name in parameters:
            raise BadRequest(f"the parameter {name} is there twice")
        parameters[name] = value
    if "query" not in parameters:
        raise BadRequest("the parameter query is missing")
    return GraphqlRequest(
        query=parameters["query"],
        operation_name=parameters.get("operationName") or None,
        variables=_json_parameter(parameters, "variables"),
        extensions=_json_parameter(parameters, "extensions"),
    )


def _json_parameter(parameters: dict[str, str], name: str) -> dict[str, Any] | None:
    text = parameters.get(name)
    return None if not text else _decoded(_object_decoder, text, f"the parameter {name}")


def _text(body: bytes, what: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"{what} is not UTF-8") from None


def _decoded(decoder: msgspec.json.Decoder[Any], text: str, what: str) -> Any:
    try:
        return decoder.decode(text)
    except RecursionError:
        raise BadRequest(f"{what} is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise BadRequest(f"{what} is no GraphQL request: {error}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRequest(f"{what} is not JSON: {error}") from None


__all__ = ["BodyTimeout", "ClientDisconnect", "from_body", "from_query_string", "read_body"]

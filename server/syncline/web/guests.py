"""``POST /auth/guest`` and ``POST /auth/guest/renew``: guests' tokens, for devices that speak no GraphQL yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from syncline.api.errors import error_body
from syncline.core.ids import device_id, shown
from syncline.errors import (
    BadRequest,
    Unauthenticated,
)
from syncline.ports import GuestToken
from syncline.web.connection import Backend
from syncline.web.http_requests import BodyTimeout, read_body
from syncline.web.json_answers import json_answer, status_of
from syncline.web.negotiation import is_json
from syncline.web.request_ids import request_id

GUEST_PATH = "/auth/guest"
RENEW_PATH = "/auth/guest/renew"

_T = TypeVar("_T")


class _Create(msgspec.Struct, frozen=True, rename="camel"):
    device_id: str | None = None


class _Renew(msgspec.Struct, frozen=True, rename="camel"):
    guest_token: str
    device_id: str | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    token: str
    identity_id: str
    device_id: str | None
    expires_at: datetime
    renewable_until: datetime


def guest_routes(backend: Backend) -> list[Route]:
    """Both take and give JSON; what is wrong is told as GraphQL does, in ``errors``."""
    guests = backend.services.guests

    async def create(request: Request) -> GuestToken:
        body = await _body(request, backend, _Create)
        device = None if body.device_id is None else device_id(body.device_id)
        # As a mutation: who hangs up does not stop what was begun.
        return await backend.mutations.run(
            lambda: guests.create(device, caller=backend.admission.caller(request.scope))
        )

    async def renew(request: Request) -> GuestToken:
        body = await _body(request, backend, _Renew)
        device = None if body.device_id is None else device_id(body.device_id)
        try:
            return await guests.renew(body.guest_token, device)
        except Unauthenticated:
            await backend.admission.without_credential(request.scope)
            raise

    return [
        Route(GUEST_PATH, _answered(create), methods=["POST"]),
        Route(RENEW_PATH, _answered(renew), methods=["POST"]),
    ]


async def _body(request: Request, backend: Backend, kind: type[_T]) -> _T:
    if not is_json(request.headers.get("content-type")):
        raise _NotJson
    try:
        body = await read_body(request, backend.limits)
    except BodyTimeout:
        raise BadRequest("the body did not arrive in time") from None
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRequest(f"the body is not what is expected: {error}") from None


class _NotJson(Exception):
    """The body is announced as something else."""


def _answered(work: Callable[[Request], Awaitable[GuestToken]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        name = request_id(request.headers.get("x-request-id"))
        try:
            token = await work(request)
        except ClientDisconnect:
            # Nobody is there to read it.
            return json_answer(400, {}, name)
        except _NotJson:
            error = BadRequest("the content-type must be application/json in UTF-8")
            return json_answer(415, {"errors": [error_body(error, name)]}, name)
        except Exception as error:
            status, headers = status_of(error)
            return json_answer(status, {"errors": [error_body(error, name)]}, name, headers)
        answer = _Answer(
            token=token.text,
            identity_id=shown(token.viewer.identity),
            device_id=token.viewer.device,
            expires_at=token.expires_at,
            renewable_until=token.renewable_until,
        )
        return json_answer(200, answer, name)

    return handle

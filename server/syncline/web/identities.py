"""``/admin/identities/{id}``: a backend exports and erases what is held about an identity, by an API key for that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from syncline import __version__
from syncline.api.errors import error_body
from syncline.core.ids import IdentityId, identity_id, tenant_of
from syncline.errors import Overloaded, ScopeMissing, StoreUnavailable, Unauthenticated
from syncline.ports import Credential, IdentityData, KeyUse, Scope
from syncline.service.identity_export import export_lines
from syncline.web.authentication import credential_of_headers
from syncline.web.connection import Backend
from syncline.web.json_answers import json_answer, status_of
from syncline.web.request_ids import request_id

IDENTITY_PATH = "/admin/identities/{identity:path}"
EXPORT_PATH = f"{IDENTITY_PATH}/export"
MOST_EXPORTS = 2
"""At once: each holds a snapshot of the database for as long as its caller takes."""


def identity_routes(backend: Backend, data: IdentityData) -> list[Route]:
    """Both need an API key with the scope ``privacy``, and are about identities of the key's tenant."""
    exports = 0

    async def export(request: Request, identity: IdentityId, key: KeyUse) -> Response:
        if exports >= MOST_EXPORTS:
            raise Overloaded("too many exports are under way")
        now = backend.clock()
        await data.note_export(identity, operator=_operator(key), now=now)

        async def lines() -> AsyncGenerator[bytes, None]:
            nonlocal exports
            exports += 1
            try:
                async with (
                    aclosing(data.held(identity)) as rows,
                    aclosing(export_lines(rows, identity, version=__version__, now=now)) as found,
                ):
                    async for line in found:
                        yield line
            finally:
                exports -= 1

        return StreamingResponse(lines(), media_type="application/jsonl", headers={"cache-control": "no-store"})

    async def erase(request: Request, identity: IdentityId, key: KeyUse) -> Response:
        # As a mutation: who hangs up does not stop what was begun.
        erased = await backend.mutations.run(lambda: data.erase(identity, operator=_operator(key), now=backend.clock()))
        if erased.left:
            raise StoreUnavailable("something of the identity is left")
        name = request_id(request.headers.get("x-request-id"))
        return json_answer(200, {"removed": erased.counts, "inFiles": erased.in_files}, name)

    return [
        Route(EXPORT_PATH, _guarded(backend, export), methods=["GET"]),
        Route(IDENTITY_PATH, _guarded(backend, erase), methods=["DELETE"]),
    ]


def _guarded(
    backend: Backend, work: Callable[[Request, IdentityId, KeyUse], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        name = request_id(request.headers.get("x-request-id"))
        try:
            credential = await _credential(backend, request)
            if credential.key is None or Scope.PRIVACY not in credential.scopes:
                raise ScopeMissing(Scope.PRIVACY)
            identity = identity_id(request.path_params["identity"], tenant_of(credential.viewer.identity))
            return await work(request, identity, credential.key)
        except Exception as error:
            status, headers = status_of(error)
            return json_answer(status, {"errors": [error_body(error, name)]}, name, headers)

    return handle


async def _credential(backend: Backend, request: Request) -> Credential:
    try:
        peer = request.client
        credential = await credential_of_headers(
            backend.authenticator, request.scope["headers"], None if peer is None else peer.host
        )
        if credential is None:
            raise Unauthenticated("send an API key in the header x-api-key")
    except Unauthenticated:
        await backend.admission.without_credential(request.scope)
        raise
    return credential


def _operator(key: KeyUse) -> str:
    return f"key {key.key}"

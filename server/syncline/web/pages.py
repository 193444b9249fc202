"""The demo and GraphiQL: pages that the frontend build puts into ``web/static``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from syncline.core.ids import DeviceId, device_id
from syncline.errors import InvalidInput
from syncline.web.negotiation import is_json

STATIC = Path(__file__).parent / "static"
HOW_TO_BUILD = "with Node 20.19 or newer, <code>make run</code> builds them"

MintToken = Callable[[str | None, DeviceId], str]
"""A token of an identity (None: the one for development), for a device. Raises InvalidInput."""

_DEMO_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
_GRAPHIQL_POLICY = "; ".join(
    (
        "default-src 'self'",
        # The editor compiles its grammars and runs its language services in workers made of blobs.
        "script-src 'self' 'wasm-unsafe-eval' blob:",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' ws: wss: data: blob:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
_BODY_BYTES = 4096

_LANDING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Syncline</title>
<h1>Syncline</h1><p>A real-time GraphQL sync server. Its API is at <code>/graphql</code>, over HTTP and WebSocket.</p>
{remark}</html>"""
_NOT_BUILT = f"<p>The demo and GraphiQL are not built: {HOW_TO_BUILD}.</p>"


class _TokenBody(msgspec.Struct, frozen=True):
    device: str
    identity: str | None = None


_token_body = msgspec.json.Decoder(_TokenBody)


class _Assets(StaticFiles):
    """Files whose names change with their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type] # passed on as they are
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response

    async def check_config(self) -> None:
        # Pages that are not built are a 404, not a fault.
        return

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "\x00" in path:
            return Response(status_code=404)
        return await super().get_response(path, scope)


def built(static: Path = STATIC) -> bool:
    """Whether there are pages to serve."""
    return (static / "index.html").is_file()


def landing(*, remark: str = "") -> Route:
    """The page at ``/`` where there is no demo."""
    headers = {"content-security-policy": _DEMO_POLICY, "cache-control": "no-cache"}

    async def page(_request: Request) -> Response:
        return HTMLResponse(_LANDING.format(remark=remark), headers=headers)

    return Route("/", page)


def pages(mint: MintToken | None, *, static: Path = STATIC) -> list[BaseRoute]:
    """The routes of the demo and GraphiQL. ``mint`` hands out tokens to whoever asks: for development only."""

    def file(name: str, policy: str) -> Callable[[Request], Response]:
        headers = {"content-security-policy": policy, "cache-control": "no-cache"}

        def page(_request: Request) -> Response:
            if not (static / name).is_file():
                return HTMLResponse(_LANDING.format(remark=_NOT_BUILT), 404, headers=headers)
            return FileResponse(static / name, headers=headers)

        return page

    async def config(request: Request) -> Response:
        headers = {"cache-control": "no-store"}
        identity = request.query_params.get("identity")
        try:
            token = None if mint is None else mint(identity, DeviceId("graphiql"))
        except InvalidInput as error:
            return JSONResponse({"error": error.message}, 400, headers)
        return JSONResponse({"graphqlPath": "/graphql", "token": token}, headers=headers)

    routes: list[BaseRoute] = [
        Route("/", file("index.html", _DEMO_POLICY)) if built(static) else landing(remark=_NOT_BUILT),
        Route("/graphiql", file("graphiql.html", _GRAPHIQL_POLICY)),
        Route("/graphiql/config", config),
        Mount("/assets", _Assets(directory=static / "assets", check_dir=False)),
    ]
    if mint is not None:
        routes.append(_token_route(mint))
    return routes


def _token_route(mint: MintToken) -> Route:
    async def token(request: Request) -> Response:
        headers = {"cache-control": "no-store"}
        if not is_json(request.headers.get("content-type")):
            return JSONResponse({"error": "the content-type must be application/json"}, 415, headers)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_BYTES:
                return JSONResponse({"error": "the body is too large"}, 413, headers)
        try:
            asked = _token_body.decode(bytes(body))
            token = mint(asked.identity, device_id(asked.device))
        except InvalidInput as error:
            return JSONResponse({"error": error.message}, 400, headers)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return JSONResponse({"error": 'send {"device": "NAME", "identity": "NAME"}'}, 400, headers)
        return JSONResponse({"token": token}, headers=headers)

    return Route("/demo/token", token, methods=["POST"])

"""GraphiQL and the demo: pages that the frontend build puts into ``web/static``."""

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

MintToken = Callable[[DeviceId], str]
"""A token of the development identity, for a device."""

_CONTENT_SECURITY_POLICY = "; ".join(
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
_HEADERS = {"content-security-policy": _CONTENT_SECURITY_POLICY, "cache-control": "no-cache"}
_DEVICE_BODY_BYTES = 4096

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Not built</title>
<h1>This page is not built</h1><p><code>make run</code> builds the pages and starts the server.</p></html>"""

_LANDING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Syncline</title>
<h1>Syncline</h1><p>A real-time GraphQL sync server. Its API is at <code>/graphql</code>, over HTTP and WebSocket.</p>
{links}</html>"""


class _DeviceBody(msgspec.Struct, frozen=True):
    device: str


_device_body = msgspec.json.Decoder(_DeviceBody)


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


def landing(*, with_pages: bool) -> Route:
    """The page at ``/``."""
    links = '<p><a href="/graphiql">GraphiQL</a> · <a href="/demo">Demo</a></p>' if with_pages else ""

    async def page(_request: Request) -> Response:
        return HTMLResponse(_LANDING.format(links=links), headers=_HEADERS)

    return Route("/", page)


def pages(mint: MintToken | None, *, static: Path = STATIC) -> list[BaseRoute]:
    """The routes of GraphiQL and the demo. ``mint`` hands out tokens to whoever asks: for development only."""

    def file(name: str) -> Callable[[Request], Response]:
        def page(_request: Request) -> Response:
            if not (static / name).is_file():
                return HTMLResponse(_NOT_BUILT, 404, headers=_HEADERS)
            return FileResponse(static / name, headers=_HEADERS)

        return page

    async def config(_request: Request) -> Response:
        token = None if mint is None else mint(DeviceId("graphiql"))
        return JSONResponse({"graphqlPath": "/graphql", "token": token}, headers={"cache-control": "no-store"})

    routes: list[BaseRoute] = [
        Route("/graphiql", file("graphiql.html")),
        Route("/graphiql/config", config),
        Mount("/graphiql/assets", _Assets(directory=static / "assets", check_dir=False)),
        Route("/demo", file("index.html")),
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
            if len(body) > _DEVICE_BODY_BYTES:
                return JSONResponse({"error": "the body is too large"}, 413, headers)
        try:
            device = device_id(_device_body.decode(bytes(body)).device)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return JSONResponse({"error": 'send {"device": "NAME"}'}, 400, headers)
        except InvalidInput as error:
            return JSONResponse({"error": error.message}, 400, headers)
        return JSONResponse({"token": mint(device)}, headers=headers)

    return Route("/demo/token", token, methods=["POST"])

"""Where the server is, and as whom to speak to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from syncline.errors import InvalidInput

TokenProvider = Callable[[], Awaitable[str]]
_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server's GraphQL address, for HTTP and for WebSocket."""

    http: str
    socket: str


def endpoint(url: str) -> Endpoint:
    """The endpoint at ``url``; without a path it is ``/graphql``. Raises InvalidInput."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _SOCKET_SCHEMES and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidInput("server", f"{url!r} is no http:// or https:// address")
    path = "/graphql" if parts.path in ("", "/") else parts.path
    http = parts._replace(path=path, fragment="")
    return Endpoint(urlunsplit(http), urlunsplit(http._replace(scheme=_SOCKET_SCHEMES[parts.scheme])))


class Tokens:
    """The token to send, and a fresh one when the server rejects it."""

    def __init__(self, source: str | TokenProvider) -> None:
        self._source = source
        self._current: str | None = source if isinstance(source, str) else None

    async def current(self) -> str:
        if self._current is None:
            await self.renew()
        return self._current or ""

    async def renew(self) -> bool:
        """Ask for another token. False: there is no other one to be had."""
        if isinstance(self._source, str):
            return False
        before = self._current
        self._current = await self._source()
        return self._current != before

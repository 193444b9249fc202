"""Outlets: how messages leave for the peer. One for our own server protocol, one for any ASGI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol, cast

TRANSPORT_EXTENSION = "syncline.transport"
"""Where ``web/server_protocol.py`` offers its transport in ``scope["extensions"]``."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Outlet(Protocol):
    """Takes the messages of one socket, each a whole text frame's content."""

    @property
    def buffered(self) -> int:
        """Bytes that were written and that the peer has not taken yet, as far as this process knows."""
        ...

    def write_now(self, *messages: bytes) -> bool:
        """Write without waiting, all in one; False if the peer is behind, and then nothing was written."""
        ...

    async def write(self, message: bytes) -> None:
        """Write, and wait until the peer has taken most of what was written. Raises OSError when the peer is gone."""
        ...

    async def writable(self) -> None:
        """Wait until the peer has taken most of what was written, or is gone."""
        ...

    def limit_buffer(self, size: int) -> None:
        """Count the peer as behind as soon as more than ``size`` bytes are buffered."""
        ...

    def abort(self) -> None:
        """Cut the connection, whatever was not sent yet."""
        ...


class ServerTransport(Outlet, Protocol):
    """What ``web/server_protocol.py`` offers beyond ASGI."""

    def on_shutdown(self, drain: Callable[[], None]) -> None:
        """Have ``drain`` called when the server shuts down; it is to close the socket soon."""
        ...


class AsgiOutlet:
    """Writes by ``websocket.send``. How far the peer is behind, ASGI tells only by letting ``send`` wait."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._in_flight = 0

    @property
    def buffered(self) -> int:
        return self._in_flight

    def write_now(self, *messages: bytes) -> bool:
        return False

    async def write(self, message: bytes) -> None:
        self._in_flight = len(message)
        try:
            await self._send({"type": "websocket.send", "text": message.decode()})
        except RuntimeError as error:
            # What servers raise for a message after the closing differs.
            raise ConnectionAbortedError from error
        finally:
            self._in_flight = 0

    async def writable(self) -> None:
        return

    def limit_buffer(self, size: int) -> None:
        return

    def abort(self) -> None:
        return


def server_transport(scope: Mapping[str, Any]) -> ServerTransport | None:
    """Our server protocol's transport; None under another ASGI server."""
    return cast("ServerTransport | None", (scope.get("extensions") or {}).get(TRANSPORT_EXTENSION))

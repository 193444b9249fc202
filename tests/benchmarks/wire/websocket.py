"""graphql-transport-ws on one socket."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast

from tests.benchmarks.wire.failures import LoadFailed, give_up
from tests.benchmarks.wire.frames import CLOSE, TEXT, FrameReader, text_frame

OnMessage = Callable[[bytes], None]

_ACK = b'{"type":"connection_ack"}'
_PING = b'{"type":"ping"}'
_PONG = text_frame(b'{"type":"pong"}')


class SocketConnection(asyncio.Protocol):
    """Opens and authenticates itself; then each text message but pings goes to ``on_message``.

    ``on_message`` may raise LoadFailed.
    """

    def __init__(self, host: str, token: str, on_message: OnMessage) -> None:
        self.on_message = on_message
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        """The server acknowledged the connection."""
        self.failed: asyncio.Future[None] = loop.create_future()
        self._host = host
        self._token = token
        self._frames = FrameReader()
        self._head: bytes | None = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            (
                f"GET /graphql HTTP/1.1\r\nhost: {self._host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n"
                "sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
            ).encode()
        )

    def send(self, message: bytes) -> None:
        self._transport.write(text_frame(message))

    def subscribe(self, operation_id: bytes, body: bytes) -> None:
        """Start an operation; ``body`` is what would be posted over HTTP."""
        self.send(b'{"type":"subscribe","id":"%b","payload":%b}' % (operation_id, body))

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._head = None
            if not head.startswith(b"HTTP/1.1 101"):
                self.fail(head.splitlines()[0].decode())
                return
            self.send(b'{"type":"connection_init","payload":{"authorization":"Bearer %b"}}' % self._token.encode())
        for opcode, payload in self._frames.frames(data):
            if opcode == TEXT:
                self._take(payload)
            elif opcode == CLOSE:
                self.fail(f"closed with {int.from_bytes(payload[:2])}: {payload[2:].decode()}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the server hung up")

    def close(self) -> None:
        give_up(self.failed)
        give_up(self.ready)
        self._transport.close()

    def kill(self) -> None:
        """End it as a device does that is switched off: without a word of the protocol."""
        give_up(self.failed)
        give_up(self.ready)
        self._transport.abort()

    def _take(self, payload: bytes) -> None:
        if payload == _PING:
            self._transport.write(_PONG)
        elif self.ready.done():
            try:
                self.on_message(payload)
            except LoadFailed as error:
                self.fail(str(error))
        elif payload == _ACK:
            self.ready.set_result(None)
        else:
            self.fail(payload[:300].decode())

    def fail(self, reason: str) -> None:
        """Have whoever waits told."""
        for future in (self.failed, self.ready):
            if not future.done():
                future.set_exception(LoadFailed(reason))

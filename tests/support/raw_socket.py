"""A WebSocket client that sends whatever bytes it is told to, and reads what comes back frame by frame."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from tests.support.web_server import PATIENCE_SECONDS, a_token

_NARROW_BYTES = 32 * 1024
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, masked: bool = True, length: int | None = None
) -> bytes:
    """A frame as clients send them; ``length`` claims another one than the payload has."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def text(message: object) -> bytes:
    return frame(TEXT, json.dumps(message).encode())


def handshake(port: int, **headers: str | None) -> bytes:
    """The request of an upgrade; a header given as None is left out."""
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "graphql-transport-ws",
    }
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    chosen = {name: given.pop(name, value) for name, value in lines.items()} | given
    request = [f"{name}: {value}" for name, value in chosen.items() if value is not None]
    return "\r\n".join(["GET /graphql HTTP/1.1", *request, "", ""]).encode("latin-1")


@dataclass
class Outcome:
    """What the server sent until it hung up."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None
    """The close frame's; None: there was none."""
    reason: str = ""


class Listening(Protocol):
    """A server, of whatever kind."""

    @property
    def port(self) -> int: ...


class RawSocket:
    """One connection. With ``init`` it is acknowledged before the test goes on.

    What is not read stays with the server, but for what the kernels hold; a ``narrow`` one lets them hold little.
    """

    def __init__(self, server: Listening, *, init: bool = True, narrow: bool = False) -> None:
        self._server = server
        self._init = init
        self._narrow = narrow
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        connection = socket.socket()
        if self._narrow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BYTES)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._server.port))
        self.reader, self.writer = await asyncio.open_connection(sock=connection, limit=_NARROW_BYTES)
        await self.send(handshake(self._server.port))
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await self.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        if self._init:
            await self.send(text({"type": "connection_init", "payload": {"authorization": a_token()}}))
            opcode, payload = await self.read_frame()
            assert (opcode, json.loads(payload)) == (TEXT, {"type": "connection_ack"})
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "servers send whole frames"
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def outcome(self, *, until_message: bool = False) -> Outcome:
        """What the server sends until its close frame, or, with ``until_message``, until its first message."""
        outcome = Outcome()
        while True:
            try:
                opcode, payload = await self.read_frame()
            except asyncio.IncompleteReadError:
                return outcome
            if opcode == CLOSE:
                if payload:
                    (outcome.code,) = struct.unpack("!H", payload[:2])
                outcome.reason = payload[2:].decode()
                return outcome
            if opcode == TEXT:
                outcome.messages.append(json.loads(payload))
                if until_message:
                    return outcome

"""A connection to a Redis or Valkey server, in RESP3.

RESP3 lets one connection subscribe, publish and ask: what was published arrives as push messages between the replies.
Servers since Redis 6.0, and all Valkeys, speak it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import hiredis

Push = Callable[[list[Any]], None]

_DIAL_SECONDS: Final = 2.0
_SECURE_DIAL_SECONDS: Final = 4.0
_GOODBYE_SECONDS: Final = 0.5
_NEVER = object()


class Unreachable(Exception):
    """The server cannot be used now. The reason is fit for a log: it tells no credentials."""


class Refused(Unreachable):
    """The server answered a command with an error. Only the code is kept, because some errors repeat what was sent."""

    def __init__(self, command: str, code: str) -> None:
        super().__init__(f"{command} was refused: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to be let in. ``tls`` None: in plain text."""

    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Access(username={self.username!r}, tls={self.tls is not None})"


def packed(*words: bytes) -> bytes:
    """A command as it is sent."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Wire(asyncio.Protocol):
    """An open connection. Every command gets a reply, in order; ``on_push`` gets what comes in between.

    ``lost`` is done, with the reason, once the connection is of no use any more. It is then closed.
    """

    def __init__(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        self.address = address
        self.lost: asyncio.Future[str] = loop.create_future()
        self.on_push: Push = _ignore
        self._reader = hiredis.Reader(notEnoughData=_NEVER)
        self._transport: asyncio.Transport | None = None
        self._replies: deque[asyncio.Future[Any] | None] = deque()
        """For each command under way, who waits for the reply; None: only an error matters."""

    @property
    def backlog_bytes(self) -> int:
        """What was written and the socket has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes, *, replies: int) -> None:
        """Send commands, of whose ``replies`` nobody wants to know unless one is an error: then the wire is lost."""
        if self._transport is not None and not self.lost.done():
            self._replies.extend([None] * replies)
            self._transport.write(data)

    async def ask(self, *words: bytes) -> Any:
        """Send one command; its reply. Raises Refused, Unreachable. Cancelling is safe: the reply is dropped."""
        if self._transport is None or self.lost.done():
            raise Unreachable(self.lost.result() if self.lost.done() else "not connected")
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        self._transport.write(packed(*words))
        answer = await reply
        if isinstance(answer, hiredis.ReplyError):
            raise Refused(words[0].decode(), _code(answer))
        return answer

    def fail(self, reason: str) -> None:
        """Give the connection up, at once."""
        if not self.lost.done():
            self.lost.set_result(reason)
        while self._replies:
            waiting = self._replies.popleft()
            if waiting is not None and not waiting.done():
                waiting.set_exception(Unreachable(reason))
        self.on_push = _ignore
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close once the server has dealt with what was written, or after a moment. Closing twice is harmless.

        Merely to close the socket would not do: a server whose reply finds nobody drops what it has not read yet.
        """
        self.on_push = _ignore
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self.ask(b"PING")
        except (TimeoutError, Unreachable):
            pass
        finally:
            self.fail("closed")

    # --- called by the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (item := reader.gets()) is not _NEVER:
                if type(item) is hiredis.PushNotification:
                    self.on_push(item)
                else:
                    self._take_reply(item)
        except hiredis.ProtocolError:
            self.fail("what the server sent is not RESP3")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the server closed the connection" if exc is None else f"the connection broke: {exc}")

    def _take_reply(self, reply: Any) -> None:
        if not self._replies:
            # Only what is not allowed to subscribe is answered so.
            self.fail(f"unasked for: {_code(reply)}" if isinstance(reply, hiredis.ReplyError) else "unasked for reply")
            return
        waiting = self._replies.popleft()
        if waiting is None:
            if isinstance(reply, hiredis.ReplyError):
                self.fail(f"a command was refused: {_code(reply)}")
        elif not waiting.done():
            waiting.set_result(reply)


async def dial(address: Address, access: Access, name: bytes) -> tuple[Wire, dict[bytes, Any]]:
    """Connect and introduce ourselves as ``name``: the wire, and what the server says of itself.

    Raises Unreachable; within 2 s if nobody answers, 4 s with TLS.
    """
    patience = _DIAL_SECONDS if access.tls is None else _SECURE_DIAL_SECONDS
    wire = Wire(address)
    try:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().create_connection(
                lambda: wire,
                address.host,
                address.port,
                ssl=access.tls,
                server_hostname=None if access.tls is None else address.host,
            )
            return wire, await _introduced(wire, access, name)
    except BaseException as error:
        wire.fail("never introduced")
        match error:
            case TimeoutError():
                raise Unreachable(f"{address} does not answer") from error
            case Unreachable():
                raise Unreachable(f"{address}: {error}") from error
            case OSError() | UnicodeError():
                # What is wrong with a certificate is an OSError, and a name that can be none a UnicodeError.
                raise Unreachable(f"{address} cannot be reached: {error}") from error
        raise


async def _introduced(wire: Wire, access: Access, name: bytes) -> dict[bytes, Any]:
    words = [b"HELLO", b"3"]
    if access.password is not None:
        words += [b"AUTH", (access.username or "default").encode(), access.password.encode()]
    words += [b"SETNAME", name]
    try:
        answer = await wire.ask(*words)
    except Refused as error:
        if error.code == "ERR":
            raise Unreachable("HELLO was refused; it takes Redis 6.0 or later, or Valkey") from error
        raise
    if not isinstance(answer, dict):
        raise Unreachable("does not speak RESP3")
    return answer


def _code(error: hiredis.ReplyError) -> str:
    word = str(error).partition(" ")[0]
    return word if word.isalpha() and word.isupper() else "an error"


def _ignore(_push: list[Any]) -> None: ...

"""uvicorn's WebSocket protocol, made to end every connection with a code and to let the sender see the transport.

To be given to uvicorn as ``Config(ws=WebSocketProtocol, ws_ping_interval=None)``. What differs from uvicorn's own:

- Bad input never logs a traceback. A text that is not UTF-8 reaches the app as bytes, so that the app closes with its
  own code; a handshake that cannot be parsed is answered with 400.
- A close frame is followed by a lingering end: what the peer still sends is read and dropped for a moment. A socket
  closed with unread data would be reset, and the reset can overtake the close frame: the peer would see 1006.
- A peer that does not take its data never keeps a connection: the transport is aborted after the closing deadline.
- ``shutdown`` leaves the closing to the app.
- Pings are answered without buffering more than one answer; fragments are joined as they come.
- ``scope["extensions"]["syncline.transport"]`` is a ``web.outlets.ServerTransport``.
"""

from __future__ import annotations

import asyncio
import struct
from asyncio.transports import BaseTransport
from collections.abc import Callable, Sequence
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import Protocol, State

from syncline.web.close_codes import CloseCode
from syncline.web.outlets import TRANSPORT_EXTENSION
from syncline.web.waiting import Gate, Inbox

_CLOSING_SECONDS = 5.0
"""How long a peer may take to answer our close frame."""
_LINGER_SECONDS = 2.0
"""How long a peer that broke the protocol may take to hang up."""
_BUFFER_BYTES = 64 * 1024
_FRAME_TEXT = 0x81


def text_frame(message: bytes) -> bytes:
    """The frame of a whole text message, as servers send it: not masked, not compressed."""
    size = len(message)
    if size < 126:
        return bytes((_FRAME_TEXT, size)) + message
    if size < 65_536:
        return struct.pack("!BBH", _FRAME_TEXT, 126, size) + message
    return struct.pack("!BBQ", _FRAME_TEXT, 127, size) + message


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket of uvicorn's."""

    queue: Inbox[ASGIReceiveEvent]  # type: ignore[assignment] # all that uvicorn uses of its own
    writable: Gate  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = Inbox()
        self.writable = Gate()
        self._outlet: _Outlet | None = None
        """From the handshake on, and then it is what ``writable`` is, too."""
        self._fragments = bytearray()
        self._owed_pong: bytes | None = None
        self._dropping_input = False

    @property
    def is_open(self) -> bool:
        """Whether a message can be sent."""
        return (
            self.handshake_complete
            and not self.close_sent
            and not self.disconnected
            and self.initial_response is None
            and self.conn.state is State.OPEN
        )

    # --- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._dropping_input:
            return
        self.conn.receive_data(data)
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
        elif self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_unparsed_handshake()
        else:
            self.handle_events()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._outlet is not None:
            self._outlet.ended = True
        self._fragments.clear()
        # A suspended parser and its connection hold each other.
        self.conn.parser.close()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._owed_pong is not None and not self.transport.is_closing():
            pong, self._owed_pong = self._owed_pong, None
            self.transport.write(pong)

    def shutdown(self) -> None:
        if self.is_open:
            if self._outlet is not None and self._outlet.drain is not None:
                self._outlet.drain()
            else:
                self.close_with(CloseCode.SERVICE_RESTART, "")
        elif not self.handshake_complete and self.initial_response is None:
            self._refuse(503, "The server is shutting down.\n")

    # --- events of the connection ------------------------------------------------------------------------------------

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions = cast("dict[str, object]", self.scope["extensions"])
            self.writable = self._outlet = _Outlet(self.transport, self.conn)
            extensions[TRANSPORT_EXTENSION] = self._outlet

    def read_only_frames(self) -> None:
        """To be called between the handshake's request and all that follows it: the request need not be kept.

        The parser that has read it is a generator, and holds it as long as it runs.
        """
        if self.handshake_initiated and self.conn.handshake_exc is None:
            self.conn.parser.close()
            self.conn.parser = Protocol.parse(self.conn)
            next(self.conn.parser)

    def _forget_handshake(self) -> None:
        # A socket is open for long, and nobody looks at these again.
        if self.handshake_complete:
            del self.request, self.response

    def handle_cont(self, event: Frame) -> None:
        self._fragments += event.data
        if event.fin:
            self.send_receive_event_to_app()

    def handle_text(self, event: Frame) -> None:
        self.curr_msg_data_type = "text"
        self._begin_message(event)

    def handle_bytes(self, event: Frame) -> None:
        self.curr_msg_data_type = "bytes"
        self._begin_message(event)

    def _begin_message(self, event: Frame) -> None:
        self._fragments = bytearray(event.data)
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        data = bytes(self._fragments)
        self._fragments = bytearray()
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text":
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError:
                self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_ping(self) -> None:
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)
        else:
            # RFC 6455, 5.5.3: an endpoint may answer only the most recent ping.
            self._owed_pong = pong

    def handle_close(self, event: Frame) -> None:
        if not self.close_sent:
            close = self.conn.close_rcvd
            if close is not None:
                self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
            self.transport.write(b"".join(self.conn.data_to_send()))
            self._sent_close()
        self._hang_up()

    def handle_parser_exception(self) -> None:
        if not self.handshake_complete:
            self._refuse(400, "Frames must not be sent before the handshake is complete.\n")
            return
        if not self.close_sent:
            close = self.conn.close_sent
            code, reason = (close.code, close.reason) if close is not None else (1006, "")
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._sent_close()
        self._linger()

    def _sent_close(self) -> None:
        self.close_sent = True
        if self._outlet is not None:
            self._outlet.ended = True

    # --- ends --------------------------------------------------------------------------------------------------------

    def close_with(self, code: int, reason: str) -> None:
        """Send the close frame behind what is buffered, and give the peer a moment to answer it."""
        if not self.is_open:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._sent_close()
        self._resume_reading()
        self.close_timer = self.loop.call_later(_CLOSING_SECONDS, self.transport.abort)

    def _refuse_unparsed_handshake(self) -> None:
        self.handshake_initiated = True
        answer = b"".join(self.conn.data_to_send())
        if answer:
            self.handshake_complete = self.close_sent = True
            self.transport.write(answer)
            self._linger()
        else:
            self._refuse(400, "Failed to open a WebSocket connection: the request is malformed.\n")

    def _refuse(self, status: int, text: str) -> None:
        # Not by conn.send_response: after an error the connection has ended its side already.
        response = self.conn.reject(status, text)
        self.transport.write(response.serialize())
        self.handshake_complete = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self._linger()

    def _hang_up(self) -> None:
        self._stop_timer()
        self._dropping_input = True
        self.transport.close()
        if not self.disconnected:
            self.close_timer = self.loop.call_later(_CLOSING_SECONDS, self.transport.abort)

    def _linger(self) -> None:
        self._stop_timer()
        self._dropping_input = True
        self._resume_reading()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(_LINGER_SECONDS, self._hang_up)

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def _stop_timer(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if self._outlet is not None:
            # It leads back here: what is left would wait for the cyclic collector.
            self._outlet.drain = None

    # --- the app's side ----------------------------------------------------------------------------------------------

    async def run_asgi(self) -> None:
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            self.transport.abort()
            raise
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
        if self.disconnected:
            return
        if not self.handshake_complete and self.initial_response is None:
            self._refuse(500, "Internal Server Error\n")
        elif self.is_open:
            self.close_with(CloseCode.TRY_AGAIN_LATER, "")
        elif self.close_timer is None:
            self._hang_up()

    async def receive(self) -> ASGIReceiveEvent:
        message = await self.queue.get()
        if self.queue.empty():
            self._resume_reading()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if not self.handshake_complete:
            if self.transport.is_closing():
                raise ClientDisconnected
            await super().send(message)
            self._forget_handshake()
        elif message["type"] == "websocket.close":
            self.close_with(message.get("code", 1000), message.get("reason") or "")
        elif message["type"] == "websocket.send" and not self.is_open:
            raise ClientDisconnected
        else:
            await super().send(message)


class _Outlet(Gate):
    """The open WebSocket as a ``web.outlets.ServerTransport``; as a gate, open while the peer takes what is written.

    A delivered event touches this and the transport, and nothing else of the protocol.
    """

    __slots__ = ("_deflating", "_transport", "drain", "ended")

    def __init__(self, transport: asyncio.Transport, connection: Protocol) -> None:
        super().__init__()
        self._transport = transport
        self._deflating = connection if connection.extensions else None
        self.ended = False
        """A close frame was sent, or the connection is lost: nothing can be written any more."""
        self.drain: Callable[[], None] | None = None

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def write_now(self, *messages: bytes) -> bool:
        if self.opening is not None:
            return False
        if self.ended:
            return True
        if len(messages) == 1 and self._deflating is None:
            self._transport.write(text_frame(messages[0]))
        else:
            self._write(messages)
        return True

    async def write(self, message: bytes) -> None:
        await self.wait()
        if self.ended:
            raise ConnectionResetError
        self._write((message,))
        await self.wait()

    async def writable(self) -> None:
        await self.wait()

    def limit_buffer(self, size: int) -> None:
        self._transport.set_write_buffer_limits(high=size)

    def on_shutdown(self, drain: Callable[[], None]) -> None:
        self.drain = drain

    def abort(self) -> None:
        self._transport.abort()

    def _write(self, messages: Sequence[bytes]) -> None:
        if self._deflating is not None:
            for message in messages:
                self._deflating.send_text(message)
            self._transport.write(b"".join(self._deflating.data_to_send()))
        else:
            self._transport.write(b"".join(map(text_frame, messages)))

"""uvicorn alone: what is written on one socket reaches all others as ready bytes. Nothing is parsed or stored."""

from __future__ import annotations

import argparse
import asyncio
import re
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from tests.benchmarks.baselines.serving import serve

_NUMBER = re.compile(r'"n":(\d+)')
_CHECKPOINT = "0" * 60
_READY = (
    '{"id":"w","type":"next","payload":{"data":{"datasetChanges":{"__typename":"Ready","checkpoint":"@"}}}}'
).replace("@", _CHECKPOINT)
_EVENT = (
    '{"id":"w","type":"next","payload":{"data":{"datasetChanges":{"__typename":"Commit","previous":"@",'
    '"checkpoint":"@","version":1000,"records":[{"key":"writer-0","value":{"n":%s,"text":"x"},"deleted":false}]}}}}'
).replace("@", _CHECKPOINT)
_APPLIED = '{"id":"s","type":"next","payload":{"data":{"sync":{"__typename":"SyncApplied"}}}}'
_COMPLETE = '{"id":"s","type":"complete"}'

Deliver = Callable[[str], Awaitable[None]]


class FrameProtocol(WebSocketsSansIOProtocol):
    """Gives the app its transport, so that it can write frames that are built already."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        extensions = cast("dict[str, object]", self.scope["extensions"])
        extensions["transport"] = self.transport


class Broadcast:
    """An ASGI app. ``frames``: build each event's frame once, and write it to the transports."""

    def __init__(self, *, frames: bool) -> None:
        self._frames = frames
        self._watchers: dict[object, ASGISendCallable | asyncio.Transport] = {}

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws", "headers": []})
        socket = object()
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text = message["text"] or ""
                if "mutation" in text:
                    await self._event(_NUMBER.search(text))
                    await _text(send, _APPLIED)
                    await _text(send, _COMPLETE)
                elif "subscription" in text:
                    extensions: dict[str, Any] = dict(scope.get("extensions") or {})
                    self._watchers[socket] = extensions["transport"] if self._frames else send
                    await _text(send, _READY)
                else:
                    await _text(send, '{"type":"connection_ack"}')
        except ClientDisconnected:
            pass
        finally:
            self._watchers.pop(socket, None)

    async def _event(self, number: re.Match[str] | None) -> None:
        text = _EVENT % (number[1] if number else 0)
        if self._frames:
            frame = struct.pack("!BBH", 0x81, 126, len(text)) + text.encode()
            for transport in list(self._watchers.values()):
                cast(asyncio.Transport, transport).write(frame)
        else:
            for send in list(self._watchers.values()):
                with suppress(ClientDisconnected):
                    await _text(cast("ASGISendCallable", send), text)


async def _text(send: ASGISendCallable, text: str) -> None:
    await send({"type": "websocket.send", "text": text, "bytes": None})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", action="store_true", help="build frames once and write them to the transports")
    arguments = parser.parse_args()
    if arguments.frames:
        serve(Broadcast(frames=True), protocol=FrameProtocol)
    else:
        serve(Broadcast(frames=False))


if __name__ == "__main__":
    main()

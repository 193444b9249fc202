"""The uvicorn server that Syncline runs on: how it is set up, and how it ends."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from syncline.config import Settings
from syncline.logs import get_logger
from syncline.web.http_protocol import HttpProtocol
from syncline.web.server_protocol import WebSocketProtocol

_log = get_logger(__name__)

BACKLOG = 2_048
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Drains on SIGTERM or Ctrl-C, and then lets the process end as it likes."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        _log.info("draining", signal=signal.Signals(sig).name)
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn's own raises the signal again when all is done: the process would end by it, and not with exit code 0.
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def make_server(asgi: ASGIApp, settings: Settings) -> Server:
    """A server of ``asgi``, to be given a socket that listens."""
    return Server(
        uvicorn.Config(
            asgi,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=settings.max_message_bytes,
            # The GraphQL protocol's own pings do the work; uvicorn's would close with 1011, as if we had failed.
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            loop="none",
            lifespan="off",
            # Nothing here depends on where a request seems to come from, and each layer costs every socket memory.
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=math.ceil(settings.drain_timeout_seconds),
        )
    )

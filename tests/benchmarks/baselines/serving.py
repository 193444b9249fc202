"""Runs an ASGI app with uvicorn on a free port, and says which."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

BACKLOG = 2_048


def serve(app: Any, *, protocol: str | type[asyncio.Protocol] = "websockets-sansio") -> None:
    """Until the process is ended. The port is the one line on standard output."""
    config = uvicorn.Config(
        app,
        ws=protocol,
        # Neither Syncline nor the clients compress, and pings of the WebSocket protocol would be noise.
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="warning",
        backlog=BACKLOG,
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listening])

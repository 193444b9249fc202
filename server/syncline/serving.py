"""One server from start to drain: it listens, serves, and ends when it is told to."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

import uvloop

from syncline import __version__, logs
from syncline.app import DEV_IDENTITY, build, dev_token, prepared_secret
from syncline.collector import short_collections
from syncline.config import Settings
from syncline.core.ids import DeviceId
from syncline.errors import StartRefused
from syncline.web.pages import built
from syncline.web.server import BACKLOG, Server, make_server

_log = logs.get_logger(__name__)

_DEV_DEVICE = DeviceId("terminal")
_SWITCH_INTERVAL_SECONDS = 0.0001

Started = Callable[[Server], None]


def run_alone(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain; the exit code. Raises StartRefused."""
    return _run(settings, None, None)


def run_worker(settings: Settings, listening: socket.socket, started: Started) -> int:
    """The same, as one of several processes on one port. ``started`` is called when it serves."""
    logs.configure(level=settings.log_level, format=settings.log_format)
    return _run(settings, listening, started)


def listen(host: str, port: int, *, one_of_several: bool = False) -> socket.socket:
    """A socket that listens; ``one_of_several`` on one port share what comes in. Raises StartRefused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=one_of_several)
    except OSError as error:
        raise StartRefused(f"cannot listen on {host} port {port}: {error.strerror}") from error


def announce(settings: Settings, listening: socket.socket) -> None:
    """Say on standard output where the server is. It accepts connections already, and answers in a moment."""
    host, port = listening.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    place = settings.data if settings.database_url is None else "PostgreSQL"
    lines = [f"Syncline {__version__}, data in {place}", f"  GraphQL   {address}/graphql (HTTP and WebSocket)"]
    with_pages = settings.graphiql and built()
    if with_pages:
        lines.append(f"  GraphiQL  {address}/graphiql")
    if settings.dev:
        token = dev_token(settings, prepared_secret(settings), None, _DEV_DEVICE)
        lines += [f"  Token of identity {DEV_IDENTITY!r}:", token]
    if with_pages and settings.dev:
        lines.append(f"Open {address}/ in a browser: the demo.")
    elif settings.graphiql and not with_pages:
        lines.append("The demo and GraphiQL were left out: with Node 20.19 or newer, `make run` builds them.")
    print("\n".join(lines), flush=True)  # noqa: T201 # this is what the command says, not a log
    if not settings.dev:
        # Whoever tries it out has just read it.
        _log.info("started", version=__version__, host=host, port=port)


def _run(settings: Settings, listening: socket.socket | None, started: Started | None) -> int:
    # A busy event loop drops the interpreter's lock and takes it back at each poll, faster than the default interval of
    # 5 ms lets the store's threads insist on their turn: commits then wait for seconds.
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, listening, started))


async def _serve(settings: Settings, given: socket.socket | None, started: Started | None) -> int:
    async with build(settings) as app:
        listening = listen(settings.host, settings.port) if given is None else given
        server = make_server(app.asgi, settings)
        housekeeping = asyncio.create_task(app.housekeeping.run(), name="housekeeping")

        def stop_if_it_failed(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                _log.critical("housekeeping_failed", exc_info=task.exception())
                server.should_exit = True

        housekeeping.add_done_callback(stop_if_it_failed)
        if started is None:
            announce(settings, listening)
        else:
            started(server)
        try:
            with short_collections():
                await server.serve(sockets=[listening])
        finally:
            failed = housekeeping.done()
            housekeeping.cancel()
            await asyncio.gather(housekeeping, return_exceptions=True)
    _log.info("stopped")
    return 1 if failed else 0

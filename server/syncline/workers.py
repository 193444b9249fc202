"""Several processes on one port: a parent that starts them, starts them again, and ends them.

Each has a listening socket of its own, which the parent made and keeps open: the kernel spreads connections over them,
and those that come while a process is being replaced wait for the next one. A process that loses its parent drains.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import uvloop

from syncline import logs
from syncline.app import open_store, prepared_secret
from syncline.config import Settings, environment_of, load
from syncline.metrics import SHARED, process_ended, shared_folder
from syncline.serving import announce, listen, run_worker
from syncline.web.server import Server

_log = logs.get_logger(__name__)

_AFTER_DRAIN_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 30.0


def run_workers(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain all; the exit code. Raises StartRefused."""
    with shared_folder() as figures, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Parent(settings, figures).run())


def work(listening_descriptor: int, parent_descriptor: int) -> int:
    """One of the processes; its settings are in the environment. The exit code."""

    def started(server: Server) -> None:
        def drain() -> None:
            _log.warning("parent_is_gone")
            loop.remove_reader(parent_descriptor)
            server.should_exit = True

        loop = asyncio.get_running_loop()
        # Nothing is ever written to it: it can be read once its other end is closed.
        loop.add_reader(parent_descriptor, drain)

    return run_worker(load(), socket.socket(fileno=listening_descriptor), started)


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    life: int
    """The descriptor by which it knows that this process lives."""


class _Parent:
    """Keeps as many workers alive as the settings say, until it is told to stop."""

    def __init__(self, settings: Settings, figures: str) -> None:
        self._settings = settings
        self._figures = figures
        """The folder of the workers' figures."""
        self._environment: Mapping[str, str] = environment_of(settings)
        self._stopping = asyncio.Event()
        self._sockets: list[socket.socket] = []

    async def run(self) -> int:
        prepared_secret(self._settings)
        # What is wrong with the database is said once, and one process migrates it.
        await (await open_store(self._settings)).close()
        host, port = self._settings.host, self._settings.port
        for _ in range(self._settings.workers):
            self._sockets.append(listen(host, port, one_of_several=True))
            port = self._sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        keeping = [asyncio.create_task(self._keep(listening)) for listening in self._sockets]
        announce(self._settings, self._sockets[0])
        codes = await asyncio.gather(*keeping)
        _log.info("workers_stopped", exit_codes=codes)
        return max(codes)

    async def _keep(self, listening: socket.socket) -> int:
        """Have a worker on this socket until all are to stop; the exit code of the last one."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            worker = await self._start(listening)
            ended = asyncio.create_task(worker.process.wait())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return await self._stop(worker, listening, ended)
            stopping.cancel()
            os.close(worker.life)
            process_ended(worker.process.pid, self._figures)
            failures = 0 if loop.time() - began > _STEADY_SECONDS else failures + 1
            _log.error("worker_died", exit_code=ended.result(), restarts=True)
            pause = min(_FIRST_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return 0

    async def _start(self, listening: socket.socket) -> _Worker:
        its, mine = os.pipe()
        command = ["-m", "syncline", "worker", str(listening.fileno()), str(its)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env={**self._environment, SHARED: self._figures},
            pass_fds=(listening.fileno(), its),
            # Ctrl-C reaches the parent alone, which tells the others.
            start_new_session=True,
        )
        os.close(its)
        return _Worker(process, mine)

    async def _stop(self, worker: _Worker, listening: socket.socket, ended: asyncio.Task[int]) -> int:
        listening.close()
        if not ended.done():
            worker.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._settings.drain_timeout_seconds + _AFTER_DRAIN_SECONDS):
                code = await asyncio.shield(ended)
                # Told before it could listen to that: it had nothing to drain.
                return 0 if code == -signal.SIGTERM else code
        except TimeoutError:
            _log.error("worker_killed", reason="it did not drain in time")
            worker.process.kill()
            return await ended
        finally:
            os.close(worker.life)

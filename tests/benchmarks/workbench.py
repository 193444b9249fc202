"""Starts what a case needs: a server with an empty data folder, and a generator in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from tests.benchmarks.contenders import Contender, running_baseline
from tests.benchmarks.cores import Cores, CoreSet, running_on
from tests.benchmarks.target import Target
from tests.benchmarks.wire.failures import LoadFailed
from tests.support.server import running_server

LONGEST_LOAD_SECONDS = 300.0
_LINES_OF_OUTPUT = 200
_ADDRESS = "127.0.0.1"
_NO_LIMITS = {
    f"SYNCLINE_{name}": "1000000"
    for name in (
        "MAX_CONNECTIONS_PER_IDENTITY",
        "MAX_SUBSCRIPTIONS_PER_CONNECTION",
        "MAX_OPERATIONS_IN_FLIGHT",
        "MAX_MESSAGES_PER_SECOND",
        "MESSAGE_BURST",
    )
}
"""What is measured is how much a server can do, not how much it allows one caller."""

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """Where cases are measured. ``folder`` is on the disk to measure with."""

    cores: Cores
    folder: Path

    @contextmanager
    def server(
        self,
        tokens: Iterable[tuple[str, str]],
        *flags: str,
        contender: Contender = Contender.SYNCLINE,
        settings: Mapping[str, str] | None = None,
        cores: CoreSet | None = None,
        postgres: str | None = None,
    ) -> Iterator[Target]:
        """A server on its processor, with nothing in it, and a token for each ``(identity, device)``.

        ``settings`` are Syncline's, ``postgres`` is the database of a baseline. ``cores``: not its own, but those.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            if contender is Contender.SYNCLINE:
                with (
                    running_on(cores or self.cores.server),
                    running_server(folder, *flags, settings={**_NO_LIMITS, **(settings or {})}) as server,
                ):
                    own = {each: server.token(each[1], each[0]) for each in tokens}
                    try:
                        yield Target(address=_ADDRESS, port=server.port, pid=server.pid, tokens=own)
                    except LoadFailed as error:
                        error.add_note("The server said:\n" + "".join(server.output[-_LINES_OF_OUTPUT:]))
                        raise
                    assert server.stop() == 0, "the server did not end well:\n" + "".join(server.output)
            else:
                with running_baseline(contender, folder, self.cores, postgres=postgres) as baseline:
                    plain = {(identity, device): f"{identity}/{device}" for identity, device in tokens}
                    yield Target(address=_ADDRESS, port=baseline.port, pid=baseline.pid, tokens=plain)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """What is started meanwhile runs on the generator's processors."""
        with running_on(self.cores.generator):
            yield

    def generate(self, load: Callable[[A], Coroutine[Any, Any, R]], argument: A) -> R:
        """What ``load(argument)`` returns, which runs in a new process on the generator's processors.

        ``load`` is a function of a module; its argument and result can be pickled.
        """
        with ProcessPoolExecutor(
            1, mp_context=get_context("forkserver"), initializer=_settle_down, initargs=(self.cores.generator,)
        ) as pool:
            return pool.submit(_run, load, argument).result()


def _settle_down(cores: CoreSet) -> None:
    os.sched_setaffinity(0, cores)


def _run(load: Callable[[A], Coroutine[Any, Any, R]], argument: A) -> R:
    # The collector's walks would be the generator's own pauses; a load lives too short to need it.
    gc.disable()
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(_bounded(load, argument))


async def _bounded(load: Callable[[A], Coroutine[Any, Any, R]], argument: A) -> R:
    try:
        async with asyncio.timeout(LONGEST_LOAD_SECONDS):
            return await load(argument)
    except TimeoutError as error:
        raise LoadFailed(f"the load was not over after {LONGEST_LOAD_SECONDS:.0f} s") from error


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not made for this platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()

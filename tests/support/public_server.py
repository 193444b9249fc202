"""``syncline serve`` as it is in production: without ``--dev``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import RunningServer

SECRET = "a secret of the tests, which has 32 bytes or more"  # noqa: S105 # of the tests


class PublicServer(RunningServer):
    """The same process, without ``--dev``."""

    mode = ()


@contextmanager
def public_server(folder: Path, *flags: str, settings: Mapping[str, str] | None = None) -> Iterator[PublicServer]:
    """A server that is ready; at the end it is killed if it still runs."""
    server = PublicServer(folder, *flags, settings={"SYNCLINE_TOKEN_SECRET": SECRET, **(settings or {})})
    try:
        server.start()
        yield server
    finally:
        server.kill()

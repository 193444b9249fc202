"""What ends a load before its time."""

from __future__ import annotations

import asyncio
from typing import Any


class LoadFailed(Exception):
    """The server did not answer as it must, so there is nothing to measure."""


def give_up(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, so nobody is to be told of its failure either."""
    if not future.cancel() and not future.cancelled():
        future.exception()

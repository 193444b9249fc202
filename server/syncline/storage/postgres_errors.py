"""What PostgreSQL's and the driver's own errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from syncline.errors import StartRefused, StoreUnavailable

DISCONNECTED: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""The server is not there, or not the one to write to: whether a statement under way was carried out is not known."""

CONTENDED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
"""Others were in the way: nothing was done, and the same may go well at once."""

FAILURES: Final = (asyncpg.PostgresError, asyncpg.InternalClientError, *DISCONNECTED)
"""All that a statement may fail with."""


def unavailable(error: BaseException, *, retry_after_seconds: float = 1.0) -> StoreUnavailable:
    """``error`` as callers see it; the original is its cause."""
    state = getattr(error, "sqlstate", None)
    reason = type(error).__name__ if state is None else f"{type(error).__name__} ({state})"
    translated = StoreUnavailable(reason, retry_after_seconds=retry_after_seconds)
    translated.__cause__ = error
    return translated


@contextmanager
def refusing_address() -> Iterator[None]:
    """What goes wrong while connecting, as StartRefused; its message never holds the address, which has a password."""
    try:
        with refusing():
            yield
    except (ValueError, OverflowError) as error:
        raise StartRefused("database_url: is not the address of a PostgreSQL database") from error


@contextmanager
def refusing() -> Iterator[None]:
    """What the database answers, or that it does not, as StartRefused."""
    try:
        yield
    except DISCONNECTED as error:
        raise StartRefused(f"database_url: cannot connect: {_reason(error)}") from error
    except (asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        raise StartRefused(f"database_url: cannot be used: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__

"""What PostgreSQL's and the driver's own errors mean."""

from __future__ import annotations

from typing import Final

import asyncpg

from syncline.errors import StoreUnavailable

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

"""What SQLite's own errors mean to callers."""

from __future__ import annotations

from syncline.errors import StoreUnavailable


def unavailable(error: BaseException) -> StoreUnavailable:
    """``error`` as callers see it; the original is its cause."""
    translated = StoreUnavailable(type(error).__name__)
    translated.__cause__ = error
    return translated

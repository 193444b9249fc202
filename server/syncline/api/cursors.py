"""Cursors: a place inside one paged listing, as opaque text."""

from __future__ import annotations

import base64
import binascii

from syncline.errors import InvalidCursor, InvalidInput

MAX_FIRST = 500


def cursor_of(place: str) -> str:
    """The cursor for the item named ``place``."""
    return base64.urlsafe_b64encode(place.encode()).rstrip(b"=").decode()


def place_of(cursor: str) -> str:
    """The place in ``cursor``. Raises InvalidCursor."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise InvalidCursor("not base64url of a UTF-8 text") from None


def page_size(first: int | None, *, default: int) -> int:
    """``first``, checked; null stands for the default. Raises InvalidInput."""
    if first is None:
        return default
    if not 1 <= first <= MAX_FIRST:
        raise InvalidInput("first", f"must be 1 to {MAX_FIRST}")
    return first

"""Texts that PostgreSQL cannot hold: none is stored, so none is found."""

from __future__ import annotations

from syncline.storage.key_ranges import end_of_prefix


def storable(text: str) -> bool:
    """Whether ``text`` can be sent: it has no U+0000, and no lone surrogate."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def prefix_range(prefix: str) -> tuple[str, str | None]:
    """``(first, end)`` of the keys that begin with ``prefix``; a range without any key if none can."""
    return (prefix, end_of_prefix(prefix)) if storable(prefix) else ("", "")

"""Ranges of texts in the order of their code points, which is also that of their UTF-8 bytes."""

from __future__ import annotations

_FIRST_SURROGATE = 0xD800
_LAST_SURROGATE = 0xDFFF
_LAST_CODE_POINT = 0x10FFFF


def key_range(*, prefix: str, after: str | None = None) -> tuple[str, str | None]:
    """``(first, end)``, so that ``first <= key < end`` holds for the keys with this prefix behind ``after``.

    ``end`` None: there is no upper bound.
    """
    # No text lies between one and the same with U+0000 behind it.
    first = prefix if after is None else max(prefix, after + "\x00")
    return first, end_of_prefix(prefix)


def end_of_prefix(prefix: str) -> str | None:
    """The least text behind all that begin with ``prefix``; None if there is none."""
    for index in range(len(prefix) - 1, -1, -1):
        successor = ord(prefix[index]) + 1
        if successor <= _LAST_CODE_POINT:
            if _FIRST_SURROGATE <= successor <= _LAST_SURROGATE:
                successor = _LAST_SURROGATE + 1
            return prefix[:index] + chr(successor)
    return None

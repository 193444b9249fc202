"""JSON values as the core holds them: compact text, checked once at the border.

Text is what every device must receive byte for byte, what counts against a dataset's size, and what can be spliced into
an answer unparsed. It is parsed only where a change must look inside.
"""

from __future__ import annotations

import math
from typing import Any, NewType

import msgspec

from syncline.errors import InvalidInput

JsonText = NewType("JsonText", str)
"""Compact JSON, checked by ``json_text``."""

MAX_DEPTH = 64
"""Arrays and objects within each other, at most; deeper values overflow common parsers' stacks."""

_MAX_EXACT_FLOAT_INT = 2**53
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def json_text(value: object, *, field: str) -> JsonText:
    """``value`` (None, bool, int, float, str, list, dict) as compact JSON text.

    Raises InvalidInput naming ``field`` for numbers outside the IEEE double range, U+0000, lone surrogates, and values
    nested deeper than MAX_DEPTH.
    """
    _check(value, field, 0)
    return JsonText(_encode(value).decode())


def _check(value: object, field: str, depth: int) -> None:
    if value is None or value is True or value is False:
        return
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            raise InvalidInput(field, "a number is outside the IEEE double range") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(field, "a number is outside the IEEE double range")
    elif depth == MAX_DEPTH:
        raise InvalidInput(field, f"nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, list):
        for item in value:
            _check(item, field, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise InvalidInput(field, "an object's names are texts")
            _check_text(name, field)
            _check(item, field, depth + 1)
    else:
        raise InvalidInput(field, f"{type(value).__name__} is no JSON value")


def _check_text(text: str, field: str) -> None:
    if "\x00" in text:
        raise InvalidInput(field, "a text has U+0000")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput(field, "a text has a lone surrogate") from None


def parsed(text: JsonText) -> Any:
    """The value in ``text``."""
    return _decode(text)


def unparsed(value: Any) -> JsonText:
    """Compact text of a value made of checked parts."""
    return JsonText(_encode(value).decode())


def whole(number: float) -> int | float:
    """``number`` as an int where that says the same, so that a counter shows 5 and not 5.0."""
    if isinstance(number, float) and number.is_integer() and abs(number) <= _MAX_EXACT_FLOAT_INT:
        return int(number)
    return number


def same(a: JsonText, b: JsonText) -> bool:
    """Whether two texts stand for the same JSON value: order of names and spelling of numbers aside."""
    return a == b or same_value(_decode(a), _decode(b))


def same_value(a: Any, b: Any) -> bool:
    """JSON equality of parsed values. Unlike Python's, true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, dict):
        return (
            isinstance(b, dict) and a.keys() == b.keys() and all(same_value(item, b[name]) for name, item in a.items())
        )
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same_value(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float):
        return isinstance(b, int | float) and a == b
    return isinstance(b, str) and a == b

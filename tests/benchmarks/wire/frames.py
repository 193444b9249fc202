"""Frames of RFC 6455: a client's are written, a server's are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator

TEXT, CLOSE = 1, 8

_ZERO_MASK = b"\0\0\0\0"
"""With it a payload is masked by leaving it as it is."""


def text_frame(payload: bytes) -> bytes:
    """A whole text message as a client sends it."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    return head + _ZERO_MASK + payload


class FrameReader:
    """Takes bytes as they come, and gives whole frames. Messages in fragments are not understood."""

    def __init__(self) -> None:
        self._rest = b""

    def frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """``(opcode, payload)`` of each frame that is complete now."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size = data[at + 1]
            begin = at + 2
            if size == 126:
                begin += 2
                if end < begin:
                    break
                size = data[at + 2] << 8 | data[at + 3]
            elif size == 127:
                begin += 8
                if end < begin:
                    break
                size = int.from_bytes(data[at + 2 : begin])
            if end < begin + size:
                break
            yield data[at] & 0x0F, data[begin : begin + size]
            at = begin + size
        self._rest = data[at:]

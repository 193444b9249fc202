"""What nodes write to each other about presence, as bytes for the bus.

A letter is a byte for the format, one for the kind, and the rest in MessagePack. What a node cannot read it leaves out:
of another version's format nothing is believed, and what is lost by that is said again, or expires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from syncline.core.ids import DeviceId, IdentityId
from syncline.core.json_values import JsonText
from syncline.core.presence import Announcement, ConnectionId, Entry, NodeId

FORMAT: Final = 1
"""Raise it when a node of the version before could misread a letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who is there? The other nodes announce all of their own."""

    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSet:
    """A device has set its state by way of a node that it is not present on."""

    node: NodeId
    identity: IdentityId
    device: DeviceId | None
    state: JsonText


Letter = Announcement | Question | StateSet

_KINDS: Final = (Announcement, Question, StateSet)
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODERS: Final = tuple(msgspec.msgpack.Decoder[Letter](kind) for kind in _KINDS)
_ENVELOPE_BYTES: Final = 256
"""All of an announcement but its entries and who is gone."""
_CONNECTION_BYTES: Final = 9


def written(letter: Letter) -> bytes:
    return bytes((FORMAT, _KINDS.index(type(letter)))) + _ENCODE(letter)


def read(data: bytes) -> Letter | None:
    """The letter; None: it is none that this version knows."""
    if len(data) < 2 or data[0] != FORMAT or data[1] >= len(_KINDS):
        return None
    try:
        return _DECODERS[data[1]].decode(data[2:])
    except (msgspec.MsgspecError, ValueError):
        return None


def announced(
    node: NodeId,
    numbers: Iterator[int],
    entries: Mapping[ConnectionId, Entry],
    *,
    gone: tuple[ConnectionId, ...] = (),
    whole: bool = False,
    max_bytes: int,
) -> Iterator[bytes]:
    """The announcement of these entries, in as many letters as it takes. ``whole``: they are all that the node has."""
    parts = list(_parts(entries, max_bytes - _ENVELOPE_BYTES))
    # All of a whole announcement begin where the one before ends, so nobody is in none of them.
    starts = [ConnectionId(0), *(min(part) for part in parts[1:])]
    ends = [*starts[1:], None]
    if whole:
        for part, start, end in zip(parts, starts, ends, strict=True):
            yield written(Announcement(node=node, number=next(numbers), entries=part, all_from=start, all_before=end))
        return
    for part in parts:
        if part:
            yield written(Announcement(node=node, number=next(numbers), entries=part))
    step = (max_bytes - _ENVELOPE_BYTES) // _CONNECTION_BYTES
    for place in range(0, len(gone), step):
        yield written(Announcement(node=node, number=next(numbers), entries={}, gone=gone[place : place + step]))


def _parts(entries: Mapping[ConnectionId, Entry], max_bytes: int) -> Iterator[dict[ConnectionId, Entry]]:
    """The entries by their connections, in parts that fit; at least one."""
    part: dict[ConnectionId, Entry] = {}
    size = 0
    for connection in sorted(entries):
        more = len(_ENCODE(entries[connection])) + _CONNECTION_BYTES
        if part and size + more > max_bytes:
            yield part
            part, size = {}, 0
        part[connection] = entries[connection]
        size += more
    yield part

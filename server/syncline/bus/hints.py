"""Hints as they travel between nodes.

A message is an envelope, which no version of Syncline changes, and a hint in a format that has a number::

    2 bytes  "SL"
    8 + 4    the node and which of its connections sent it      big-endian, as all numbers here
    8        how many messages that connection sent before      a number that is skipped: something was lost
    2 + n    the topic; none: a beat, which says only that the connection lives
    1        the hint's format
    16       seal
    rest     the hint, in MessagePack

So who meets a format that it does not know, as happens while nodes are restarted one by one, still knows which topic is
rung, and reads the log. The same goes for damage. The hint is encoded as the core's values are; their names and types
are therefore part of the format, and a test that holds an encoded hint says so when they change.

In the place of a hint there may be a letter, under a number that is no hint's format. Who listens for letters on the
topic gets its bytes; what they mean, and their own format, is between those who write and read them. Nothing is rung
for what is no letter.

**How far the bus is trusted.** An inline commit is delivered to devices unread if it leads on from where they are, so a
false one would put words into the log's mouth. The seal is a keyed hash (BLAKE2b) of topic and hint, by a key that all
nodes have and Redis has not: who can write to Redis, but does not know the key, can ring and waste reads of the log,
no more. Without a key the seal only finds damage, and the bus must be trusted as far as its password reaches. Either
way whoever can read from Redis reads the records in inline commits.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

import msgspec

from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, Epoch, Version
from syncline.core.model import Commit
from syncline.core.pages import page_bytes
from syncline.ports import Topic

FORMAT: Final = 2
"""Raise it when a node of the version before could misread a hint."""
LETTER: Final = 128
"""What letters have in the place of a format; those of hints are below."""
MAX_COMMIT_BYTES: Final = 16 * 1024
"""A commit that is larger, encoded, stays at home: receivers read it from the log."""

LOOK: Final = Hint(dataset=DatasetId(""), epoch=Epoch(""), version=Version(0))
"""All that can be said for a message whose hint cannot be read: it is time to look."""

_MAGIC: Final = b"SL"
_ENVELOPE: Final = struct.Struct(">2s12sQH")
_NODE: Final = slice(2, 10)
_ORIGIN_PLACE: Final = slice(2, 14)
_BEAT_MESSAGE_BYTES: Final = _ENVELOPE.size
_SEAL_BYTES: Final = 16
_FORMAT_BYTE: Final = bytes([FORMAT])
_LETTER_BYTE: Final = bytes([LETTER])
BEAT: Final = b"\x00\x00"
"""What ``enveloped`` is given for a beat: no topic, no hint."""


class NoHint(Exception):
    """The message is none of ours; there is not even a topic to ring."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every version of Syncline can read of a message. ``topic`` empty: a beat."""

    origin: bytes
    sequence: int
    topic: Topic
    letter: bytes
    """What is for ``HintCodec.hint`` or ``HintCodec.letter``."""


def origin_of(node: bytes, connection: int) -> bytes:
    """Which connection of which node sends; ``node`` is 8 bytes made for this process."""
    return node + connection.to_bytes(4)


def node_in(message: bytes) -> bytes:
    """The node that sent the message, if it is one of ours."""
    return message[_NODE]


def is_beat(message: bytes, origin: bytes) -> bool:
    """Whether it is a beat, by this very connection."""
    return len(message) == _BEAT_MESSAGE_BYTES and message[_ORIGIN_PLACE] == origin


def enveloped(origin: bytes, sequence: int, rest: bytes) -> bytes:
    """The message; ``rest`` is what ``HintCodec.sealed`` or ``sealed_letter`` made, or ``BEAT``."""
    return b"%b%b%b%b" % (_MAGIC, origin, sequence.to_bytes(8), rest)


def opened(message: bytes) -> Envelope:
    """The message without its envelope. Raises NoHint."""
    try:
        magic, origin, sequence, length = _ENVELOPE.unpack_from(message)
        end = _ENVELOPE.size + length
        if magic != _MAGIC or len(message) < end:
            raise NoHint
        return Envelope(origin, sequence, Topic(message[_ENVELOPE.size : end].decode()), message[end:])
    except (struct.error, UnicodeDecodeError) as error:
        raise NoHint from error


class HintCodec:
    """Seals hints and letters, and reads those that were sealed with the same key; without a key, with none."""

    def __init__(self, secret: bytes = b"") -> None:
        key = blake2b(secret, digest_size=32, person=b"syncline bus").digest() if secret else b""
        self._hasher = blake2b(key=key, digest_size=_SEAL_BYTES)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Hint).decode

    def sealed(self, topic: Topic, hint: Hint) -> bytes:
        """Topic and hint, for ``enveloped``; without the commit if that is too large."""
        if hint.commit is not None and _surely_too_large(hint.commit):
            hint = replace(hint, commit=None)
        body = self._encode(hint)
        if len(body) > MAX_COMMIT_BYTES:
            body = self._encode(replace(hint, commit=None))
        name = topic.encode()
        return b"%b%b%b%b%b" % (len(name).to_bytes(2), name, _FORMAT_BYTE, self._seal(name, body), body)

    def hint(self, envelope: Envelope) -> Hint:
        """The hint, exactly as it was published; LOOK if it is of another format, damaged or not sealed by us."""
        kind, seal, body = _parts(envelope.letter)
        if kind != _FORMAT_BYTE or not hmac.compare_digest(seal, self._seal(envelope.topic.encode(), body)):
            return LOOK
        try:
            return self._decode(body)
        except Exception:
            # Whatever is wrong with it: who rings may not stop who reads.
            return LOOK

    def sealed_letter(self, topic: Topic, letter: bytes) -> bytes:
        """Topic and letter, for ``enveloped``."""
        name = topic.encode()
        seal = self._seal(name, _LETTER_BYTE + letter)
        return b"%b%b%b%b%b" % (len(name).to_bytes(2), name, _LETTER_BYTE, seal, letter)

    def letter(self, envelope: Envelope) -> bytes | None:
        """The letter, exactly as it was told; None if it is damaged, not sealed by us, or no letter."""
        kind, seal, body = _parts(envelope.letter)
        if kind != _LETTER_BYTE:
            return None
        sealed = self._seal(envelope.topic.encode(), _LETTER_BYTE + body)
        return body if hmac.compare_digest(seal, sealed) else None

    def _seal(self, topic: bytes, body: bytes) -> bytes:
        hasher = self._hasher.copy()
        hasher.update(b"%b\x00%b" % (topic, body))
        return hasher.digest()


def _parts(letter: bytes) -> tuple[bytes, bytes, bytes]:
    """Format, seal and the rest."""
    return letter[:1], letter[1 : 1 + _SEAL_BYTES], letter[1 + _SEAL_BYTES :]


def _surely_too_large(commit: Commit) -> bool:
    """Whether its records' texts alone are: then it need not be encoded to find out."""
    size = 0
    for record in commit.records:
        size += page_bytes(record)
        if size > MAX_COMMIT_BYTES:
            return True
    return False

"""Checkpoints: what a device has applied, as opaque text, and whether the log can still go on from there."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from syncline.core.ids import DatasetId, Epoch, Version
from syncline.core.model import BEGINNING, DatasetHead, Position
from syncline.errors import InvalidCheckpoint

START: Final = "start"
"""The literal by which a device says that it has nothing."""

_LAYOUT = struct.Struct(">B8s16s6sI6s")
_VERSION_BYTES = 6
_FORMAT = 1
_MAX_CHARACTERS = 64


class ResyncReason(StrEnum):
    """Why a device must pull its dataset anew."""

    EPOCH_CHANGED = "EPOCH_CHANGED"
    CHECKPOINT_TOO_OLD = "CHECKPOINT_TOO_OLD"
    CHECKPOINT_FROM_FUTURE = "CHECKPOINT_FROM_FUTURE"
    DATASET_RECREATED = "DATASET_RECREATED"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A position in the log ``epoch`` of the dataset incarnation ``dataset``."""

    epoch: Epoch
    dataset: DatasetId
    position: Position

    def __str__(self) -> str:
        """The opaque text: base64url of format, epoch, dataset, position and a check sum; 60 characters."""
        body = _LAYOUT.pack(
            _FORMAT,
            bytes.fromhex(self.epoch),
            bytes.fromhex(self.dataset),
            self.position.version.to_bytes(_VERSION_BYTES),
            self.position.offset,
            self.position.begun.to_bytes(_VERSION_BYTES),
        )
        return base64.urlsafe_b64encode(body + struct.pack(">I", zlib.crc32(body))).rstrip(b"=").decode()


Since = Checkpoint | Literal["start"]


def parse_since(text: str) -> Since:
    """The checkpoint in ``text``, or START. Raises InvalidCheckpoint."""
    if text == START:
        return START
    if len(text) > _MAX_CHARACTERS:
        raise InvalidCheckpoint(f"{len(text)} characters, at most {_MAX_CHARACTERS}")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise InvalidCheckpoint("not base64url") from None
    if len(data) != _LAYOUT.size + 4:
        raise InvalidCheckpoint("wrong length")
    body, check = data[:-4], data[-4:]
    if struct.pack(">I", zlib.crc32(body)) != check:
        raise InvalidCheckpoint("the check sum does not match")
    format_, epoch, dataset, version, offset, begun = _LAYOUT.unpack(body)
    if format_ != _FORMAT:
        raise InvalidCheckpoint(f"format {format_} is not known")
    checkpoint = Checkpoint(
        epoch=Epoch(epoch.hex()),
        dataset=DatasetId(dataset.hex()),
        position=Position(Version(int.from_bytes(version)), offset, Version(int.from_bytes(begun))),
    )
    if str(checkpoint) != text:
        # Python's decoder takes base64's other alphabet too.
        raise InvalidCheckpoint("not spelled as it was issued")
    return checkpoint


def resync_reason(since: Since | None, head: DatasetHead | None, epoch: Epoch) -> ResyncReason | None:
    """Why the log of the dataset that now stands at ``head`` (None: there is none) cannot be continued from ``since``.

    None: it can. A device that holds nothing is never told to resync.
    """
    if since is None or since == START:
        return None
    if since.epoch != epoch:
        return ResyncReason.EPOCH_CHANGED
    if head is None or since.dataset != head.id:
        return ResyncReason.DATASET_RECREATED
    if since.position > Position(head.version) or since.position.begun > head.version:
        return ResyncReason.CHECKPOINT_FROM_FUTURE
    if since.position != BEGINNING and max(since.position.version, since.position.begun) < head.pruned_through:
        return ResyncReason.CHECKPOINT_TOO_OLD
    return None


def position_of(since: Since | None) -> Position:
    """What a device that names ``since`` has seen."""
    return BEGINNING if since is None or since == START else since.position

"""Checkpoints: their text, and whether the log can go on from them."""

from __future__ import annotations

import base64
import string
import struct
import zlib

import pytest

from syncline.core.checkpoint import START, Checkpoint, ResyncReason, Since, parse_since, position_of, resync_reason
from syncline.core.ids import Version
from syncline.core.model import BEGINNING, DatasetHead, Position
from syncline.errors import InvalidCheckpoint
from tests.support.core_builders import (
    DATASET,
    EPOCH,
    OTHER_DATASET,
    OTHER_EPOCH,
    at,
    checkpoint,
    head_of,
)

TEXT = str(checkpoint(7, 3))


def test_a_checkpoint_survives_its_text() -> None:
    assert parse_since(TEXT) == checkpoint(7, 3)
    began = Checkpoint(EPOCH, DATASET, Position(Version(7), 3, Version(9)))
    again = parse_since(str(began))
    assert isinstance(again, Checkpoint)
    assert again.position.begun == 9


def test_the_greatest_checkpoint_has_at_most_64_characters_fit_for_a_url() -> None:
    great = Checkpoint(EPOCH, DATASET, Position(Version(2**48 - 1), 2**32 - 1, Version(2**48 - 1)))
    assert parse_since(str(great)) == great
    assert len(str(great)) <= 64
    assert set(str(great)) <= set(string.ascii_letters + string.digits + "-_")


def test_start_says_that_a_device_has_nothing() -> None:
    assert parse_since("start") == START
    assert position_of(START) == position_of(None) == BEGINNING
    assert position_of(checkpoint(7, 3)) == at(7, 3)


@pytest.mark.parametrize("place", range(len(TEXT)))
def test_a_checkpoint_damaged_in_any_one_character_is_refused(place: int) -> None:
    for character in string.ascii_letters + string.digits + "-_+/= \n.é":
        if character != TEXT[place]:
            with pytest.raises(InvalidCheckpoint):
                parse_since(TEXT[:place] + character + TEXT[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "START",
        "start ",
        "Start",
        TEXT[:-1],
        TEXT + "A",
        TEXT + "=",
        TEXT + "\n",
        TEXT * 2,
        "A" * 60,
        "A" * 1_000_000,
        "é" * 60,
        "\ud800",
        "7",
    ],
)
def test_what_no_server_issued_is_refused(text: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        parse_since(text)


def test_a_checkpoint_in_the_other_alphabet_of_base64_is_refused() -> None:
    """Symptom: two texts stood for the same checkpoint, and a damaged one passed."""
    with_minus = next(
        text for text in (str(checkpoint(version)) for version in range(1_000)) if "-" in text or "_" in text
    )
    with pytest.raises(InvalidCheckpoint):
        parse_since(with_minus.replace("-", "+").replace("_", "/"))


def test_a_checkpoint_of_a_format_to_come_is_refused() -> None:
    body = b"\x02" + base64.urlsafe_b64decode(TEXT)[1:-4]
    text = base64.urlsafe_b64encode(body + struct.pack(">I", zlib.crc32(body))).decode()
    with pytest.raises(InvalidCheckpoint, match="format 2"):
        parse_since(text)


HEAD = head_of(version=9, pruned_through=5)


@pytest.mark.parametrize(
    ("since", "head", "reason"),
    [
        (None, HEAD, None),
        (START, HEAD, None),
        (START, None, None),
        (checkpoint(9), HEAD, None),
        (checkpoint(5), HEAD, None),
        (checkpoint(8, 2), HEAD, None),
        (checkpoint(0), HEAD, None),
        (checkpoint(4), HEAD, ResyncReason.CHECKPOINT_TOO_OLD),
        (checkpoint(4, 7), HEAD, ResyncReason.CHECKPOINT_TOO_OLD),
        (checkpoint(0, 1), HEAD, ResyncReason.CHECKPOINT_TOO_OLD),
        (checkpoint(10), HEAD, ResyncReason.CHECKPOINT_FROM_FUTURE),
        (checkpoint(9, 1), HEAD, ResyncReason.CHECKPOINT_FROM_FUTURE),
        (checkpoint(9, epoch=OTHER_EPOCH), HEAD, ResyncReason.EPOCH_CHANGED),
        (checkpoint(9, dataset=OTHER_DATASET), HEAD, ResyncReason.DATASET_RECREATED),
        (checkpoint(9), None, ResyncReason.DATASET_RECREATED),
        (checkpoint(9, epoch=OTHER_EPOCH, dataset=OTHER_DATASET), None, ResyncReason.EPOCH_CHANGED),
    ],
)
def test_the_log_leads_on_exactly_if_it_holds_all_that_is_missing(
    since: Since | None, head: DatasetHead | None, reason: ResyncReason | None
) -> None:
    assert resync_reason(since, head, EPOCH) is reason


def test_a_device_that_began_with_nothing_needs_no_tombstones_from_before_it_began() -> None:
    """Symptom: the second page of a first pull was answered CHECKPOINT_TOO_OLD, and so for ever."""

    def reading_on(begun: int) -> Checkpoint:
        return Checkpoint(EPOCH, DATASET, Position(Version(2), 0, Version(begun)))

    assert resync_reason(reading_on(9), HEAD, EPOCH) is None
    assert resync_reason(reading_on(5), HEAD, EPOCH) is None
    assert resync_reason(reading_on(4), HEAD, EPOCH) is ResyncReason.CHECKPOINT_TOO_OLD
    assert resync_reason(reading_on(10), HEAD, EPOCH) is ResyncReason.CHECKPOINT_FROM_FUTURE

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.bus.hints import (
    BEAT,
    FORMAT,
    LOOK,
    MAX_COMMIT_BYTES,
    HintCodec,
    NoHint,
    enveloped,
    is_beat,
    node_in,
    opened,
    origin_of,
)
from syncline.core.feed import Hint, Mark, OnHint, on_hint
from syncline.core.ids import DatasetId, DeviceId, Epoch, IdentityId, RecordKey, Version
from syncline.core.json_values import json_text
from syncline.core.model import Author, Commit, FieldVersions, Position, Record
from syncline.ports import Topic
from tests.property.strategies import documents
from tests.support.hints import EPOCH, a_dataset, a_hint, a_topic

NODE = b"node-one"
ORIGIN = origin_of(NODE, 3)
CODEC = HintCodec(b"a secret that all nodes have")

versions = st.integers(0, 2**63 - 1).map(Version)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
instants = st.datetimes(timezones=st.just(UTC))
authors = st.builds(Author, identity=texts.map(IdentityId), device=st.none() | texts.map(DeviceId))
positions = st.builds(Position, versions, st.integers(0, 2_000), versions)
records = st.builds(
    Record,
    key=texts.map(RecordKey),
    value=st.none() | documents.map(lambda value: json_text(value, field="value")),
    version=versions,
    ordinal=st.integers(0, 2_000),
    updated_at=instants,
    updated_by=authors,
    device_time=st.none() | instants,
    field_versions=st.none()
    | st.builds(FieldVersions, rest=versions, fields=st.dictionaries(texts, versions, max_size=3)),
    unseen=st.none() | versions,
)
commits = st.builds(
    Commit,
    dataset=st.integers(0, 9).map(a_dataset),
    epoch=texts.map(Epoch),
    previous=positions,
    position=positions,
    author=st.none() | authors,
    records=st.lists(records, max_size=4).map(tuple),
)
hints = st.builds(
    Hint,
    dataset=st.integers(0, 9).map(a_dataset),
    epoch=texts.map(Epoch),
    version=versions,
    previous=st.none() | versions,
    commit=st.none() | commits,
)
topics = texts.map(Topic)


def message(hint: Hint, topic: Topic | None = None, *, sequence: int = 0, codec: HintCodec = CODEC) -> bytes:
    return enveloped(ORIGIN, sequence, codec.sealed(topic or a_topic(), hint))


def read(data: bytes, codec: HintCodec = CODEC) -> Hint:
    return codec.hint(opened(data))


@given(hint=hints, topic=topics, sequence=st.integers(0, 2**64 - 1))
def test_what_arrives_is_what_was_published(hint: Hint, topic: Topic, sequence: int) -> None:
    envelope = opened(message(hint, topic, sequence=sequence))
    assert (envelope.origin, envelope.sequence, envelope.topic) == (ORIGIN, sequence, topic)
    arrived = CODEC.hint(envelope)
    assert arrived == hint
    # Not part of what makes positions equal.
    assert arrived.commit is None or arrived.commit.position.begun == (hint.commit and hint.commit.position.begun)
    assert arrived.commit is None or arrived.commit.previous.begun == (hint.commit and hint.commit.previous.begun)


@given(junk=st.binary(max_size=200))
def test_junk_is_no_hint_and_raises_nothing_else(junk: bytes) -> None:
    for data in (junk, b"SL" + junk):
        try:
            envelope = opened(data)
        except NoHint:
            continue
        assert CODEC.hint(envelope) == LOOK


@given(hint=hints, data=st.data())
def test_damage_rings_at_most(hint: Hint, data: st.DataObject) -> None:
    whole = message(hint)
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(changed), whole[:place], whole + b"\x00"):
        try:
            envelope = opened(damaged)
        except NoHint:
            continue
        assert CODEC.hint(envelope) in (LOOK, hint)
        if CODEC.hint(envelope) == hint:
            # Only who sent it, and as which message, is outside the seal.
            assert 2 <= place < 22
            assert envelope.topic == a_topic()


def test_a_format_of_the_future_rings_its_topic() -> None:
    data = bytearray(message(a_hint()))
    place = len(data) - len(CODEC.sealed(a_topic(), a_hint())) + 2 + len(a_topic())
    assert data[place] == FORMAT
    data[place] = FORMAT + 1
    envelope = opened(bytes(data))
    assert envelope.topic == a_topic()
    assert CODEC.hint(envelope) == LOOK


@pytest.mark.parametrize("secret", [b"", b"another secret"])
def test_a_hint_sealed_by_somebody_else_rings_and_is_not_believed(secret: bytes) -> None:
    assert read(message(a_hint(), codec=HintCodec(secret))) == LOOK
    assert read(message(a_hint(), codec=HintCodec(secret)), HintCodec(secret)) == a_hint()


def test_a_hint_moved_to_another_topic_is_not_believed() -> None:
    letter = CODEC.sealed(a_topic(1), a_hint())
    moved = letter.replace(a_topic(1).encode(), a_topic(2).encode())
    assert read(enveloped(ORIGIN, 0, moved)) == LOOK


def test_looking_means_to_read_the_log() -> None:
    for mark in (Mark(EPOCH, Position(Version(0))), Mark(EPOCH, Position(Version(9)))):
        assert on_hint(mark, LOOK) is OnHint.READ_LOG


@pytest.mark.parametrize("size", [MAX_COMMIT_BYTES - 1_000, MAX_COMMIT_BYTES - 200, MAX_COMMIT_BYTES + 1, 1_000_000])
def test_a_large_commit_stays_at_home(size: int) -> None:
    hint = a_hint(value=f'"{"x" * size}"')
    data = message(hint)
    assert len(data) <= MAX_COMMIT_BYTES + 200
    assert read(data) == (hint if size == MAX_COMMIT_BYTES - 1_000 else replace(hint, commit=None))


def test_a_beat_is_told_from_a_hint() -> None:
    beat = enveloped(ORIGIN, 5, BEAT)
    assert is_beat(beat, ORIGIN)
    assert not is_beat(beat, origin_of(NODE, 4))
    assert not is_beat(message(a_hint()), ORIGIN)
    assert node_in(beat) == NODE
    assert opened(beat).topic == ""


def test_the_format_is_what_it_was() -> None:
    """If this fails, nodes of the version before may misread hints: raise FORMAT, and only then change this."""
    hint = a_hint(7)
    assert hint.commit is not None
    record = replace(
        hint.commit.records[0],
        device_time=datetime(2026, 7, 1, tzinfo=UTC),
        field_versions=FieldVersions(rest=Version(3), fields={"text": Version(7)}),
        unseen=Version(5),
    )
    hint = replace(hint, dataset=DatasetId("d" * 32), commit=replace(hint.commit, records=(record,)))
    data = enveloped(ORIGIN, 258, HintCodec().sealed(Topic("dataset:d"), hint))
    head = b"SLnode-one\0\0\0\3\0\0\0\0\0\0\1\2\0\x09dataset:d\2"
    assert data.startswith(head)
    alice = {"identity": "alice", "device": "phone"}
    assert msgspec.msgpack.decode(data[len(head) + 16 :]) == {
        "dataset": "d" * 32,
        "epoch": "e" * 16,
        "version": 7,
        "previous": 6,
        "commit": {
            "dataset": "0" * 32,
            "epoch": "e" * 16,
            "previous": {"version": 6, "offset": 0, "begun": 0},
            "position": {"version": 7, "offset": 0, "begun": 0},
            "author": alice,
            "records": [
                {
                    "key": "note",
                    "value": '{"text":"milk"}',
                    "version": 7,
                    "ordinal": 0,
                    "updated_at": datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC),
                    "updated_by": alice,
                    "device_time": datetime(2026, 7, 1, tzinfo=UTC),
                    "field_versions": {"rest": 3, "fields": {"text": 7}},
                    "unseen": 5,
                }
            ],
            "scope": 0,
        },
    }
    sealed = b"dataset:d\0" + data[len(head) + 16 :]
    assert data[len(head) : len(head) + 16] == hashlib.blake2b(sealed, digest_size=16).digest()


# --- letters ----------------------------------------------------------------------------------------------------------


def letter_message(letter: bytes, topic: Topic | None = None, *, codec: HintCodec = CODEC) -> bytes:
    return enveloped(ORIGIN, 0, codec.sealed_letter(topic or a_topic(), letter))


@given(letter=st.binary(max_size=300), topic=topics)
def test_a_letter_arrives_as_it_was_told(letter: bytes, topic: Topic) -> None:
    envelope = opened(letter_message(letter, topic))
    assert envelope.topic == topic
    assert CODEC.letter(envelope) == letter


@given(junk=st.binary(max_size=200))
def test_junk_is_no_letter(junk: bytes) -> None:
    for data in (junk, b"SL" + junk):
        try:
            envelope = opened(data)
        except NoHint:
            continue
        assert CODEC.letter(envelope) is None


@given(letter=st.binary(max_size=100), data=st.data())
def test_a_damaged_letter_is_left_out(letter: bytes, data: st.DataObject) -> None:
    whole = letter_message(letter)
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(changed), whole[:place], whole + b"\x00"):
        try:
            envelope = opened(damaged)
        except NoHint:
            continue
        # Only who sent it, and as which message, is outside the seal.
        assert CODEC.letter(envelope) is None or 2 <= place < 22


def test_a_letter_of_somebody_without_the_secret_is_left_out() -> None:
    forged = opened(letter_message(b"mallory is here", codec=HintCodec(b"another secret")))
    assert CODEC.letter(forged) is None
    assert CODEC.letter(opened(letter_message(b"mallory is here", codec=HintCodec()))) is None


def test_to_who_waits_for_hints_a_letter_only_rings_as_to_nodes_that_know_no_letters() -> None:
    assert read(letter_message(b"a letter")) == LOOK


def test_a_hint_is_no_letter() -> None:
    assert CODEC.letter(opened(message(a_hint()))) is None


def test_a_letter_cannot_be_passed_off_on_another_topic() -> None:
    sealed = CODEC.sealed_letter(a_topic(1), b"here")
    moved = sealed.replace(a_topic(1).encode(), a_topic(2).encode())
    assert CODEC.letter(opened(enveloped(ORIGIN, 0, moved))) is None

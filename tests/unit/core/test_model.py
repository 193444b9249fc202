"""Records, positions and commits as values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from syncline.core.ids import Version
from syncline.core.model import BEGINNING, DatasetRef, FieldVersions, Position
from tests.support.core_builders import DATASET, NAME, at, author, commit, js, record, viewer


def test_a_position_covers_whole_versions_and_the_first_records_of_the_next() -> None:
    here = at(4, 2)
    assert here.covers(record(version=4, ordinal=9))
    assert here.covers(record(version=5, ordinal=1))
    assert not here.covers(record(version=5, ordinal=2))
    assert not here.covers(record(version=6, ordinal=0))
    assert not BEGINNING.covers(record(version=1, ordinal=0))


def test_positions_are_in_the_order_of_the_log() -> None:
    assert BEGINNING < at(0, 1) < at(1) < at(1, 5) < at(2)


def test_where_a_device_began_does_not_matter_to_where_it_stands() -> None:
    assert Position(Version(4), 2, Version(9)) == at(4, 2)
    assert hash(Position(Version(4), 2, Version(9))) == hash(at(4, 2))


def test_a_tombstone_is_deleted_and_takes_no_space_and_null_is_a_value() -> None:
    assert record(value=None).deleted
    assert record(value=None).size_bytes == 0
    assert not record(value=js(None)).deleted
    assert record("k", js(None)).size_bytes == 5


def test_a_records_size_is_that_of_its_utf_8_key_and_value() -> None:
    assert record("é", js("€")).size_bytes == 2 + 5


def test_fields_without_a_version_of_their_own_have_that_of_the_rest() -> None:
    versions = FieldVersions(rest=Version(3), fields={"a": Version(7)})
    assert (versions.of("a"), versions.of("b")) == (7, 3)
    assert record(version=9).version_of_field("a") == 9
    assert record(version=9, field_versions=versions).version_of_field("b") == 3


def test_a_commits_version_is_the_last_of_which_it_holds_a_part() -> None:
    assert commit(5).version == 5
    assert commit(5, position=at(5, 1)).version == 6


def test_a_viewer_writes_as_its_identity_and_device() -> None:
    assert viewer("phone").author == author("phone")
    assert viewer(None).author == author(None)


def test_a_reference_reads_as_what_it_names() -> None:
    assert str(DatasetRef(id=DATASET)) == DATASET
    assert str(DatasetRef(name=NAME)) == NAME


def test_values_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        record().version = Version(2)  # type: ignore[misc] # that is the point

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncline.client.cache import Cache, Delta, SyncedRecord, covered_version
from syncline.client.database import Database
from syncline.core.ids import RecordKey
from tests.support.core_builders import NAME, js


@pytest.fixture
def cache() -> Iterator[Cache]:
    database = Database(":memory:")
    yield Cache(database, NAME)
    database.close()


def a_record(key: str, value: object, version: int) -> SyncedRecord:
    return SyncedRecord(key=RecordKey(key), value=None if value is None else js(value), version=version)


def a_delta(since: str, checkpoint: str, *records: SyncedRecord, complete: bool = True) -> Delta:
    return Delta(
        since=since,
        checkpoint=checkpoint,
        records=records,
        complete=complete,
        covered_version=covered_version(records, complete=complete),
        dataset_id="d",
    )


def test_records_and_checkpoint_move_together(cache: Cache) -> None:
    assert cache.apply(a_delta("start", "c1", a_record("a", 1, 1), a_record("b", None, 2))) == 2
    assert cache.standing().checkpoint == "c1"
    assert cache.live() == {"a": "1"}
    assert cache.standing().known_version == 2


def test_a_delta_from_elsewhere_is_not_applied(cache: Cache) -> None:
    cache.apply(a_delta("start", "c1", a_record("a", 1, 1)))
    assert cache.apply(a_delta("start", "c2", a_record("a", 2, 2))) is None
    assert (cache.standing().checkpoint, cache.live()) == ("c1", {"a": "1"})


def test_an_older_state_does_not_replace_a_newer_one(cache: Cache) -> None:
    cache.learn([a_record("a", "new", 5)])
    assert cache.apply(a_delta("start", "c1", a_record("a", "old", 4))) == 0
    assert cache.live() == {"a": '"new"'}


def test_a_removed_record_does_not_come_back_from_an_older_answer(cache: Cache) -> None:
    cache.apply(a_delta("start", "c1", a_record("a", None, 5)))
    cache.learn([a_record("a", 1, 4)])
    assert cache.live() == {}


def test_watchers_get_what_was_applied_since_they_looked_in_order(cache: Cache) -> None:
    cache.learn([a_record("a", 1, 1), a_record("b", 2, 1)])
    looked = cache.sequence()
    cache.learn([a_record("b", 3, 2), a_record("a", 1, 1), a_record("c", 4, 2)])
    assert [(record.key, record.version) for record in cache.applied_after(looked)] == [("b", 2), ("c", 2)]


def test_during_a_resync_what_was_there_can_be_read_until_the_pull_is_complete(cache: Cache) -> None:
    cache.apply(a_delta("start", "c1", a_record("a", 1, 7), a_record("b", 2, 8)))
    cache.begin_resync()
    assert cache.standing().fresh
    cache.apply(a_delta("start", "d1", a_record("a", 9, 1), complete=False))
    assert cache.live() == {"a": "9", "b": "2"}
    assert cache.standing().resyncing
    cache.apply(a_delta("d1", "d2"))
    assert cache.live() == {"a": "9"}
    assert not cache.standing().resyncing


def test_what_a_resync_found_gone_is_told_to_watchers_and_gives_way_to_anything_newer(cache: Cache) -> None:
    cache.apply(a_delta("start", "c1", a_record("a", 1, 7)))
    looked = cache.sequence()
    cache.begin_resync()
    cache.apply(a_delta("start", "d1"))
    assert [(record.key, record.value, record.version) for record in cache.applied_after(looked)] == [("a", None, 0)]
    cache.apply(a_delta("d1", "d2", a_record("a", 2, 1)))
    assert cache.live() == {"a": "2"}


def test_a_cleared_dataset_is_at_the_start_and_holds_nothing(cache: Cache) -> None:
    cache.apply(a_delta("start", "c1", a_record("a", 1, 7)))
    cache.clear()
    assert (cache.live(), cache.standing().checkpoint, cache.standing().dataset_id) == ({}, "start", None)


def test_a_page_that_ends_inside_a_commit_does_not_claim_to_cover_it() -> None:
    records = [a_record("a", 1, 3), a_record("b", 1, 4)]
    assert covered_version(records, complete=False) == 3
    assert covered_version(records, complete=True) == 4
    assert covered_version([], complete=True) == 0

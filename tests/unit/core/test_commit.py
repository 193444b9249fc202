"""What a sync does to a dataset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncline.core.changes import Absent, AnyState, AtVersion, Increment, Merge, Put, Remove
from syncline.core.checkpoint import START, ResyncReason
from syncline.core.commit import Decision, Replay, Resync, Write, decide, resync_needed
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.model import BEGINNING, ConflictPolicy, DatasetRef, FieldVersions
from syncline.core.receipts import ChangeOutcome
from syncline.errors import (
    ChangeNotApplicable,
    DatasetIsDeleted,
    DatasetNotFound,
    LimitExceeded,
    MutationIdReused,
)
from tests.support.core_builders import (
    DATASET,
    EPOCH,
    NAME,
    NOW,
    OTHER_DATASET,
    OTHER_EPOCH,
    at,
    author,
    checkpoint,
    head_of,
    js,
    key,
    record,
    request,
    state,
)

APPLIED, MERGED, UNCHANGED, CONFLICT, REJECTED = ChangeStatus


def put(name: str = "k", value: object = 1) -> Put:
    """What a device means that overwrites knowingly."""
    return Put(key=key(name), value=js(value), base=AnyState())


def stale(name: str = "k", value: object = "mine") -> Put:
    return Put(key=key(name), value=js(value), base=Absent())


def written(decision: Decision) -> Write:
    assert isinstance(decision, Write)
    return decision


def statuses(write: Write) -> list[ChangeStatus]:
    return [outcome.status for outcome in write.outcomes]


THEIRS = record("k", js("theirs"), version=3, by="tablet")

# --- the dataset ------------------------------------------------------------------------------------------------------


def test_a_dataset_named_for_the_first_time_is_created_with_the_commit() -> None:
    write = written(decide(request(put("a"), put("b")), state()))
    assert write.created
    assert (write.head.id, write.head.name, write.head.version) == (DATASET, NAME, 1)
    assert (write.head.record_count, write.head.size_bytes) == (2, 4)
    assert write.head.conflict_policy is ConflictPolicy.REJECT
    assert write.head.created_at == write.head.updated_at == NOW


def test_a_sync_without_changes_creates_the_dataset_at_version_0_and_leaves_no_receipt() -> None:
    write = written(decide(request(since=START), state()))
    assert write.created
    assert write.head.version == 0
    assert (write.commit, write.receipt) == (None, None)


def test_a_dataset_id_that_is_not_known_is_not_created() -> None:
    with pytest.raises(DatasetNotFound):
        decide(request(put(), ref=DatasetRef(id=OTHER_DATASET)), state())


def test_a_device_whose_access_ended_is_not_told_to_drop_what_it_holds() -> None:
    with pytest.raises(DatasetNotFound):
        decide(request(put(), ref=DatasetRef(id=OTHER_DATASET), since=checkpoint(1, dataset=OTHER_DATASET)), state())


def test_a_deleted_dataset_is_told_as_such() -> None:
    with pytest.raises(DatasetIsDeleted):
        decide(request(put(), ref=DatasetRef(id=DATASET)), state(head=head_of(deleted=True)))


def test_a_dataset_too_many_is_over_the_limit() -> None:
    limits = Limits(datasets=2)
    assert written(decide(request(put(), limits=limits), state(owned=1))).created
    with pytest.raises(LimitExceeded) as refused:
        decide(request(put(), limits=limits), state(owned=2))
    assert refused.value.facts == {"limit": "datasets", "maximum": 2, "actual": 3}


def test_an_existing_dataset_counts_for_nothing() -> None:
    assert not written(decide(request(put(), limits=Limits(datasets=1)), state(THEIRS, owned=5))).created


# --- the commit -------------------------------------------------------------------------------------------------------


def test_all_changes_of_a_sync_are_one_commit_of_the_next_version() -> None:
    write = written(
        decide(
            request(put("a"), put("k"), Remove(key=key("b"), base=AnyState())),
            state(THEIRS, record("b", js(1), version=2)),
        )
    )
    commit = write.commit
    assert commit is not None
    assert (commit.previous, commit.position, commit.version) == (at(3), at(4), 4)
    assert [(r.key, r.version, r.ordinal, r.deleted) for r in commit.records] == [
        ("a", 4, 0, False),
        ("k", 4, 1, False),
        ("b", 4, 2, True),
    ]
    assert commit.author == author("phone")
    assert {r.updated_by for r in commit.records} == {author("phone")}
    assert {r.updated_at for r in commit.records} == {NOW}
    assert (commit.dataset, commit.epoch) == (DATASET, EPOCH)
    assert write.head.version == 4


def test_a_sync_that_changes_nothing_makes_no_version_but_leaves_a_receipt() -> None:
    write = written(decide(request(put("k", "theirs")), state(THEIRS)))
    assert statuses(write) == [UNCHANGED]
    assert write.commit is None
    assert write.head == head_of([THEIRS])
    assert write.receipt is not None
    assert write.receipt.version == 3


def test_changes_of_one_key_build_on_each_other_and_make_one_record() -> None:
    changes = (Increment(key=key(), by=1.0), Increment(key=key(), by=2.0), Put(key=key("o"), value=js(0)))
    write = written(decide(request(*changes), state()))
    assert write.commit is not None
    assert [(r.key, r.value, r.ordinal) for r in write.commit.records] == [("k", "3", 0), ("o", "0", 1)]
    assert write.head.record_count == 2


def test_the_devices_own_time_is_kept_and_orders_nothing() -> None:
    write = written(decide(request(replace(put(), device_time=NOW)), state()))
    assert write.commit is not None
    assert write.commit.records[0].device_time == NOW


def test_a_merge_moves_only_the_fields_it_names() -> None:
    before = record("k", js({"a": 1, "b": 1}), version=3, by="tablet")
    write = written(decide(request(Merge(key=key(), patch=js({"b": 2}), base=AnyState())), state(before)))
    assert write.commit is not None
    (after,) = write.commit.records
    assert after.field_versions == FieldVersions(rest=Version(3), fields={"b": Version(4)})
    assert (after.version_of_field("a"), after.version_of_field("b"), after.version_of_field("new")) == (3, 4, 3)


@pytest.mark.parametrize(
    "change",
    [put("k", {"a": 2}), Merge(key=key(), patch=js("text"), base=AnyState()), Remove(key=key(), base=AnyState())],
)
def test_anything_else_moves_all_fields(change: Put | Merge | Remove) -> None:
    before = record("k", js({"a": 1}), version=3, field_versions=FieldVersions(rest=Version(1), fields={}))
    write = written(decide(request(change), state(before)))
    assert write.commit is not None
    (after,) = write.commit.records
    assert after.field_versions is None
    assert after.version_of_field("a") == 4


def test_when_field_versions_pile_up_every_field_counts_as_written_by_the_latest_commit() -> None:
    many = FieldVersions(rest=Version(1), fields={f"f{n}": Version(2) for n in range(256)})
    before = record("k", js({"a": 1}), version=3, field_versions=many)
    write = written(decide(request(Merge(key=key(), patch=js({"one more": 1}), base=AnyState())), state(before)))
    assert write.commit is not None
    assert write.commit.records[0].field_versions is None


# --- atomic and per-change mode ---------------------------------------------------------------------------------------


def test_in_atomic_mode_one_conflict_leaves_everything_as_it_was() -> None:
    write = written(decide(request(put("a"), stale(), put("b")), state(THEIRS)))
    assert write.conflicted
    assert statuses(write) == [APPLIED, CONFLICT, APPLIED]
    assert write.commit is None
    assert write.head == head_of([THEIRS])
    assert write.receipt is not None
    assert write.receipt.version is None


def test_in_per_change_mode_the_others_go_through() -> None:
    write = written(decide(request(put("a"), stale(), put("b"), atomic=False), state(THEIRS)))
    assert not write.conflicted
    assert statuses(write) == [APPLIED, CONFLICT, APPLIED]
    assert write.commit is not None
    assert [(r.key, r.ordinal) for r in write.commit.records] == [("a", 0), ("b", 1)]
    assert write.head.record_count == 3


def test_in_atomic_mode_a_change_that_does_not_apply_fails_the_sync() -> None:
    with pytest.raises(ChangeNotApplicable):
        decide(request(put("a"), Increment(key=key(), by=1.0)), state(THEIRS))


def test_in_per_change_mode_a_change_that_does_not_apply_is_rejected_with_the_errors_code_and_facts() -> None:
    write = written(decide(request(put("a"), Increment(key=key(), by=1.0), atomic=False), state(THEIRS)))
    assert write.outcomes[1] == ChangeOutcome(
        status=REJECTED,
        code="CHANGE_NOT_APPLICABLE",
        details={"key": "k", "operation": "increment", "reason": "the record's value is no number"},
    )
    assert statuses(write) == [APPLIED, REJECTED]


@pytest.mark.parametrize("atomic", [True, False])
def test_the_clients_choice_of_policy_goes_before_the_datasets(atomic: bool) -> None:
    dataset = state(THEIRS, head=head_of([THEIRS], policy=ConflictPolicy.LAST_WRITER_WINS))
    assert statuses(written(decide(request(stale(), atomic=atomic), dataset))) == [APPLIED]
    chosen = request(stale(), on_conflict=ConflictPolicy.REJECT, atomic=atomic)
    assert statuses(written(decide(chosen, dataset))) == [CONFLICT]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_as_many_changes_as_allowed_are_taken_and_one_more_is_over_the_limit() -> None:
    limits = Limits(changes_per_sync=2)
    decide(request(put("a"), put("b"), limits=limits), state())
    with pytest.raises(LimitExceeded) as refused:
        decide(request(put("a"), put("b"), put("c"), limits=limits, atomic=False), state())
    assert refused.value.facts == {"limit": "changesPerSync", "maximum": 2, "actual": 3}


def test_in_atomic_mode_only_the_whole_counts() -> None:
    limits = Limits(records=1)
    changes = (put("a"), Remove(key=key(), base=AnyState()))
    assert written(decide(request(*changes, limits=limits), state(THEIRS))).head.record_count == 1
    with pytest.raises(LimitExceeded) as refused:
        decide(request(put("a"), put("k"), limits=limits), state(THEIRS))
    assert refused.value.facts == {"limit": "records", "maximum": 1, "actual": 2}


def test_in_per_change_mode_the_change_that_goes_over_is_rejected_before_it_is_written() -> None:
    write = written(
        decide(request(put("a"), put("b"), put("k"), limits=Limits(records=2), atomic=False), state(THEIRS))
    )
    assert statuses(write) == [APPLIED, REJECTED, APPLIED]
    assert write.outcomes[1].code == "LIMIT_EXCEEDED"
    assert write.outcomes[1].details == {"limit": "records", "maximum": 2, "actual": 3, "key": "b"}
    assert write.commit is not None
    assert [r.key for r in write.commit.records] == ["a", "k"]
    assert write.head.record_count == 2


def test_a_dataset_may_be_filled_to_the_last_byte_and_no_further() -> None:
    limits = Limits(dataset_bytes=10)
    full = put("kk", "123456")
    assert written(decide(request(full, limits=limits), state())).head.size_bytes == 10
    with pytest.raises(LimitExceeded) as refused:
        decide(request(put("kk", "1234567"), limits=limits), state())
    assert refused.value.facts == {"limit": "datasetBytes", "maximum": 10, "actual": 11}


def test_sizes_are_counted_in_utf_8_bytes() -> None:
    assert written(decide(request(put("é", "é")), state())).head.size_bytes == 2 + 4


def test_a_key_may_be_as_long_as_allowed_and_no_longer() -> None:
    limits = Limits(key_bytes=4)
    decide(request(put("éé"), limits=limits), state())
    with pytest.raises(LimitExceeded) as refused:
        decide(request(put("ééx"), limits=limits), state())
    assert refused.value.facts == {"limit": "keyBytes", "maximum": 4, "actual": 5, "key": "ééx"}


def test_a_dataset_over_a_lowered_limit_may_shrink_and_may_not_grow() -> None:
    limits = Limits(records=1, dataset_bytes=3)
    held = [record("a", js("long"), version=1), record("b", js("long"), version=2), record("c", js(1), version=3)]
    shrunk = written(decide(request(Remove(key=RecordKey("a"), base=AnyState()), limits=limits), state(*held)))
    assert shrunk.head.record_count == 2
    with pytest.raises(LimitExceeded):
        decide(request(put("d", 1), limits=limits), state(*held))
    with pytest.raises(LimitExceeded):
        decide(request(put("c", "longer"), limits=limits), state(*held))


# --- retries ----------------------------------------------------------------------------------------------------------


def test_a_retry_is_answered_from_its_receipt_whatever_was_written_since() -> None:
    asked = request(put("k", "mine"), since=START)
    first = written(decide(asked, state(THEIRS)))
    later = record("k", js("later"), version=9, by="tablet")
    again = decide(replace(asked, since=checkpoint(4)), state(later, receipt=first.receipt))
    assert again == Replay(head=head_of([later]), receipt=first.receipt)  # type: ignore[arg-type] # there is one


def test_a_retry_of_a_conflicted_sync_conflicts_again_even_if_it_now_would_not() -> None:
    asked = request(stale())
    first = written(decide(asked, state(THEIRS)))
    gone = record("k", None, version=9, by="tablet")
    again = decide(asked, state(gone, receipt=first.receipt))
    assert isinstance(again, Replay)
    assert again.receipt.version is None
    assert [outcome.status for outcome in again.receipt.outcomes] == [CONFLICT]


def test_the_same_mutation_id_for_anything_else_is_an_error() -> None:
    asked = request(put("k", "mine"))
    receipt = written(decide(asked, state(THEIRS))).receipt
    for other in (
        replace(asked, changes=(put("k", "other"),)),
        replace(asked, changes=(put("k", "mine"), put("k", "mine"))),
        replace(asked, changes=(stale("k", "mine"),)),
        replace(asked, on_conflict=ConflictPolicy.MERGE),
        replace(asked, atomic=False),
    ):
        with pytest.raises(MutationIdReused):
            decide(other, state(THEIRS, receipt=receipt))


def test_a_retry_after_the_dataset_was_created_anew_is_told_to_resync() -> None:
    asked = request(put())
    receipt = written(decide(asked, state())).receipt
    anew = replace(head_of(), id=OTHER_DATASET)
    assert decide(asked, state(head=anew, receipt=receipt)) == Resync(
        reason=ResyncReason.DATASET_RECREATED, dataset=OTHER_DATASET
    )
    assert decide(asked, state(receipt=receipt)) == Resync(reason=ResyncReason.DATASET_RECREATED, dataset=DATASET)


# --- positions --------------------------------------------------------------------------------------------------------


def test_a_device_whose_checkpoint_leads_nowhere_is_told_so_before_anything_is_decided() -> None:
    since = checkpoint(1, epoch=OTHER_EPOCH)
    decision = decide(request(put(), since=since), state(THEIRS))
    assert decision == Resync(reason=ResyncReason.EPOCH_CHANGED, dataset=DATASET)


def test_a_device_that_knew_a_dataset_which_is_gone_is_told_which() -> None:
    assert resync_needed(checkpoint(1, dataset=OTHER_DATASET), None, EPOCH) == Resync(
        reason=ResyncReason.DATASET_RECREATED, dataset=OTHER_DATASET
    )
    assert resync_needed(START, None, EPOCH) is None
    assert resync_needed(None, head_of([THEIRS]), EPOCH) is None


def test_without_a_base_a_change_is_based_on_what_the_device_saw_at_since() -> None:
    unbased = Put(key=key(), value=js("mine"))
    assert statuses(written(decide(request(unbased, since=checkpoint(3)), state(THEIRS)))) == [APPLIED]
    head = head_of([THEIRS], version=9)
    assert statuses(written(decide(request(unbased, since=checkpoint(2)), state(THEIRS, head=head)))) == [CONFLICT]
    assert statuses(written(decide(request(unbased), state(THEIRS)))) == [CONFLICT]


def test_a_base_by_version_holds_whatever_the_checkpoint_says() -> None:
    based = Put(key=key(), value=js("mine"), base=AtVersion(Version(3)))
    assert statuses(written(decide(request(based, since=START), state(THEIRS)))) == [APPLIED]


def test_an_empty_dataset_begins_at_the_beginning() -> None:
    write = written(decide(request(put()), state()))
    assert write.commit is not None
    assert write.commit.previous == BEGINNING

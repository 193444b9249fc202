"""What becomes of edits on a device: seen, sent, settled, held, parked, resynced."""

from __future__ import annotations

import msgspec
import pytest

from syncline.client.cache import Delta
from syncline.client.edits import Outcome, Seen
from syncline.client.local import DATASET_DELETED
from syncline.client.models import KEEP_MINE, KEEP_THEIRS, EditState, Operation, Value
from syncline.core.changes import AnyState, Increment, Merge, Put, Remove
from syncline.core.checkpoint import ResyncReason
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import RecordKey
from syncline.core.model import ConflictPolicy
from syncline.errors import ChangeNotApplicable
from tests.support.core_builders import OTHER_EPOCH, js
from tests.unit.client.core_log import NOTES, CoreLog
from tests.unit.client.local_device import LocalDevice

K = RecordKey("k")


def others_put(log: CoreLog, value: object, *, key: str = "k") -> None:
    log.write("laptop", Put(key=RecordKey(key), value=js(value), base=AnyState()))


# --- seen at once -----------------------------------------------------------------------------------------------------


def test_an_edit_is_seen_at_once_and_offline(phone: LocalDevice) -> None:
    phone.put("k", {"a": 1})
    phone.edit("n", Operation.INCREMENT, 2)
    phone.edit("k", Operation.MERGE, {"b": 2})
    assert phone.values() == {"k": {"a": 1, "b": 2}, "n": 2}


def test_a_removed_record_is_not_seen(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, 1)
    phone.pull()
    phone.edit("k", Operation.REMOVE)
    assert phone.values() == {}


def test_an_edit_that_does_not_fit_what_is_seen_is_refused_and_not_kept(phone: LocalDevice) -> None:
    phone.put("k", "text")
    with pytest.raises(ChangeNotApplicable):
        phone.edit("k", Operation.INCREMENT, 1)
    assert len(phone.local.outbox.edits()) == 1


def test_records_that_come_in_leave_pending_edits_on_top(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, 1, key="n")
    others_put(log, "theirs")
    phone.put("k", "mine")
    phone.edit("m", Operation.INCREMENT, 1)
    phone.pull()
    phone.edit("n", Operation.INCREMENT, 5)
    others_put(log, 2, key="n")
    phone.pull()
    assert phone.values() == {"k": "mine", "m": 1, "n": 7}


# --- sent and settled -------------------------------------------------------------------------------------------------


def test_puts_of_one_key_are_sent_as_one(phone: LocalDevice) -> None:
    for number in range(5):
        phone.put("k", number)
    batch = phone.freeze()
    assert batch is not None
    assert [edit.argument for edit in batch.edits] == ["4"]


def test_what_is_frozen_never_changes_and_later_edits_are_kept_for_the_next_push(
    phone: LocalDevice, log: CoreLog
) -> None:
    phone.put("k", 1)
    first = phone.send()
    phone.put("k", 2)
    phone.edit("n", Operation.INCREMENT, 1)
    assert phone.freeze() == first
    phone.take_answer()
    phone.push()
    assert log.values() == {"k": 2, "n": 1} == phone.values()


def test_a_push_whose_answer_was_lost_goes_out_again_the_same_even_after_a_crash(
    file_device: LocalDevice, log: CoreLog
) -> None:
    device = file_device
    device.edit("n", Operation.INCREMENT, 1)
    sent = device.send()
    device.crash()
    assert device.freeze() == sent
    device.push()
    assert log.values() == {"n": 1} == device.values()


def test_an_edit_on_top_of_a_push_does_not_overwrite_what_the_push_met(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, ["theirs"])
    phone.edit("k", Operation.ADD_TO_SET, ["mine"])
    phone.send()  # the record is ["theirs", "mine"] now, but this device does not know
    phone.put("k", ["mine", "more"])
    phone.take_answer()
    phone.push()
    assert log.values() == {"k": ["theirs", "mine"]}
    [held] = phone.local.held_conflicts()
    assert held.theirs is not None
    assert (held.edit.argument, held.theirs.value) == ('["mine","more"]', '["theirs","mine"]')


def test_under_merge_an_edit_on_top_of_a_merged_push_keeps_the_fields_of_others(
    phone: LocalDevice, log: CoreLog
) -> None:
    phone.policy = ConflictPolicy.MERGE
    phone.put("k", {"a": 1})
    phone.push()
    others_put(log, {"a": 1, "b": 2})
    phone.put("k", {"a": 2})
    phone.send()
    phone.put("k", {"a": 2, "c": 3})
    phone.take_answer()
    phone.push()
    assert log.values() == {"k": {"a": 2, "b": 2, "c": 3}} == phone.values()


def test_two_merges_of_one_key_go_one_after_the_other(phone: LocalDevice, log: CoreLog) -> None:
    phone.put("k", {"a": 1, "b": 1})
    phone.push()
    others_put(log, {"a": 1, "b": 2})
    phone.edit("k", Operation.MERGE, {"a": 9})
    phone.edit("k", Operation.MERGE, {"b": 9})
    first = phone.send()
    assert first is not None
    assert len(first.edits) == 1
    phone.take_answer()
    phone.push()
    assert log.values() == {"k": {"a": 1, "b": 2}}
    assert [held.edit.argument for held in phone.local.held_conflicts()] == ['{"a":9}']


def test_a_second_merge_does_not_overwrite_a_field_that_the_first_one_let_stand(
    phone: LocalDevice, log: CoreLog
) -> None:
    phone.put("k", {"a": 1, "b": 1})
    phone.push()
    log.write("laptop", Merge(key=K, patch=js({"b": 2}), base=AnyState()))
    phone.edit("k", Operation.MERGE, {"a": 9})
    phone.edit("k", Operation.MERGE, {"b": 9})
    phone.push()
    phone.push()
    assert log.values() == {"k": {"a": 9, "b": 2}}
    assert [held.edit.argument for held in phone.local.held_conflicts()] == ['{"b":9}']


def test_no_more_changes_are_sent_at_once_than_the_server_takes(phone: LocalDevice, log: CoreLog) -> None:
    for number in range(10):
        phone.put(f"k{number}", number)
    sizes = []
    while (batch := phone.send(max_changes=4)) is not None:
        sizes.append(len(batch.edits))
        phone.take_answer()
    assert sizes == [4, 4, 2]
    assert len(log.values()) == 10


def test_an_outcome_that_another_process_took_in_already_changes_nothing(phone: LocalDevice, log: CoreLog) -> None:
    phone.edit("n", Operation.INCREMENT, 1)
    phone.send()
    answer = phone.answer
    phone.take_answer()
    phone.edit("n", Operation.INCREMENT, 1)
    phone.answer = answer
    phone.take_answer()
    assert phone.values() == {"n": 2}
    phone.push()
    assert log.values() == {"n": 2}


# --- transactions -----------------------------------------------------------------------------------------------------


def test_the_edits_of_a_transaction_are_one_atomic_batch(phone: LocalDevice) -> None:
    phone.put("before", 1)
    phone.put("a", 1, bundle="t")
    phone.put("b", 1, bundle="t")
    first, batches = phone.send(), []
    while first is not None:
        batches.append(([edit.key for edit in first.edits], first.atomic))
        phone.take_answer()
        first = phone.send()
    assert batches == [(["before"], False), (["a", "b"], True)]


def test_a_transaction_waits_for_earlier_edits_of_its_keys(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "theirs")
    phone.put("k", "mine")
    phone.put("k", "more", bundle="t")
    phone.put("z", 1, bundle="t")
    phone.push()
    assert phone.send() is None
    phone.resolve_all(lambda mine, theirs: KEEP_MINE)
    phone.push()
    phone.push()
    assert log.values() == {"k": "more", "z": 1}


# --- conflicts --------------------------------------------------------------------------------------------------------


def conflicting(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "theirs")
    phone.put("k", "mine")
    phone.push()


def test_a_conflict_stays_pending_on_top_and_nothing_of_it_is_sent(phone: LocalDevice, log: CoreLog) -> None:
    conflicting(phone, log)
    assert phone.get("k") == "mine"
    assert phone.send() is None
    assert log.values() == {"k": "theirs"}


@pytest.mark.parametrize(
    ("resolution", "outcome"), [(KEEP_MINE, "mine"), (KEEP_THEIRS, "theirs"), (Value("both"), "both")]
)
def test_a_decision_is_carried_out(phone: LocalDevice, log: CoreLog, resolution: Value, outcome: str) -> None:
    conflicting(phone, log)
    phone.quiesce(lambda mine, theirs: resolution)
    assert log.values() == {"k": outcome} == phone.values()
    assert phone.local.outbox.edits() == []


def test_a_decision_on_what_has_changed_again_is_asked_for_anew(phone: LocalDevice, log: CoreLog) -> None:
    conflicting(phone, log)
    phone.resolve_all(lambda mine, theirs: KEEP_MINE)
    others_put(log, "theirs again")
    phone.push()
    assert log.values() == {"k": "theirs again"}
    assert len(phone.local.held_conflicts()) == 1


def test_an_edit_made_while_one_is_asked_is_not_decided_about(phone: LocalDevice, log: CoreLog) -> None:
    conflicting(phone, log)
    [held] = phone.local.held_conflicts()
    phone.put("k", "newer")
    assert not phone.local.resolve(held, KEEP_THEIRS)
    assert phone.get("k") == "newer"
    assert len(phone.local.held_conflicts()) == 1


def test_an_edit_folded_in_while_one_is_asked_is_not_decided_about(phone: LocalDevice, log: CoreLog) -> None:
    conflicting(phone, log)
    [held] = phone.local.held_conflicts()
    phone.edit("k", Operation.MERGE, {"newer": True})
    assert not phone.local.resolve(held, KEEP_THEIRS)
    assert phone.get("k") == {"newer": True}


def test_a_stale_outcome_does_not_undo_a_decision(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "theirs")
    phone.put("k", "mine")
    phone.send()
    answer = phone.answer
    phone.take_answer()
    phone.resolve_all(lambda mine, theirs: KEEP_MINE)
    phone.answer = answer
    phone.take_answer()
    phone.push()
    assert log.values() == {"k": "mine"}


def test_an_edit_behind_a_conflict_becomes_part_of_it(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "theirs")
    phone.put("k", "mine")
    phone.send()
    phone.put("k", "mine again")
    phone.take_answer()
    [held] = phone.local.held_conflicts()
    assert held.edit.argument == '"mine again"'
    assert phone.send() is None


def test_a_conflict_with_what_turns_out_equal_is_none(phone: LocalDevice, log: CoreLog) -> None:
    conflicting(phone, log)
    others_put(log, "mine")
    phone.pull()
    assert phone.local.held_conflicts() == []
    assert phone.local.outbox.edits() == []


def test_a_conflict_with_what_is_again_as_it_was_seen_is_none(phone: LocalDevice, log: CoreLog) -> None:
    conflicting(phone, log)
    log.write("laptop", Remove(key=K, base=AnyState()))
    phone.pull()
    assert phone.local.held_conflicts() == []
    phone.push()
    assert log.values() == {"k": "mine"}


# --- parking ----------------------------------------------------------------------------------------------------------


def reject_first(phone: LocalDevice) -> None:
    batch = phone.freeze()
    assert batch is not None
    delta = phone.log.pull(since=phone.since)
    assert isinstance(delta, Delta)
    outcomes = [Outcome(status=ChangeStatus.REJECTED, record=None, code="LIMIT_EXCEEDED", details=js({"limit": "x"}))]
    outcomes += [Outcome(status=ChangeStatus.UNCHANGED, record=None) for _ in batch.edits[1:]]
    phone.local.settle(batch, outcomes, delta)


def test_a_rejected_edit_is_parked_with_its_reason_and_no_longer_seen_or_sent(phone: LocalDevice) -> None:
    phone.put("bad", 1)
    reject_first(phone)
    [parked] = phone.local.parked()
    assert (parked.key, parked.code, parked.details) == ("bad", "LIMIT_EXCEEDED", '{"limit":"x"}')
    assert phone.values() == {}
    assert phone.send() is None


def test_a_parked_edit_can_be_made_again(phone: LocalDevice, log: CoreLog) -> None:
    phone.put("bad", 1)
    reject_first(phone)
    assert phone.local.retry_parked(phone.local.parked()[0].id)
    phone.push()
    assert log.values() == {"bad": 1}
    assert phone.local.parked() == []


def test_a_parked_edit_can_be_given_up(phone: LocalDevice) -> None:
    phone.put("bad", 1)
    reject_first(phone)
    parked = phone.local.parked()[0].id
    assert phone.local.discard_parked(parked)
    assert not phone.local.discard_parked(parked)
    assert phone.local.outbox.edits() == []


def test_an_edit_on_top_of_a_rejected_one_is_based_on_what_that_one_saw(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, 1)
    phone.pull()
    phone.put("k", 2)
    batch = phone.freeze()
    assert batch is not None
    phone.put("k", 3)
    reject_first(phone)
    phone.push()
    assert log.values() == {"k": 3}


# --- resync and deletion ----------------------------------------------------------------------------------------------


def new_epoch(log: CoreLog) -> None:
    """The log goes on under another identity, as after a restore."""
    log.log.epoch = OTHER_EPOCH


def test_after_a_restore_versions_mean_nothing_and_values_are_compared(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "old")
    phone.pull()
    phone.put("k", "mine")
    [head] = log.log.heads
    log.log.heads.clear()
    log.log.records.pop(head)
    others_put(log, "restored")  # version 1 again, but not what this device saw as version 1
    new_epoch(log)
    phone.push()
    phone.push()
    assert log.values() == {"k": "restored"}
    assert len(phone.local.held_conflicts()) == 1


def test_an_edit_whose_record_survived_a_restore_goes_through(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "old")
    phone.pull()
    phone.put("k", "mine")
    new_epoch(log)
    phone.push()
    phone.push()
    assert log.values() == {"k": "mine"}


def test_a_push_the_restored_log_knows_has_no_second_effect(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, 1)
    phone.pull()
    phone.put("k", 2)
    phone.edit("n", Operation.INCREMENT, 1)
    phone.send()
    phone.answer = None
    new_epoch(log)
    phone.send()  # is told to resync
    batch = phone.freeze()
    assert batch is not None
    assert batch.earlier_changes is not None
    assert msgspec.json.decode(batch.changes)[0]["put"]["base"] == {"value": {"json": 1}}
    with pytest.raises(Exception, match="was used for other changes"):
        phone.send()
    assert phone.local.use_earlier(batch)
    phone.push()
    assert log.values() == {"k": 2, "n": 1} == phone.values()


@pytest.mark.parametrize(("keep", "outcome"), [(KEEP_MINE, "mine"), (KEEP_THEIRS, "restored")])
def test_after_a_resync_it_can_be_decided_what_becomes_of_pending_edits(
    phone: LocalDevice, log: CoreLog, keep: object, outcome: str
) -> None:
    others_put(log, "old")
    phone.pull()
    phone.put("k", "mine")
    others_put(log, "restored")
    phone.local.resync(ResyncReason.EPOCH_CHANGED, since=phone.since)
    phone.pull()
    phone.local.decide_unsent(phone.local.unsent(), keep)  # type: ignore[arg-type]
    phone.push()
    assert log.values() == {"k": outcome} == phone.values()


def test_a_resync_that_was_answered_for_another_checkpoint_is_not_done(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, 1)
    phone.pull()
    assert not phone.local.resync(ResyncReason.CHECKPOINT_TOO_OLD, since="elsewhere")
    assert phone.values() == {"k": 1}


def deleted_dataset(phone: LocalDevice, log: CoreLog) -> None:
    others_put(log, "theirs")
    others_put(log, "untouched", key="u")
    phone.pull()
    phone.put("k", "mine")
    log.log.delete(NOTES)


def test_without_a_decision_edits_of_a_deleted_dataset_are_parked(phone: LocalDevice, log: CoreLog) -> None:
    deleted_dataset(phone, log)
    assert phone.local.dataset_deleted(None, since=phone.since)
    assert phone.values() == {}
    assert [(edit.key, edit.code) for edit in phone.local.parked()] == [("k", DATASET_DELETED)]


def test_keeping_mine_creates_the_dataset_again_from_all_that_this_device_has(phone: LocalDevice, log: CoreLog) -> None:
    deleted_dataset(phone, log)
    phone.freeze()
    phone.local.dataset_deleted(KEEP_MINE, since=phone.since)
    assert phone.values() == {"k": "mine", "u": "untouched"}
    phone.push()
    assert log.values() == {"k": "mine", "u": "untouched"}


def test_keeping_theirs_drops_records_and_edits(phone: LocalDevice, log: CoreLog) -> None:
    deleted_dataset(phone, log)
    phone.local.dataset_deleted(KEEP_THEIRS, since=phone.since)
    assert phone.values() == {}
    assert phone.local.outbox.edits() == []


def test_what_is_created_again_elsewhere_conflicts_with_what_is_kept(phone: LocalDevice, log: CoreLog) -> None:
    deleted_dataset(phone, log)
    others_put(log, "new theirs")
    phone.local.dataset_deleted(KEEP_MINE, since=phone.since)
    phone.push()
    assert log.values() == {"k": "new theirs", "u": "untouched"}
    assert [held.edit.seen for held in phone.local.held_conflicts()] == [Seen(0, None)]


def test_a_counter_of_two_devices_has_the_sum(phone: LocalDevice, laptop: LocalDevice, log: CoreLog) -> None:
    phone.edit("n", Operation.INCREMENT, 1)
    laptop.edit("n", Operation.INCREMENT, 2)
    phone.push()
    laptop.push()
    log.write("tablet", Increment(key=RecordKey("n"), by=4))
    phone.pull()
    assert phone.values() == {"n": 7}
    assert EditState.PENDING not in {edit.state for edit in phone.local.outbox.edits()}

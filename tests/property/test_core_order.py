"""Rules 2, 3 and 15 of the contract: one order per dataset, all or nothing, and limits that answer."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from syncline.core.commit import Write
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import Version
from syncline.core.limits import Limits
from syncline.core.model import Position
from syncline.errors import SynclineError
from tests.property import strategies as own
from tests.support.core_builders import DATASET, ROOMY, head_of, request
from tests.support.memory_log import MemoryLog

WRITTEN = (ChangeStatus.APPLIED, ChangeStatus.MERGED)


def sync(log: MemoryLog, step: own.Step, *, limits: Limits = ROOMY, mutation: str = "next") -> Write | SynclineError:
    """Do the step: what was written, or why it was refused."""
    try:
        decision = log.sync(
            request(
                *step.changes,
                device=step.device,
                since=step.since(log),
                mutation=mutation,
                on_conflict=step.policy,
                atomic=step.atomic,
                limits=limits,
            )
        )
    except SynclineError as error:
        return error
    assert isinstance(decision, Write)
    return decision


@given(log=own.histories)
def test_each_committed_sync_raises_the_version_by_exactly_one(log: MemoryLog) -> None:
    assert [commit.version for commit in log.commits] == list(range(1, log.heads[DATASET].version + 1))
    assert all(
        c.previous == Position(log.commits[i - 1].version if i else Version(0)) for i, c in enumerate(log.commits)
    )
    assert all(commit.position == Position(commit.version) for commit in log.commits)


@given(log=own.histories)
def test_a_record_carries_the_version_that_last_wrote_it(log: MemoryLog) -> None:
    last = {record.key: record for commit in log.commits for record in commit.records}
    assert log.records[DATASET] == last
    for commit in log.commits:
        assert [record.ordinal for record in commit.records] == list(range(len(commit.records)))
        assert {record.version for record in commit.records} == {commit.version}
        assert {record.updated_by for record in commit.records} == {commit.author}
        assert len({record.key for record in commit.records}) == len(commit.records)


@given(log=own.histories, step=own.steps)
def test_a_sync_that_changes_nothing_makes_no_version(log: MemoryLog, step: own.Step) -> None:
    before = deepcopy(log)
    result = sync(log, step)
    if isinstance(result, SynclineError) or not any(outcome.status in WRITTEN for outcome in result.outcomes):
        assert (log.heads, log.records) == (before.heads, before.records)
    elif not result.conflicted:
        assert log.heads[DATASET].version == before.heads[DATASET].version + 1


@given(log=own.histories, step=own.steps, limits=own.limits)
def test_the_changes_of_one_atomic_sync_are_committed_together_or_not_at_all(
    log: MemoryLog, step: own.Step, limits: Limits
) -> None:
    before = deepcopy(log)
    result = sync(log, own.Step(step.device, step.behind, step.changes, step.policy, atomic=True), limits=limits)
    if isinstance(result, SynclineError) or result.conflicted:
        assert (log.heads, log.records) == (before.heads, before.records)
        return
    for change, outcome in zip(step.changes, result.outcomes, strict=True):
        assert outcome.status in (*WRITTEN, ChangeStatus.UNCHANGED)
        if outcome.status in WRITTEN:
            assert log.records[DATASET][change.key].version == result.head.version


@given(log=own.histories, step=own.steps, limits=own.limits)
def test_in_per_change_mode_each_change_has_its_own_outcome_and_a_bad_one_wedges_nothing(
    log: MemoryLog, step: own.Step, limits: Limits
) -> None:
    """The changes that are let through do what they do in a sync without the others."""
    alone = deepcopy(log)
    result = sync(log, own.Step(step.device, step.behind, step.changes, step.policy, atomic=False), limits=limits)
    if isinstance(result, SynclineError):
        assert result.code == "LIMIT_EXCEEDED"
        assert len(step.changes) > limits.changes_per_sync
        return
    assert not result.conflicted
    good = [
        (change, outcome)
        for change, outcome in zip(step.changes, result.outcomes, strict=True)
        if outcome.status not in (ChangeStatus.CONFLICT, ChangeStatus.REJECTED)
    ]
    step = own.Step(step.device, step.behind, tuple(change for change, _ in good), step.policy, atomic=False)
    again = sync(alone, step, limits=limits)
    assert isinstance(again, Write)
    assert again.outcomes == tuple(outcome for _, outcome in good)
    assert (alone.heads, alone.records) == (log.heads, log.records)


@given(history=st.lists(own.steps, max_size=8), limits=own.limits)
def test_counts_always_equal_a_recount_and_never_grow_over_a_limit(history: list[own.Step], limits: Limits) -> None:
    log = own.log_of([])
    for number, step in enumerate(history):
        own.run(log, step, f"m-{number}", limits=limits)
        head = log.heads[DATASET]
        recount = head_of(log.records[DATASET].values())
        assert (head.record_count, head.size_bytes) == (recount.record_count, recount.size_bytes)
        assert head.record_count <= limits.records
        assert head.size_bytes <= limits.dataset_bytes


@given(log=own.histories, history=st.lists(own.steps, min_size=1, max_size=4), limits=own.limits)
def test_a_dataset_that_is_over_a_lowered_limit_may_only_shrink(
    log: MemoryLog, history: list[own.Step], limits: Limits
) -> None:
    for number, step in enumerate(history):
        before = log.heads[DATASET]
        own.run(log, step, f"m-{number}", limits=limits)
        after = log.heads[DATASET]
        assert after.record_count <= max(before.record_count, limits.records)
        assert after.size_bytes <= max(before.size_bytes, limits.dataset_bytes)


@given(log=own.histories, step=own.steps, limits=own.limits)
def test_over_a_limit_the_client_learns_which_its_value_and_what_was_sent(
    log: MemoryLog, step: own.Step, limits: Limits
) -> None:
    result = sync(log, step, limits=limits)
    if isinstance(result, SynclineError):
        facts = [result.facts] if result.code == "LIMIT_EXCEEDED" else []
    else:
        facts = [dict(outcome.details or {}) for outcome in result.outcomes if outcome.code == "LIMIT_EXCEEDED"]
    for fact in facts:
        assert fact["limit"] in ("datasets", "datasetBytes", "records", "keyBytes", "changesPerSync")
        maximum, actual = fact["maximum"], fact["actual"]
        assert isinstance(maximum, int)
        assert isinstance(actual, int)
        assert actual > maximum

"""Rules 4, 8, 9 and 10 of the contract: retries, removal, no lost update, and changes that never conflict."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from syncline.core import changes as c
from syncline.core.commit import Replay, SyncRequest, Write
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import RecordKey, Version
from syncline.core.json_values import JsonText, parsed, same
from syncline.core.model import ConflictPolicy
from syncline.core.receipts import ChangeOutcome
from syncline.errors import MutationIdReused, SynclineError
from tests.property import strategies as own
from tests.support.core_builders import DATASET, author, checkpoint, js, key, request
from tests.support.memory_log import MemoryLog

STATUS = ChangeStatus
CHANGES = st.lists(own.changes(), min_size=1, max_size=3).map(tuple)


def written(log: MemoryLog, asked: SyncRequest) -> Write:
    decision = log.sync(asked)
    assert isinstance(decision, Write)
    return decision


def seed(log: MemoryLog, value: object, *, device: str = "seeder", name: str = "k") -> None:
    """One record, of which the devices under test know nothing."""
    written(log, request(c.Put(key=key(name), value=js(value)), device=device, mutation=f"seed-{device}-{name}"))


def value_of(log: MemoryLog, name: str = "k") -> JsonText | None:
    found = log.records[DATASET].get(key(name))
    return None if found is None else found.value


# --- rule 4: a retry has no second effect -----------------------------------------------------------------------------


@given(
    log=own.histories, changes=CHANGES, atomic=st.booleans(), between=st.lists(own.steps, max_size=3), data=st.data()
)
def test_a_retry_has_no_second_effect_and_gives_the_first_outcome_again(
    log: MemoryLog, changes: tuple[c.Change, ...], atomic: bool, between: list[own.Step], data: st.DataObject
) -> None:
    asked = request(*changes, since=checkpoint(0), mutation="retried", atomic=atomic)
    try:
        first = written(log, asked)
    except SynclineError:
        return
    for number, step in enumerate(between):
        own.run(log, step, f"between-{number}")
    before = deepcopy(log)
    position = data.draw(own.positions(log))
    again = log.sync(replace(asked, since=checkpoint(position.version, position.offset)))
    assert isinstance(again, Replay)
    assert again.receipt.outcomes == first.outcomes
    assert again.head == before.heads[DATASET]
    assert log == before


@given(log=own.histories, changes=CHANGES, others=CHANGES, atomic=st.booleans())
def test_the_same_mutation_id_with_other_changes_is_an_error(
    log: MemoryLog, changes: tuple[c.Change, ...], others: tuple[c.Change, ...], atomic: bool
) -> None:
    assume(repr(changes) != repr(others))
    try:
        written(log, request(*changes, mutation="reused", atomic=atomic))
    except SynclineError:
        return
    before = deepcopy(log)
    try:
        log.sync(request(*others, mutation="reused", atomic=atomic))
    except MutationIdReused:
        assert log == before
    else:
        raise AssertionError("another input was answered with the first one's receipt")


# --- rule 9: no lost update -------------------------------------------------------------------------------------------


@given(log=own.busy_histories, change=own.based_changes(), data=st.data())
def test_a_change_based_on_an_older_version_by_another_device_is_never_silently_applied(
    log: MemoryLog, change: c.BasedChange, data: st.DataObject
) -> None:
    """Every way to say what the device saw, and the record has been written since by another one."""
    record = data.draw(st.sampled_from(log.log(DATASET)))
    older = data.draw(st.integers(0, record.version - 1))
    seen = next(
        (
            r
            for commit in reversed(log.commits)
            if commit.version <= older
            for r in commit.records
            if r.key == record.key
        ),
        None,
    )
    assume(not (record.deleted and (seen is None or seen.deleted)))
    if seen is None or seen.value is None:
        says_so: list[c.Base] = [c.Absent(), c.AtVersion(Version(0))]
    else:
        says_so = [c.AtVersion(seen.version)]
        if record.value is None or not same(record.value, seen.value):
            says_so.append(c.AtValue(seen.value))
    base = data.draw(st.sampled_from([c.AT_CHECKPOINT, *says_so]))
    change = replace(change, key=record.key, base=base)
    before = deepcopy(log)
    asked = request(change, device="stranger", since=checkpoint(older), on_conflict=ConflictPolicy.REJECT, atomic=False)
    (outcome,) = written(log, asked).outcomes
    if outcome.status is STATUS.MERGED:
        assert isinstance(change, c.Merge)
        patch, was, now = (
            parsed(change.patch),
            parsed(seen.value) if seen and seen.value else {},
            value_of(before, record.key),
        )
        assert now is not None
        for name in patch:
            assert was.get(name) == parsed(now).get(name)
    else:
        assert outcome.status in (STATUS.CONFLICT, STATUS.UNCHANGED)
        assert log.records == before.records


@given(log=own.busy_histories, change=own.based_changes(), policy=own.policies)
def test_a_change_based_on_what_is_there_is_no_conflict(
    log: MemoryLog, change: c.BasedChange, policy: ConflictPolicy
) -> None:
    head = log.heads[DATASET]
    current = log.records[DATASET].get(change.key)
    bases: list[c.Base] = [c.AT_CHECKPOINT, c.AnyState()]
    if current is not None:
        bases.append(c.AtVersion(current.version))
    bases.append(c.Absent() if current is None or current.value is None else c.AtValue(current.value))
    for number, base in enumerate(bases):
        trial = deepcopy(log)
        asked = request(
            replace(change, base=base),
            device="stranger",
            since=checkpoint(head.version),
            mutation=f"m-{number}",
            on_conflict=policy,
        )
        (outcome,) = written(trial, asked).outcomes
        assert outcome.status in (STATUS.APPLIED, STATUS.UNCHANGED)


@given(mine=own.json_objects, theirs=own.json_objects, base=own.json_objects)
def test_merge_keeps_what_either_side_changed_and_of_one_field_the_later_writer(
    mine: dict[str, object], theirs: dict[str, object], base: dict[str, object]
) -> None:
    log = own.log_of([])
    seed(log, base)
    written(log, request(c.Put(key=key(), value=js(theirs), base=c.AnyState()), device="tablet", mutation="theirs"))
    put = c.Put(key=key(), value=js(mine), base=c.AtValue(js(base)))
    (outcome,) = written(log, request(put, device="phone", on_conflict=ConflictPolicy.MERGE)).outcomes
    assert outcome.status in (STATUS.APPLIED, STATUS.MERGED, STATUS.UNCHANGED)
    result = parsed(value_of(log) or js(None))
    gone = object()
    for name in own.FIELDS:
        was, my, their, is_now = (side.get(name, gone) for side in (base, mine, theirs, result))
        if _same(was, my):
            assert _same(is_now, their)
        elif not (isinstance(my, dict) and isinstance(their, dict)):
            assert _same(is_now, my)


def _same(a: object, b: object) -> bool:
    try:
        return same(js(a), js(b))
    except SynclineError:
        return a is b


# --- rule 10: what never conflicts ------------------------------------------------------------------------------------


@given(
    log=own.histories,
    change=own.commutative_changes(),
    policy=st.none() | own.policies,
    device=st.sampled_from(own.DEVICES),
)
def test_commutative_changes_never_conflict(
    log: MemoryLog, change: c.CommutativeChange, policy: ConflictPolicy | None, device: str | None
) -> None:
    asked = request(change, device=device, on_conflict=policy, atomic=False)
    (outcome,) = written(log, asked).outcomes
    assert outcome.status in (STATUS.APPLIED, STATUS.UNCHANGED) or outcome.code == "CHANGE_NOT_APPLICABLE"


def _of_one_kind() -> st.SearchStrategy[tuple[object, list[c.CommutativeChange]]]:
    """A start value that fits, and changes of one kind by several devices."""

    def kinds(
        start: st.SearchStrategy[object], change: st.SearchStrategy[c.CommutativeChange]
    ) -> st.SearchStrategy[tuple[object, list[c.CommutativeChange]]]:
        return st.tuples(start, st.lists(change, min_size=2, max_size=5))

    k = st.just(key())
    none = st.none()
    numbers, words, sets = own.exact_numbers, own.texts, st.lists(own.scalars, max_size=4)
    return st.one_of(
        kinds(numbers, st.builds(c.Increment, key=k, by=numbers.map(float), device_time=none)),
        kinds(numbers, st.builds(c.Max, key=k, value=numbers.map(js), device_time=none)),
        kinds(words, st.builds(c.Max, key=k, value=words.map(js), device_time=none)),
        kinds(numbers, st.builds(c.Min, key=k, value=numbers.map(js), device_time=none)),
        kinds(words, st.builds(c.Min, key=k, value=words.map(js), device_time=none)),
        kinds(sets, st.builds(c.AddToSet, key=k, members=own.members, device_time=none)),
        kinds(sets, st.builds(c.RemoveFromSet, key=k, members=own.members, device_time=none)),
    )


@given(case=_of_one_kind(), seeded=st.booleans(), data=st.data())
def test_commutative_changes_converge_in_any_order(
    case: tuple[object, list[c.CommutativeChange]], seeded: bool, data: st.DataObject
) -> None:
    start, changes = case
    results = []
    for order in (changes, data.draw(st.permutations(changes))):
        log = own.log_of([])
        if seeded:
            seed(log, start)
        for number, change in enumerate(order):
            written(log, request(change, device=own.DEVICES[number % 4], mutation=f"m-{number}"))
        results.append(value_of(log))
    one, other = results
    if one is None or other is None:
        assert one is other
    elif isinstance(changes[0], c.AddToSet):
        assert _is_subset(one, other)
        assert _is_subset(other, one)
    else:
        assert same(one, other)


def _is_subset(a: JsonText, b: JsonText) -> bool:
    return all(any(same(js(x), js(y)) for y in parsed(b)) for x in parsed(a))


@given(
    start=own.json_objects,
    edits=st.dictionaries(st.sampled_from(own.FIELDS), own.scalars, min_size=2),
    since=st.sampled_from(("checkpoint", "version", "value")),
    policy=own.policies,
    data=st.data(),
)
def test_merges_of_different_fields_never_conflict_and_converge_in_any_order(
    start: dict[str, object], edits: dict[str, object], since: str, policy: ConflictPolicy, data: st.DataObject
) -> None:
    results = []
    for order in (list(edits), data.draw(st.permutations(list(edits)))):
        log = own.log_of([])
        seed(log, start)
        bases: dict[str, c.Base] = {
            "checkpoint": c.AT_CHECKPOINT,
            "version": c.AtVersion(Version(1)),
            "value": c.AtValue(js(start)),
        }
        for name in order:
            merge = c.Merge(key=key(), patch=js({name: edits[name]}), base=bases[since])
            asked = request(merge, device=f"device-{name}", since=checkpoint(1), mutation=name, on_conflict=policy)
            (outcome,) = written(log, asked).outcomes
            assert outcome.status in (STATUS.APPLIED, STATUS.MERGED, STATUS.UNCHANGED)
        results.append(value_of(log))
    assert results[0] is not None
    assert results[1] is not None
    assert same(results[0], results[1])


@given(
    start=own.json_objects,
    name=st.sampled_from(own.FIELDS),
    theirs=own.scalars,
    mine=own.scalars,
    by_checkpoint=st.booleans(),
)
def test_merges_of_the_same_field_conflict(
    start: dict[str, object], name: str, theirs: object, mine: object, by_checkpoint: bool
) -> None:
    log = own.log_of([])
    seed(log, start)
    base = c.AT_CHECKPOINT if by_checkpoint else c.AtVersion(Version(1))
    outcomes: list[ChangeOutcome] = []
    for device, value in (("tablet", theirs), ("phone", mine)):
        merge = c.Merge(key=key(), patch=js({name: value}), base=base)
        asked = request(merge, device=device, since=checkpoint(1), mutation=device)
        outcomes.extend(written(log, asked).outcomes)
    first, second = (outcome.status for outcome in outcomes)
    if first is STATUS.APPLIED:
        assert second is (STATUS.UNCHANGED if _same(mine, theirs) else STATUS.CONFLICT)
    else:
        assert first is STATUS.UNCHANGED


@given(log=own.busy_histories, change=own.based_changes(), policy=own.policies, atomic=st.booleans(), data=st.data())
def test_a_change_equal_to_what_is_there_never_conflicts_and_makes_no_version(
    log: MemoryLog, change: c.BasedChange, policy: ConflictPolicy, atomic: bool, data: st.DataObject
) -> None:
    record = data.draw(st.sampled_from(log.log(DATASET)))
    equal: c.BasedChange
    if record.value is None:
        equal = c.Remove(key=record.key, base=change.base)
    elif isinstance(parsed(record.value), dict) and isinstance(change, c.Merge):
        # A null in a patch removes, and an object in it is merged: both say something else than the value does.
        held = parsed(record.value)
        fields = {name: value for name, value in held.items() if value is not None and not isinstance(value, dict)}
        equal = c.Merge(key=record.key, patch=js(fields), base=change.base)
    else:
        equal = c.Put(key=record.key, value=_respelled(record.value), base=change.base)
    before = deepcopy(log)
    asked = request(equal, device="stranger", since=checkpoint(0), on_conflict=policy, atomic=atomic)
    (outcome,) = written(log, asked).outcomes
    assert outcome.status is STATUS.UNCHANGED
    assert (log.heads, log.records) == (before.heads, before.records)


def _respelled(value: JsonText) -> JsonText:
    """The same value, its names in another order and its numbers with a point."""

    def other(item: object) -> object:
        if isinstance(item, dict):
            return {name: other(item[name]) for name in reversed(list(item))}
        if isinstance(item, list):
            return [other(inner) for inner in item]
        return float(item) if isinstance(item, int) and not isinstance(item, bool) else item

    return js(other(parsed(value)))


@given(log=own.busy_histories, change=own.based_changes(), policy=own.policies, data=st.data())
def test_a_record_that_this_very_device_wrote_last_is_no_conflict(
    log: MemoryLog, change: c.BasedChange, policy: ConflictPolicy, data: st.DataObject
) -> None:
    """As for a device whose answer was lost and which sends on from its old checkpoint."""
    name: RecordKey = data.draw(st.sampled_from(sorted(log.records[DATASET])))
    change = replace(change, key=name)
    mine = c.Put(key=name, value=js({"x": "mine"}), base=c.AnyState())
    written(log, request(mine, device="phone", mutation="lost answer"))
    assume(log.records[DATASET][name].updated_by == author("phone"))
    older = data.draw(st.integers(0, log.heads[DATASET].version))
    asked = request(change, device="phone", since=checkpoint(older), on_conflict=policy)
    (outcome,) = written(log, asked).outcomes
    assert outcome.status in (STATUS.APPLIED, STATUS.UNCHANGED)


# --- rule 8: removal is a fact ----------------------------------------------------------------------------------------


@given(log=own.busy_histories, data=st.data())
def test_a_removed_record_stays_as_a_tombstone_of_the_version_that_removed_it(
    log: MemoryLog, data: st.DataObject
) -> None:
    live = sorted(own.values(log))
    assume(live)
    name = data.draw(st.sampled_from(live))
    head = written(log, request(c.Remove(key=name, base=c.AnyState()))).head
    tombstone = log.records[DATASET][name]
    assert tombstone.deleted
    assert tombstone.version == head.version
    older = data.draw(st.integers(0, head.version - 1))
    put = c.Put(key=name, value=js("back to life"))
    (outcome,) = written(
        log, request(put, device="stranger", since=checkpoint(older), mutation="late", atomic=False)
    ).outcomes
    # Who has seen nothing at all has no opinion on what was removed: to it the record is as absent as it expects.
    assert outcome.status is (STATUS.APPLIED if older == 0 else STATUS.CONFLICT)

"""Receipts of a store: a retry has no second effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.core.changes import Absent
from syncline.core.checkpoint import START, ResyncReason
from syncline.core.conflicts import ChangeStatus
from syncline.core.limits import Limits
from syncline.core.pages import PageRequest
from syncline.core.receipts import ChangeOutcome
from syncline.errors import (
    MutationIdReused,
)
from syncline.ports import Store
from tests.support.builders import (
    ALICE,
    ALICES_LAPTOP,
    BOB,
    NOW,
    a_dataset_id,
    a_request,
    a_viewer,
    named,
    put,
    remove,
)
from tests.support.stores import checkpoint, keys, read_page, resynced, synced, write


def statuses(outcomes: tuple[ChangeOutcome, ...]) -> list[ChangeStatus]:
    return [outcome.status for outcome in outcomes]


async def test_a_retry_has_no_second_effect(store: Store) -> None:
    request = a_request(put("a", 1), put("b", 2), mutation_id="m")
    first = await synced(store, request)

    second = await synced(store, replace(request, new_dataset_id=a_dataset_id(), now=NOW + timedelta(days=1)))

    assert second.replayed
    assert not second.created
    assert second.commit is None
    assert second.outcomes == first.outcomes
    assert second.head == first.head
    assert second.records == first.records


async def test_a_retry_is_answered_with_the_records_as_they_are_now(store: Store) -> None:
    request = a_request(put("a", 1), mutation_id="m", since=START)
    await synced(store, request)
    later = await write(store, put("a", 2), put("z", 1))

    retried = await synced(store, request)

    assert retried.replayed
    assert {key: record.value for key, record in retried.records.items()} == {"a": "2"}
    assert keys(retried.page) == ["a", "z"]
    assert retried.head == later.head


async def test_a_retry_pulls_from_its_own_checkpoint(store: Store) -> None:
    request = a_request(put("a", 1), mutation_id="m", since=START)
    first = await synced(store, request)
    seen = await checkpoint(store, first.head.id)
    await write(store, put("z", 1))

    retried = await synced(store, replace(request, since=seen))

    assert keys(retried.page) == ["z"]
    assert (await synced(store, replace(request, since=None))).page is None


async def test_a_conflict_is_remembered_as_one(store: Store) -> None:
    await write(store, put("a", 1))
    request = a_request(put("a", 2, base=Absent()), viewer=ALICES_LAPTOP, mutation_id="m")
    first = await synced(store, request)
    await write(store, remove("a"))

    retried = await synced(store, request)

    assert retried.replayed
    assert retried.conflicted
    assert retried.outcomes == first.outcomes
    assert retried.head.version == 2


async def test_rejections_are_remembered_with_their_facts(store: Store) -> None:
    request = a_request(put("long key"), put("b"), atomic=False, limits=Limits(key_bytes=5), mutation_id="m")
    first = await synced(store, request)

    retried = await synced(store, request)

    assert retried.outcomes == first.outcomes
    assert retried.outcomes[0].code == "LIMIT_EXCEEDED"
    assert retried.outcomes[0].details == {"limit": "keyBytes", "maximum": 5, "actual": 8, "key": "long key"}


async def test_the_same_mutation_id_for_other_changes_is_refused(store: Store) -> None:
    await synced(store, a_request(put("a", 1), mutation_id="m"))

    with pytest.raises(MutationIdReused):
        await store.sync(a_request(put("a", 2), mutation_id="m"), PageRequest())
    with pytest.raises(MutationIdReused):
        await store.sync(a_request(put("a", 1), mutation_id="m", ref=named("other")), PageRequest())

    assert await store.dataset(ALICE, named("other")) is None
    assert keys(await read_page(store)) == ["a"]


@pytest.mark.parametrize("other", [ALICES_LAPTOP, BOB, a_viewer(device=None)])
async def test_mutation_ids_of_different_devices_do_not_meet(store: Store, other: object) -> None:
    assert isinstance(other, type(ALICE))
    await synced(store, a_request(put("a", 1), mutation_id="m"))

    outcome = await synced(store, a_request(put("a", 2), mutation_id="m", viewer=other))

    assert not outcome.replayed
    assert statuses(outcome.outcomes) == [ChangeStatus.APPLIED]


async def test_a_caller_without_a_device_can_retry_as_well(store: Store) -> None:
    request = a_request(put("a", 1), mutation_id="m", viewer=a_viewer(device=None))
    await synced(store, request)

    assert (await synced(store, request)).replayed


async def test_a_sync_without_changes_leaves_no_receipt(store: Store) -> None:
    await synced(store, a_request(mutation_id="m"))

    outcome = await synced(store, a_request(put("a"), mutation_id="m"))

    assert not outcome.replayed


async def test_a_retry_does_not_reach_a_new_dataset_of_the_same_name(store: Store) -> None:
    request = a_request(put("a", 1), mutation_id="m")
    await synced(store, request)
    await store.delete_dataset(ALICE, named(), now=NOW)
    anew = await synced(store, a_request())

    outcome = await resynced(store, request)

    assert outcome.reason is ResyncReason.DATASET_RECREATED
    assert outcome.dataset == anew.head.id
    assert keys(await read_page(store)) == []

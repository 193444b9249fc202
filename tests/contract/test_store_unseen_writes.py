"""What a device wrote on top of what it had not seen, a store remembers: no base of before may count later."""

from __future__ import annotations

from syncline.core.changes import AddToSet, AtVersion
from syncline.core.ids import RecordKey, Version
from syncline.ports import Store
from tests.support.builders import ALICE, ALICES_LAPTOP, a_request, put, text
from tests.support.stores import synced, write

KEY = RecordKey("k")


def add(member: str) -> AddToSet:
    return AddToSet(key=KEY, members=(text(member),))


async def test_what_was_not_seen_is_kept_with_the_record_and_goes_when_it_was_seen(store: Store) -> None:
    head = (await write(store, put("k", []), viewer=ALICE)).head
    await write(store, add("theirs"), viewer=ALICES_LAPTOP)
    await write(store, add("mine"), viewer=ALICE)
    added = await store.record(ALICE, head.id, KEY)
    await write(store, put("k", ["all"]), viewer=ALICE)
    replaced = await store.record(ALICE, head.id, KEY)

    assert added is not None
    assert added.unseen == 2
    assert replaced is not None
    assert replaced.unseen is None


async def test_a_put_on_what_the_device_knew_before_it_added_to_the_unseen_is_a_conflict(store: Store) -> None:
    await write(store, put("k", []), viewer=ALICE)
    await write(store, add("theirs"), viewer=ALICES_LAPTOP)
    await write(store, add("mine"), viewer=ALICE)

    stale = await synced(store, a_request(put("k", ["mine"], base=AtVersion(Version(1))), viewer=ALICE))
    knowing = await synced(store, a_request(put("k", ["mine"], base=AtVersion(Version(3))), viewer=ALICE))

    assert stale.conflicted
    assert not knowing.conflicted

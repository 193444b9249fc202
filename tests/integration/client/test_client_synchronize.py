"""synchronize() of the Python device against a server: what devices hold, and what is decided."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import pytest

from syncline.client import (
    KEEP_MINE,
    KEEP_THEIRS,
    CacheBelongsToAnother,
    Conflict,
    ConflictPolicy,
    Device,
    EditState,
    Keep,
    NotSyncline,
    Resync,
    ResyncReason,
    ServerRefused,
    State,
    TokenRejected,
    Value,
)
from tests.integration.client.conftest import OpenDevice
from tests.support.server import RunningServer

_REJECTED = "nonsense"


@pytest.fixture
def phone(open_device: OpenDevice, shared_server: RunningServer) -> Device:
    return open_device(shared_server, "phone")


@pytest.fixture
def laptop(open_device: OpenDevice, shared_server: RunningServer) -> Device:
    return open_device(shared_server, "laptop")


async def delete_dataset(server: RunningServer, identity: str, name: str) -> None:
    document = "mutation Delete($name: String!) { deleteDataset(dataset: {name: $name}) { name } }"
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            server.url,
            json={"query": document, "variables": {"name": name}},
            headers={"authorization": f"Bearer {server.token('remover', identity)}"},
        )
    assert "errors" not in answer.json(), answer.text


async def test_what_one_device_pushes_another_one_pulls(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("a", {"text": "hällo ☃", "n": 1.5, "list": [None, True]})
    mine.increment("n", 2)
    mine.add_to_set("tags", "x", "y")
    mine.max("page", 7)
    pushed = await mine.synchronize()
    pulled = await theirs.synchronize()
    assert (pushed.pushed, pulled.pulled) == (4, 4)
    assert theirs.records() == mine.records()
    assert theirs.export() == mine.export()
    assert theirs.get("a") == {"text": "hällo ☃", "n": 1.5, "list": [None, True]}


async def test_a_dataset_that_does_not_exist_is_empty_and_is_not_made_by_looking(phone: Device) -> None:
    report = await phone.dataset("nothing").synchronize()
    assert (report.pulled, report.pushed, report.clean) == (0, 0, True)


async def test_removed_records_go_everywhere(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.update({"a": 1, "b": 2})
    await mine.synchronize()
    await theirs.synchronize()
    theirs.remove("a")
    await theirs.synchronize()
    await mine.synchronize()
    assert mine.records() == {"b": 2}
    assert not mine.has("a")


async def test_more_records_than_a_page_or_a_sync_holds_all_arrive(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.update({f"key-{number:04}": number for number in range(1_000)})
    assert (await mine.synchronize()).pushed == 1_000
    mine.update({f"key-{number:04}": -number for number in range(1_000)})
    assert (await mine.synchronize()).pushed == 1_000
    await theirs.synchronize()
    assert theirs.records() == mine.records() == {f"key-{number:04}": -number for number in range(1_000)}


async def test_counters_and_sets_of_two_devices_never_conflict(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    for dataset, by, tag in ((mine, 1, "p"), (theirs, 10, "l")):
        dataset.increment("n", by)
        dataset.add_to_set("tags", tag)
    for dataset in (mine, theirs, mine):
        assert (await dataset.synchronize()).clean
    assert mine.records() == theirs.records() == {"n": 11, "tags": ["p", "l"]}


# --- conflicts --------------------------------------------------------------------------------------------------------


async def in_conflict(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("k", "base")
    await mine.synchronize()
    await theirs.synchronize()
    theirs.put("k", "theirs")
    await theirs.synchronize()
    mine.put("k", "mine")


async def test_without_a_handler_a_conflict_is_reported_and_nothing_is_lost(phone: Device, laptop: Device) -> None:
    await in_conflict(phone, laptop)
    notes = phone.dataset("notes")
    for _ in range(2):
        report = await notes.synchronize()
        [conflict] = report.conflicts
        assert (conflict.mine, conflict.theirs, conflict.base) == (State("mine"), State("theirs"), State("base"))
        assert conflict.author is not None
        assert conflict.author.device == "laptop"
        assert notes.get("k") == "mine"
        assert [(edit.key, edit.state) for edit in notes.pending()] == [("k", EditState.CONFLICT)]


@pytest.mark.parametrize(
    ("resolution", "outcome"), [(KEEP_MINE, "mine"), (KEEP_THEIRS, "theirs"), (Value({"own": 1}), {"own": 1})]
)
async def test_a_handler_decides_a_conflict(phone: Device, laptop: Device, resolution: Any, outcome: Any) -> None:
    await in_conflict(phone, laptop)

    async def on_conflict(conflict: Conflict) -> Any:
        return resolution

    report = await phone.dataset("notes").synchronize(on_conflict=on_conflict)
    await laptop.dataset("notes").synchronize()
    assert (report.resolved, report.clean) == (1, True)
    assert phone.dataset("notes").records() == laptop.dataset("notes").records() == {"k": outcome}


async def test_a_handler_that_keeps_editing_does_not_lose_its_edits(phone: Device, laptop: Device) -> None:
    await in_conflict(phone, laptop)
    notes = phone.dataset("notes")

    def on_conflict(conflict: Conflict) -> Keep:
        if not notes.has("note"):
            notes.put("note", f"decided on {conflict.key}")
        return KEEP_THEIRS

    await notes.synchronize(on_conflict=on_conflict)
    await laptop.dataset("notes").synchronize()
    assert laptop.dataset("notes").records() == {"k": "theirs", "note": "decided on k"}


async def test_other_edits_go_through_beside_a_conflict(phone: Device, laptop: Device) -> None:
    await in_conflict(phone, laptop)
    phone.dataset("notes").put("other", 1)
    await phone.dataset("notes").synchronize()
    await laptop.dataset("notes").synchronize()
    assert laptop.dataset("notes").records() == {"k": "theirs", "other": 1}


async def test_under_merge_different_fields_of_one_record_are_merged(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    mine, theirs = (
        open_device(shared_server, name).dataset("notes", conflict_policy=ConflictPolicy.MERGE)
        for name in ("phone", "laptop")
    )
    mine.put("k", {"a": 1, "b": 1})
    await mine.synchronize()
    await theirs.synchronize()
    theirs.put("k", {"a": 2, "b": 1})
    await theirs.synchronize()
    mine.put("k", {"a": 1, "b": 2})
    report = await mine.synchronize()
    await theirs.synchronize()
    assert (report.merged, report.clean) == (1, True)
    assert mine.records() == theirs.records() == {"k": {"a": 2, "b": 2}}


# --- what the server does not take ------------------------------------------------------------------------------------


async def test_a_rejected_change_is_parked_with_its_code_and_the_others_go_on(phone: Device, laptop: Device) -> None:
    notes = phone.dataset("notes")
    notes.put("good", 1)
    notes.put("x" * 2_000, "this key is too long")
    notes.put("fine", 2)
    report = await notes.synchronize()
    assert report.pushed == 2
    [parked] = notes.parked()
    assert (parked.code, parked.details["limit"]) == ("LIMIT_EXCEEDED", "keyBytes")
    assert report.parked == (parked,)
    assert notes.records() == {"good": 1, "fine": 2}
    assert notes.pending() == []
    assert (await notes.synchronize()).clean
    assert notes.discard(parked)
    assert notes.parked() == []


async def test_an_edit_that_no_longer_fits_is_parked(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    theirs.put("n", "no number")
    await theirs.synchronize()
    mine.increment("n")
    report = await mine.synchronize()
    assert [parked.code for parked in report.parked] == ["CHANGE_NOT_APPLICABLE"]
    assert mine.get("n") == "no number"


async def test_a_transaction_is_applied_wholly_or_not_at_all(phone: Device, laptop: Device) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    theirs.put("b", "theirs")
    await theirs.synchronize()
    with mine.transaction():
        mine.put("a", 1)
        mine.put("b", 2)
    report = await mine.synchronize()
    await theirs.synchronize()
    assert [conflict.key for conflict in report.conflicts] == ["b"]
    assert theirs.records() == {"b": "theirs"}
    assert mine.records() == {"a": 1, "b": 2}
    await mine.synchronize(on_conflict=lambda _: KEEP_MINE)
    await theirs.synchronize()
    assert theirs.records() == {"a": 1, "b": 2}


async def test_a_transaction_that_the_server_refuses_is_parked_as_a_whole(phone: Device) -> None:
    notes = phone.dataset("notes")
    with notes.transaction():
        notes.put("a", 1)
        notes.put("x" * 2_000, 2)
    notes.put("b", 1)
    report = await notes.synchronize()
    assert sorted(parked.code for parked in report.parked) == ["LIMIT_EXCEEDED"] * 2
    assert notes.records() == {"b": 1}


async def test_a_transaction_that_raises_was_not_made(phone: Device) -> None:
    notes = phone.dataset("notes")
    with suppress(RuntimeError), notes.transaction():
        notes.put("a", 1)
        raise RuntimeError
    notes.put("b", 1)
    await notes.synchronize()
    assert notes.records() == {"b": 1}


async def test_one_dataset_too_many_is_an_error_and_the_edits_are_kept(phone: Device) -> None:
    for number in range(20):
        dataset = phone.dataset(f"d{number}")
        dataset.put("k", 1)
        await dataset.synchronize()
    one_more = phone.dataset("one-more")
    one_more.put("k", 1)
    with pytest.raises(ServerRefused) as caught:
        await one_more.synchronize()
    assert (caught.value.refusal, caught.value.facts["limit"]) == ("LIMIT_EXCEEDED", "datasets")
    assert (len(one_more.pending()), one_more.get("k")) == (1, 1)


# --- deletion and resync ----------------------------------------------------------------------------------------------


async def test_a_deleted_dataset_is_told_and_its_edits_are_parked(
    phone: Device, shared_server: RunningServer, identity: str
) -> None:
    notes = phone.dataset("notes")
    notes.update({"a": 1, "b": 2})
    await notes.synchronize()
    notes.put("a", "unsent")
    await delete_dataset(shared_server, identity, "notes")
    report = await notes.synchronize()
    assert report.deleted
    assert report.resyncs == (ResyncReason.DATASET_RECREATED,)
    assert notes.records() == {}
    assert [(parked.key, parked.argument, parked.code) for parked in report.parked] == [
        ("a", "unsent", "DATASET_DELETED")
    ]


async def test_keeping_mine_creates_a_deleted_dataset_again(
    phone: Device, laptop: Device, shared_server: RunningServer, identity: str
) -> None:
    notes = phone.dataset("notes")
    notes.update({"a": 1, "b": 2})
    await notes.synchronize()
    notes.put("a", "edited")
    await delete_dataset(shared_server, identity, "notes")
    report = await notes.synchronize(on_dataset_deleted=lambda name: KEEP_MINE)
    await laptop.dataset("notes").synchronize()
    assert report.deleted
    assert laptop.dataset("notes").records() == notes.records() == {"a": "edited", "b": 2}


async def test_a_dataset_that_was_deleted_and_made_again_is_pulled_anew(
    phone: Device, laptop: Device, shared_server: RunningServer, identity: str
) -> None:
    mine, theirs = phone.dataset("notes"), laptop.dataset("notes")
    mine.put("old", 1)
    await mine.synchronize()
    await delete_dataset(shared_server, identity, "notes")
    theirs.put("new", 2)
    await theirs.synchronize()
    report = await mine.synchronize(on_dataset_deleted=lambda name: KEEP_THEIRS)
    assert report.deleted
    assert mine.records() == {"new": 2}


async def test_after_the_log_was_given_a_new_epoch_devices_resync_and_are_asked(
    own_server: RunningServer, open_device: OpenDevice
) -> None:
    mine, theirs = (open_device(own_server, name).dataset("notes") for name in ("phone", "laptop"))
    mine.update({"a": 1, "b": 1})
    await mine.synchronize()
    await theirs.synchronize()
    own_server.stop()
    own_server.renew_epoch()
    own_server.start()
    theirs.put("b", "theirs")
    await theirs.synchronize()
    mine.put("a", "mine a")
    mine.put("b", "mine b")
    asked: list[Resync] = []

    def on_resync(resync: Resync) -> dict[str, Keep]:
        asked.append(resync)
        return {"b": KEEP_THEIRS}

    report = await mine.synchronize(on_resync=on_resync)
    assert report.resyncs == (ResyncReason.EPOCH_CHANGED,)
    assert [edit.key for edit in asked[0].edits] == ["a", "b"]
    assert mine.records() == {"a": "mine a", "b": "theirs"}
    await theirs.synchronize()
    assert theirs.records() == mine.records()


# --- who is calling ---------------------------------------------------------------------------------------------------


async def test_a_cache_is_not_used_for_another_device(
    phone: Device, open_device: OpenDevice, shared_server: RunningServer, identity: str, tmp_path: Any
) -> None:
    await phone.dataset("notes").synchronize()
    async with Device(
        shared_server.url, token=shared_server.token("tablet", identity), cache=tmp_path / "phone.db"
    ) as other:
        with pytest.raises(CacheBelongsToAnother, match="phone"):
            await other.dataset("notes").synchronize()


async def test_a_token_that_is_not_accepted_is_told(shared_server: RunningServer, tmp_path: Any) -> None:
    async with Device(shared_server.url, token=_REJECTED, cache=tmp_path / "x.db") as device:
        with pytest.raises(TokenRejected):
            await device.dataset("notes").synchronize()


async def test_a_rejected_token_is_replaced_by_a_fresh_one(
    shared_server: RunningServer, identity: str, tmp_path: Any
) -> None:
    given = iter(["nonsense", shared_server.token("phone", identity)])

    async def provider() -> str:
        return next(given)

    async with Device(shared_server.url, token=provider, cache=tmp_path / "x.db") as device:
        device.dataset("notes").put("k", 1)
        assert (await device.dataset("notes").synchronize()).pushed == 1


async def test_an_address_where_no_syncline_is_told(shared_server: RunningServer, tmp_path: Any) -> None:
    url = shared_server.url.replace("/graphql", "/livez")
    async with Device(url, token=_REJECTED, cache=tmp_path / "x.db") as device:
        with pytest.raises(NotSyncline):
            await device.dataset("notes").synchronize()

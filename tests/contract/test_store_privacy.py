"""Export and erasing on every store: all of one identity, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncline.core.ids import (
    NO_TENANT,
    DatasetId,
    IdentityId,
    erased_hash,
    erased_in,
    identity_id,
    shown,
    tenant,
)
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest, LinkRule
from syncline.core.model import Role, Viewer
from syncline.core.sharing import AcceptInvitation, Leave, RemoveMember, Share, TransferOwnership
from syncline.errors import IdentityErased
from syncline.ports import ApiKey, ApiKeyId, CompleteStore, Issuer, Login, Retention, Scope, Store, Subject
from syncline.service.identity_export import export_lines
from syncline.storage.beside import Beside, Steps
from syncline.storage.erasing import Removed, remains
from syncline.storage.exporting import KINDS, held
from syncline.storage.identity_tables import IDENTITY_TABLES
from tests.support.builders import (
    ALICE,
    NOW,
    a_dataset_id,
    a_request,
    a_viewer,
    by_id,
    named,
    put,
    remove,
)
from tests.support.privacy import Database, Rows, audit_log, erased, exported, on_postgres, on_sqlite, places_of
from tests.support.sharing import an_invitation, code_hash, share
from tests.support.stores import create, synced, write

A_DAY = timedelta(days=1)
ZOE = a_viewer("zoe-Ünï-7391", device="zoes-phone-5512")
"""A text that stands for nothing else."""
GUEST = a_viewer("guest-" + "7" * 32, device="zoes-phone-5512")
"""As which Zoe began."""
YAN = a_viewer("yan-2208", device="yans-phone-9")
ZOES_TEXTS = (
    "zoe-Ünï-7391",
    "zoes-phone-5512",
    "zoes-laptop-31",
    "zoes-private-text",
    "zoes-diary",
    "zoes-guest-time",
    "guest-777",
    "zoes-subject-88",
)
ZOES_LOGIN = Login(issuer=Issuer("https://issuer.example"), subject=Subject("zoes-subject-88"))
NOWHERE: dict[str, list[str]] = {text: [] for text in ZOES_TEXTS}
ALL_KINDS = {"head", *KINDS, "end"} - {"apiKey"}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return on_sqlite(tmp_path) if request.param == "sqlite" else on_postgres(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def store(database: Database) -> AsyncIterator[CompleteStore]:
    store = await database.open()
    yield store
    await store.close()


async def fill(store: CompleteStore) -> dict[str, DatasetId]:
    """Zoe's own datasets, shared with Yan, and Zoe in Yan's; and much between Yan and Alice. Ids by name."""
    laptop = Viewer(identity=ZOE.identity, device=a_viewer(device="zoes-laptop-31").device)
    diary, shared = named("zoes-diary"), named("zoes-shared")
    ids: dict[str, DatasetId] = {
        "diary": (await write(store, put("k", "zoes-private-text"), put("gone"), viewer=ZOE, ref=diary)).head.id
    }
    await write(store, remove("gone"), put("l", 2), viewer=laptop, ref=diary)
    ids["shared"] = (await write(store, put("common", 1), viewer=ZOE, ref=shared)).head.id
    await share(store, Share(identity=YAN.identity, role=Role.EDITOR), viewer=ZOE, ref=shared)
    await share(store, an_invitation("zoes", uses=3), viewer=ZOE, ref=shared)
    await write(store, put("from-yan", 2), viewer=YAN, ref=by_id(ids["shared"]))
    await write(store, put("x"), viewer=ZOE, ref=named("zoes-deleted"))
    await store.delete_dataset(ZOE, named("zoes-deleted"), now=NOW)

    ids["yans"] = (await write(store, put("mine", 1), put("both", 1), viewer=YAN, ref=named("yans"))).head.id
    for member in (ZOE, ALICE):
        await share(store, Share(identity=member.identity, role=Role.EDITOR), viewer=YAN, ref=named("yans"))
    await write(store, put("both", "by zoe"), remove("mine"), viewer=laptop, ref=by_id(ids["yans"]))
    await write(store, put("alices", 1), viewer=ALICE, ref=by_id(ids["yans"]))
    await share(store, an_invitation("yans"), viewer=YAN, ref=named("yans"))

    ids["left"] = (await write(store, put("y", 1), viewer=YAN, ref=named("left"))).head.id
    await share(store, Share(identity=ZOE.identity, role=Role.EDITOR), viewer=YAN, ref=named("left"))
    await write(store, put("secret-key-now", "z"), viewer=ZOE, ref=by_id(ids["left"]))
    await share(store, Leave(), viewer=ZOE, ref=by_id(ids["left"]))
    await store.identities.link(ZOES_LOGIN, ZOE.identity, now=NOW)
    await store.create_guest(GUEST.identity, now=NOW)
    await write(store, put("as a guest", 1), viewer=GUEST, ref=named("zoes-guest-time"))
    await store.link_guest(
        LinkRequest(guest=GUEST.identity, viewer=ZOE, rule=LinkRule.KEEP_BOTH, limits=Limits(), now=NOW)
    )
    ids["alices"] = (await write(store, put("a", 1), viewer=ALICE, ref=named("zoes-not"))).head.id
    return ids


# --- what is where ----------------------------------------------------------------------------------------------------


async def test_every_column_of_texts_and_bytes_of_the_schema_is_spoken_of(
    database: Database, store: CompleteStore
) -> None:
    """Whoever adds a table or a column says in ``storage/identity_tables.py`` what it holds about an identity."""
    async with database.beside() as beside, beside.snapshot() as snapshot:
        found = set(await snapshot.texts())

    spoken_of = {(name, column) for name, table in IDENTITY_TABLES.items() for column in table.columns}
    assert found <= spoken_of
    # PostgreSQL has all of them, and so nothing is spoken of that is not there.
    assert database.name == "sqlite" or found == spoken_of


def test_every_kind_of_an_export_is_that_of_a_table() -> None:
    assert {kind for table in IDENTITY_TABLES.values() for kind in table.exported_as} == KINDS.keys()


# --- export -----------------------------------------------------------------------------------------------------------


async def test_an_export_has_every_kind_of_what_is_held(database: Database, store: CompleteStore) -> None:
    ids = await fill(store)
    async with database.beside() as beside:
        lines = await exported(beside, ZOE.identity)

    def of(kind: str, *facts: str) -> list[tuple[object, ...]]:
        return sorted((tuple(line[fact] for fact in facts) for line in lines if line["kind"] == kind), key=repr)

    assert {line["kind"] for line in lines} == ALL_KINDS
    assert lines[0]["identity"] == ZOE.identity
    assert of("dataset", "name", "recordCount") == [
        ("zoes-deleted", 0),
        ("zoes-diary", 2),
        ("zoes-guest-time", 1),
        ("zoes-shared", 2),
    ]
    assert of("member", "dataset", "identity", "role") == [(ids["shared"], "yan-2208", "EDITOR")]
    assert of("invitation", "dataset", "role", "usesLeft") == [(ids["shared"], "VIEWER", 3)]
    assert of("record", "key", "value", "version", "updatedBy", "updatedByDevice") == [
        ("as a guest", 1, 1, ZOE.identity, GUEST.device),
        ("common", 1, 1, ZOE.identity, ZOE.device),
        ("from-yan", 2, 2, YAN.identity, YAN.device),
        ("gone", None, 2, ZOE.identity, "zoes-laptop-31"),
        ("k", "zoes-private-text", 1, ZOE.identity, ZOE.device),
        ("l", 2, 2, ZOE.identity, "zoes-laptop-31"),
    ]
    assert of("membership", "dataset", "name", "owner", "role") == [(ids["yans"], "yans", "yan-2208", "EDITOR")]
    assert of("written", "dataset", "key", "value", "removed") == sorted(
        [
            (ids["yans"], "both", "by zoe", False),
            (ids["yans"], "mine", None, True),
            # It has left: no more than that there is something of its.
            (ids["left"], None, None, False),
        ],
        key=repr,
    )
    assert of("changed", "dataset") == [(ids["left"],)]
    assert len(of("receipt", "mutationId")) == 7
    assert of("login", "issuer", "subject") == [(ZOES_LOGIN.issuer, ZOES_LOGIN.subject)]
    assert of("guest", "identity", "linkedTo") == [(GUEST.identity, ZOE.identity)]
    zoes = ("shareDataset", "createInvitation", "leaveDataset", "linkGuest")
    assert of("audited", "act", "actor") == sorted(
        [*((act, ZOE.identity) for act in zoes), *[("shareDataset", "yan-2208")] * 2], key=repr
    )


async def test_an_export_has_nothing_of_what_the_identity_may_not_see(database: Database, store: CompleteStore) -> None:
    ids = await fill(store)
    async with database.beside() as beside:
        text = repr(await exported(beside, ZOE.identity))

    assert ids["alices"] not in text
    for others in ("secret-key-now", "yans-phone-9-audit", code_hash("zoes").hex(), code_hash("yans").hex(), "alices"):
        assert others not in text, others


async def test_an_export_that_was_cut_off_or_changed_is_noticed(database: Database, store: CompleteStore) -> None:
    await fill(store)
    async with database.beside() as beside, aclosing(held(beside, ZOE.identity)) as rows:
        whole = b"".join([line async for line in export_lines(rows, ZOE.identity, version="0", now=NOW)])

    *before, last = whole.splitlines(keepends=True)
    end = msgspec.json.decode(last)

    assert end["kind"] == "end"
    assert sum(end["counts"].values()) == len(before) - 1
    assert end["sha256"] == hashlib.sha256(b"".join(before)).hexdigest()
    assert end["sha256"] != hashlib.sha256(b"".join(before[:-1])).hexdigest()


async def test_an_export_is_of_one_moment_whatever_is_written_meanwhile(
    database: Database, store: CompleteStore
) -> None:
    await write(store, *(put(f"k{number}") for number in range(40)), viewer=ZOE, ref=named("n"))
    async with database.beside() as beside, aclosing(held(beside, ZOE.identity)) as rows:
        first = await anext(rows)
        await write(store, put("later"), remove("k1"), viewer=ZOE, ref=named("n"))
        rest = [row async for batch in rows for row in batch]

    records = {facts["key"]: facts for kind, facts in [*first, *rest] if kind == "record"}
    assert len(records) == 40
    assert "later" not in records
    assert records["k1"]["value"] is not None


async def test_of_whom_nothing_is_held_the_export_is_empty_and_whole(database: Database, store: CompleteStore) -> None:
    await fill(store)
    async with database.beside() as beside:
        lines = await exported(beside, IdentityId("nobody"))

    assert [line["kind"] for line in lines] == ["head", "end"]
    assert lines[-1]["counts"] == {}


# --- erasing ----------------------------------------------------------------------------------------------------------


async def test_nothing_of_an_erased_identity_is_left_in_any_column_of_any_table(
    database: Database, store: CompleteStore
) -> None:
    await fill(store)
    before = await database.rows()
    assert all(places_of(text, before) for text in ZOES_TEXTS)

    async with database.beside() as beside:
        removed = await erased(beside, ZOE.identity)
        rows = await database.rows()
        lines = await exported(beside, ZOE.identity)

    assert removed.left == ()
    assert {text: places_of(text, rows) for text in ZOES_TEXTS} == NOWHERE
    assert removed.counts == {
        "invitations": 1,
        "memberships": 1,
        "datasets": 4,
        "records": 6,
        "receipts": 7,
        "audit entries": 7,
        "datasets changed last": 1,
        "authorships": 3,
        "guests": 1,
        "logins": 1,
    }
    assert [line["kind"] for line in lines] == ["head", "end"]


async def test_what_others_have_stays_byte_for_byte_but_for_the_author(
    database: Database, store: CompleteStore
) -> None:
    await fill(store)
    before = others(await database.rows())
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)

    after = others(await database.rows())

    assert all(before.values())
    assert after == before


async def test_the_datasets_of_an_erased_identity_are_deleted_ones_without_its_name_and_members_are_told(
    database: Database, store: CompleteStore
) -> None:
    ids = await fill(store)
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)

    (head,) = await store.deleted_datasets(YAN, [(ids["shared"])])
    assert (head.name, shown(head.owner), head.record_count, head.size_bytes) == ("erased", "erased", 0, 0)
    assert head.deleted_at is not None
    assert (await store.heads([(ids["shared"])]))[(ids["shared"])].deleted


async def test_others_can_name_an_erased_author_and_no_credential_can(database: Database, store: CompleteStore) -> None:
    ids = await fill(store)
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)

    record = await store.record(YAN, (ids["yans"]), put("both").key)
    assert record is not None
    assert (shown(record.updated_by.identity), record.updated_by.device) == ("erased", None)
    assert record.updated_by.identity != identity_id("erased")
    members = await store.members(YAN, (ids["yans"]), first=9)
    assert [member.identity for member in members] == [YAN.identity, ALICE.identity]


async def test_an_erased_identity_does_not_come_back(database: Database, store: CompleteStore) -> None:
    """Its tokens may be good yet, and a node may not have heard of it."""
    ids = await fill(store)
    await share(store, an_invitation("come", uses=9), viewer=YAN, ref=named("yans"))
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)
    rows = await database.rows()

    for ref in (named("zoes-diary"), named("new"), by_id(ids["diary"]), by_id(ids["yans"])):
        with pytest.raises(IdentityErased):
            await synced(store, a_request(put("back"), viewer=ZOE, ref=ref, new_dataset_id=a_dataset_id()))
    with pytest.raises(IdentityErased):
        await create(store, named("zoes-diary"), ZOE)
    with pytest.raises(IdentityErased):
        await share(store, AcceptInvitation(code_hash=code_hash("come")), viewer=ZOE, ref=None)
    with pytest.raises(IdentityErased):
        await share(store, Share(identity=ZOE.identity, role=Role.VIEWER), viewer=YAN, ref=named("yans"))
    assert await store.dataset(ZOE, by_id(ids["diary"])) is None
    assert await database.rows() == rows


async def test_a_login_of_an_erased_identity_does_not_become_another_one(
    database: Database, store: CompleteStore
) -> None:
    """A token of it may be good yet, and its device has everything, ready to be synced."""
    await fill(store)
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)
    rows = await database.rows()

    with pytest.raises(IdentityErased):
        await store.identities.identity_of(ZOES_LOGIN, new_identity=IdentityId("new"), now=NOW)
    with pytest.raises(IdentityErased):
        await store.identities.link(ZOES_LOGIN, YAN.identity, now=NOW)
    other = Login(issuer=ZOES_LOGIN.issuer, subject=Subject("another"))
    with pytest.raises(IdentityErased):
        await store.identities.link(other, ZOE.identity, now=NOW)
    assert await database.rows() == rows
    assert await store.identities.identity_of(other, new_identity=IdentityId("new"), now=NOW) == "new"


async def test_an_api_key_that_is_an_identity_of_its_own_is_exported_and_erased(
    database: Database, store: CompleteStore
) -> None:
    ids = [ApiKeyId("0123456789abcdef"), ApiKeyId("f" * 16)]
    for id_ in ids:
        await store.api_keys.add(
            ApiKey(
                id=id_,
                tenant=NO_TENANT,
                name="a backend",
                secret_hash=b"1" * 32,
                scopes=frozenset({Scope.READ}),
                created_at=NOW,
                expires_at=NOW + A_DAY,
            )
        )
    async with database.beside() as beside:
        lines = await exported(beside, identity_id(f"key:{ids[0]}"))
        removed = await erased(beside, identity_id(f"key:{ids[0]}"))

    assert [(line["id"], line["name"], line["scopes"]) for line in lines[1:-1]] == [(ids[0], "a backend", "read")]
    assert "111111" not in repr(lines)
    assert (removed.counts["API keys"], removed.left) == (1, ())
    assert [key.id for key in await store.api_keys.all()] == ids[1:]


async def test_an_erased_identity_is_known_by_its_hash_alone_and_forgotten_after_its_time(
    database: Database, store: CompleteStore
) -> None:
    before = await store.erasures(None)
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)
    retention = Retention(
        tombstones=A_DAY, tombstones_per_dataset=9, receipts=A_DAY, deleted_datasets=A_DAY, erasures=A_DAY
    )
    assert before is not None
    found = await store.erasures(before.mark)
    assert found is not None
    await store.prune(retention, now=NOW + A_DAY, batch=10)
    same = await store.erasures(found.mark)
    await store.prune(retention, now=NOW + 2 * A_DAY, batch=10)
    gone = await store.erasures(found.mark)

    assert (before.hashes, found.hashes) == (frozenset(), frozenset({erased_hash(ZOE.identity)}))
    assert same is None
    assert gone is not None
    assert gone.hashes == frozenset()
    await create(store, named("anew"), ZOE)


async def test_the_audit_log_keeps_acts_of_an_erased_identity_under_one_name_that_leads_to_nobody(
    database: Database, store: CompleteStore
) -> None:
    await fill(store)
    async with database.beside() as beside:
        before = await audit_log(beside)
        await erased(beside, ZOE.identity)
        await erased(beside, ZOE.identity)
        after = await audit_log(beside)

    assert [(each["act"], each["at"], each["dataset"]) for each in after[: len(before)]] == [
        (each["act"], each["at"], each["dataset"]) for each in before
    ]
    assert [each["act"] for each in after[len(before) :]] == ["eraseIdentity"] * 3
    names = {name for each in after for name in (each["actor"], each["subject"]) if name and name.startswith("erased")}
    # Zoe's, and that of the guest that she was.
    assert [len(name) for name in names] == [len("erased-") + 16] * 2
    about_zoe = [each for each in after if "erased" in f"{each['actor']}{each['subject']}"]
    assert {repr(each["details"]) for each in about_zoe} == {"{}"}
    assert {each["actorDevice"] for each in about_zoe} == {None, YAN.device}


async def test_erasing_again_finds_nothing_and_changes_nothing_of_others(
    database: Database, store: CompleteStore
) -> None:
    await fill(store)
    async with database.beside() as beside:
        await erased(beside, ZOE.identity)
        kept = others(await database.rows())
        removed = await erased(beside, ZOE.identity)

    assert (+removed.counts, removed.left) == ({}, ())
    assert others(await database.rows()) == kept


async def test_one_tenants_identity_is_erased_and_not_that_of_the_same_name_in_another(
    database: Database, store: CompleteStore
) -> None:
    ours, theirs, none = (
        Viewer(identity=identity, device=None)
        for identity in (identity_id("kim", tenant("ours")), identity_id("kim", tenant("theirs")), identity_id("kim"))
    )
    for viewer in (ours, theirs, none):
        await write(store, put("k", viewer.identity), viewer=viewer)
    async with database.beside() as beside:
        await erased(beside, ours.identity)

    with pytest.raises(IdentityErased):
        await write(store, put("k"), viewer=ours)
    for viewer in (theirs, none):
        assert len(await store.records(viewer, (await _head(store, viewer)), first=9)) == 1


async def test_what_was_transferred_to_somebody_is_theirs(database: Database, store: CompleteStore) -> None:
    given = (await write(store, put("k", 1), viewer=ZOE, ref=named("given"))).head.id
    await share(store, Share(identity=YAN.identity, role=Role.EDITOR), viewer=ZOE, ref=named("given"))
    await share(store, TransferOwnership(identity=YAN.identity), viewer=ZOE, ref=named("given"))
    await share(store, RemoveMember(identity=ZOE.identity), viewer=YAN, ref=by_id(given))
    async with database.beside() as beside:
        removed = await erased(beside, ZOE.identity)

    assert removed.left == ()
    assert (removed.counts["records"], removed.counts["authorships"]) == (0, 1)
    record = await store.record(YAN, given, put("k").key)
    assert record is not None
    assert record.value == "1"
    assert places_of(ZOE.identity, await database.rows()) == []


async def test_what_is_left_is_found_wherever_it_stands(database: Database, store: CompleteStore) -> None:
    """The look afterwards does not trust the list of what was to be removed."""
    await fill(store)
    async with database.beside() as beside:
        left = await remains(beside, ZOE.identity)
        await erased(beside, ZOE.identity)
        gone = await remains(beside, ZOE.identity)

    expected = {
        *("datasets.owner", "datasets.updated_by_identity", "records.updated_by_identity", "receipts.identity"),
        *("members.identity", "audit.actor", "audit.subject", "guests.linked_to", "logins.identity"),
    }
    in_postgres = {"records.owner", "members.owner", "invitations.owner", "owners.owner"}
    assert set(left) == expected | (in_postgres if database.name == "postgres" else set())
    assert gone == []


async def test_an_erasure_cut_short_shows_nothing_and_the_next_one_ends_it(
    database: Database, store: CompleteStore
) -> None:
    """After its first transaction, and after each one that follows."""
    ids = await fill(store)
    kept = others(await database.rows())
    removed: Removed | None = None
    cuts = 0
    while removed is None:
        cuts += 1
        async with database.beside() as beside:
            try:
                removed = await erased(_CutShort(beside, after=cuts + 1), ZOE.identity)
            except _Cut:
                assert await store.dataset(ZOE, by_id(ids["diary"])) is None
                assert (await store.heads([ids["diary"]]))[ids["diary"]].deleted
                with pytest.raises(IdentityErased):
                    await write(store, put("back"), viewer=ZOE, ref=named("zoes-diary"))

    assert cuts > 5
    assert removed.left == ()
    assert {text: places_of(text, await database.rows()) for text in ZOES_TEXTS} == NOWHERE
    assert others(await database.rows()) == kept


async def test_a_dataset_whose_erasure_was_cut_short_does_not_keep_others_from_being_pruned(
    database: Database, store: CompleteStore
) -> None:
    await fill(store)
    await store.delete_dataset(YAN, named("left"), now=NOW)
    async with database.beside() as beside:
        with pytest.raises(_Cut):
            await erased(_CutShort(beside, after=2), ZOE.identity)
    retention = Retention(tombstones=A_DAY, tombstones_per_dataset=9, receipts=A_DAY, deleted_datasets=A_DAY)

    pruned = await store.prune(retention, now=NOW + 2 * A_DAY, batch=100)

    assert pruned.datasets >= 2
    async with database.beside() as beside:
        assert (await erased(beside, ZOE.identity)).left == ()


class _Cut(Exception):
    pass


class _CutShort:
    """A database that is lost after so many transactions."""

    def __init__(self, beside: Beside, *, after: int) -> None:
        self._beside = beside
        self._left = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._beside, name)

    async def transaction(self, work: Callable[[Steps], Awaitable[Any]]) -> Any:
        if not self._left:
            raise _Cut
        self._left -= 1
        return await self._beside.transaction(work)


def others(rows: Rows) -> dict[str, list[Any]]:
    """All that is Yan's and Alice's, with scopes and stamps left out, and whoever is erased in Zoe's place."""
    owners = {YAN.identity, ALICE.identity}
    theirs = [row for row in rows["datasets"] if row["owner"] in owners]
    keys = {row.get("number", row["id"]) for row in theirs}
    erasing = {ZOE.identity: erased_in(NO_TENANT), "zoes-laptop-31": None, ZOE.device: None}

    def told(row: dict[str, Any]) -> list[Any]:
        return sorted(
            (name, erasing.get(value, value) if isinstance(value, str) else value)
            for name, value in row.items()
            if name not in ("scope", "stamp")
        )

    def of_theirs(table: str) -> list[Any]:
        return [told(row) for row in rows[table] if row["dataset"] in keys and row.get("identity") != ZOE.identity]

    return {
        "datasets": [told(row) for row in theirs],
        **{table: sorted(of_theirs(table), key=repr) for table in ("records", "members", "invitations")},
        "receipts": [told(row) for row in rows["receipts"] if row["identity"] in owners],
    }


async def _head(store: Store, viewer: Viewer) -> DatasetId:
    standing = await store.dataset(viewer, named())
    assert standing is not None
    return standing.head.id

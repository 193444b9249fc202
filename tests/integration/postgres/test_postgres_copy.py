"""``syncline copy`` from SQLite to PostgreSQL: devices go on as if nothing had happened."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import msgspec
import pytest

from syncline.config import DATABASE_FILE
from syncline.core.checkpoint import START, Checkpoint
from syncline.core.ids import NO_TENANT, Version
from syncline.core.model import DatasetRef, DatasetScope, Position
from syncline.core.pages import PageRequest
from syncline.errors import StartRefused
from syncline.ports import CompleteStore, Synced
from syncline.storage.copied_tables import TABLES
from syncline.storage.postgres import PostgresStore
from syncline.storage.sqlite import SqliteStore
from tests.support.builders import ALICE, ALICES_LAPTOP, BOB, NOW, a_request, by_id, named, put, remove
from tests.support.command_line import done, environment, refused, syncline
from tests.support.full_database import NEW_GUEST, OTHER_SCRIPTS, OWNERS, VIEWERS, Full, fill, fill_large
from tests.support.postgres import PostgresServer
from tests.support.stores import checkpoint, create, keys, read, read_all, synced, write

MOST_VERSIONS = 20
KILLS = 4


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.create_database())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / DATABASE_FILE


async def copy(url: str, cwd: Path, *flags: str) -> Any:
    return await asyncio.to_thread(syncline, "copy", "--from", "sqlite:.", *flags, cwd=cwd, SYNCLINE_DATABASE_URL=url)


async def query(url: str, statement: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


async def marker(url: str) -> dict[str, Any] | None:
    """How far the target says that the copy is."""
    try:
        text = await query(url, "SELECT value FROM syncline.meta WHERE name = 'copying'")
    except asyncpg.UndefinedTableError:
        return None
    return None if text is None else msgspec.json.decode(text)


# --- what is copied ---------------------------------------------------------------------------------------------------


async def seen(store: CompleteStore, full: Full) -> list[Any]:
    """All that the port tells about what is stored."""
    link = full.link
    epoch = await store.epoch()
    facts: list[Any] = [epoch, await store.heads(full.datasets), await store.visible(OWNERS)]
    for viewer in VIEWERS:
        standings = await store.datasets(viewer, DatasetScope.ALL, first=100)
        deleted = sorted(await store.deleted_datasets(viewer, full.datasets), key=lambda head: head.id)
        heads = [*(standing.head for standing in standings), *deleted]
        facts += [standings, deleted, await store.usage(viewer.identity)]
        for head in heads:
            ref = by_id(head.id)
            for version in range(MOST_VERSIONS):
                since = Checkpoint(epoch, head.id, Position(Version(version)))
                facts.append(await store.read_log(viewer, ref, since, PageRequest()))
            whole = await store.read_log(viewer, ref, START, PageRequest())
            for record in whole.page.records if whole.page is not None else ():
                facts.append(await store.record(viewer, head.id, record.key))
            facts.append(await store.records(viewer, head.id, first=1_000))
            facts.append(await store.members(viewer, head.id, first=1_000))
            facts.append(await store.invitations(viewer, head.id, now=NOW))
            facts.append(await store.access(NO_TENANT, head.id))
    facts.append(await store.linked_guests([link.guest, NEW_GUEST]))
    facts.append((await store.link_guest(link)).linked)
    facts += [await store.api_keys.all(), await store.identities.logins(OTHER_SCRIPTS.identity)]
    # Whoever synced before does so again.
    again = [await store.sync(replace(request, since=START), PageRequest()) for request in full.requests]
    # Two are of datasets that were deleted since.
    assert [outcome.replayed for outcome in again if isinstance(outcome, Synced)] == [True] * (len(again) - 2)
    return [*facts, *again]


async def test_everything_is_there_as_it_was(url: str, source: Path, tmp_path: Path) -> None:
    sqlite = await SqliteStore.open(source)
    full = await fill(sqlite)
    before = await seen(sqlite, full)
    await sqlite.close()
    holds_every_kind(source)

    printed = done(await copy(url, tmp_path))

    store = await PostgresStore.open(url, connections=2)
    after = await seen(store, full)
    assert len(before) == len(after) > 300
    for here, there in zip(before, after, strict=True):
        assert here == there
    assert printed[-1] == f"epoch {await store.epoch()}"
    await store.close()


def holds_every_kind(source: Path) -> None:
    """That what is to be copied leaves nothing out."""
    connection = apsw.Connection(str(source))
    for condition in (
        "FROM records WHERE value IS NULL",
        "FROM records WHERE field_versions IS NOT NULL",
        "FROM records WHERE unseen IS NOT NULL",
        "FROM records WHERE device_time IS NOT NULL",
        "FROM records WHERE updated_by_device IS NULL",
        "FROM records WHERE ordinal > 1",
        "FROM datasets WHERE deleted_at IS NOT NULL",
        "FROM datasets WHERE pruned_through > 0",
        "FROM datasets WHERE tombstones > 0",
        "FROM datasets WHERE conflict_policy <> 'REJECT'",
        "FROM datasets WHERE scope > 1",
        "FROM members AS m, datasets AS d WHERE m.dataset = d.number AND d.deleted_at IS NOT NULL",
        "FROM members WHERE role = 'EDITOR'",
        "FROM members WHERE role = 'VIEWER'",
        "FROM invitations WHERE uses_left = 0",
        "FROM invitations WHERE uses_left > 1",
        "FROM guests WHERE outcome IS NOT NULL",
        "FROM guests WHERE linked_to IS NULL",
        "FROM logins WHERE tenant = ''",
        "FROM api_keys WHERE old_hash IS NOT NULL",
        "FROM api_keys WHERE revoked_at IS NOT NULL",
        "FROM api_keys WHERE last_used_at IS NOT NULL",
        "FROM receipts WHERE version IS NULL",
        "FROM receipts WHERE device = ''",
        "FROM receipts WHERE outcomes LIKE '%CONFLICT%'",
        "FROM receipts WHERE outcomes LIKE '%CHANGE_NOT_APPLICABLE%'",
    ):
        assert connection.execute(f"SELECT count(*) {condition}").get > 0, condition  # from above
    connection.close()


async def test_a_device_goes_on_from_its_checkpoint_with_exactly_what_it_lacks(
    url: str, source: Path, tmp_path: Path
) -> None:
    sqlite = await SqliteStore.open(source)
    head = (await write(sqlite, put("a"), put("b"))).head
    device = await checkpoint(sqlite, head.id)
    await write(sqlite, put("c"), remove("a"))
    await sqlite.close()
    done(await copy(url, tmp_path))
    store = await PostgresStore.open(url, connections=2)
    await write(store, put("d"), viewer=ALICES_LAPTOP)

    log = await read(store, device)

    assert log.reason is None
    assert keys(log.page) == ["c", "a", "d"]
    await store.close()


async def test_the_copy_can_be_worked_with(url: str, source: Path, tmp_path: Path) -> None:
    sqlite = await SqliteStore.open(source)
    await fill(sqlite)
    await sqlite.close()
    done(await copy(url, tmp_path))
    nodes = [await PostgresStore.open(url, connections=2) for _ in range(2)]

    await asyncio.gather(*(write(nodes[n % 2], put(f"new-{n}"), viewer=ALICE) for n in range(20)))
    await write(nodes[0], remove("new-1"), viewer=ALICE)
    await create(nodes[1], named("made-later"), viewer=BOB)
    await write(nodes[0], put("k"), viewer=BOB, ref=named("made-by-a-sync"))
    await nodes[1].delete_dataset(BOB, named("empty"), now=NOW)

    pages = await read_all(nodes[1], page=PageRequest())
    written = [record for page in pages for record in page.records]
    assert {f"new-{n}" for n in range(20)} <= {record.key for record in written}
    made = await nodes[0].datasets(BOB, DatasetScope.OWNED, first=100)
    names = {standing.head.name for standing in made}
    assert names >= {"made-later", "made-by-a-sync"}
    assert "empty" not in names
    for node in nodes:
        await node.close()


# --- killed, and gone on with -----------------------------------------------------------------------------------------


def start_copy(url: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "syncline", "copy", "--from", "sqlite:."],
        cwd=cwd,
        env=environment(SYNCLINE_DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def kill_when(process: subprocess.Popen[str], reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await reached():
            assert process.poll() is None, process.communicate()
    process.kill()
    await asyncio.to_thread(process.communicate)


async def killed_copy(url: str, cwd: Path) -> dict[str, Any]:
    """Start a copy and kill it after it got further; how far the target says that it is."""
    before = await marker(url)

    async def further() -> bool:
        return await marker(url) not in (None, before)

    await kill_when(start_copy(url, cwd), further)
    now = await marker(url)
    assert now is not None
    return now


async def test_a_copy_that_is_killed_again_and_again_goes_on_where_it_was(
    url: str, source: Path, tmp_path: Path
) -> None:
    await asyncio.to_thread(fill_large, source, records=100_000)
    kept = [await killed_copy(url, tmp_path) for _ in range(KILLS)]
    places = [([table.name for table in TABLES].index(each["table"]), each["rows"]) for each in kept]
    assert places == sorted(set(places))
    with pytest.raises(StartRefused, match="unfinished copy"):
        await PostgresStore.open(url, connections=2)

    printed = done(await copy(url, tmp_path))

    assert printed[0].startswith(
        "200 datasets, 100,000 records, 50,000 receipts, 200 members, 200 invitations, 200 guests, 200 logins, "
        "200 api_keys, 200 audit, 200 erased_identities: equal on both sides"
    )
    written = int(printed[1].partition(" rows")[0].replace(",", ""))
    assert written < 151_600 - places[-1][1] + 1
    assert await marker(url) is None
    assert await query(url, "SELECT count(*) FROM syncline.records") == 100_000
    assert await query(url, "SELECT count(*) FROM syncline.owners") == 200
    store = await PostgresStore.open(url, connections=2)
    await store.close()


async def test_what_changed_on_the_way_is_noticed_and_a_restart_begins_anew(
    url: str, source: Path, tmp_path: Path
) -> None:
    await asyncio.to_thread(fill_large, source, records=100_000)
    await killed_copy(url, tmp_path)
    while (await marker(url) or {})["table"] == "datasets":
        await killed_copy(url, tmp_path)
    await query(url, "UPDATE syncline.records SET value = '1' WHERE key = 'key-7' AND value <> '1'")

    spoilt = refused(await copy(url, tmp_path))
    still = await marker(url)
    sqlite = await SqliteStore.open(source)
    await write(sqlite, put("later"))
    await sqlite.close()
    moved_on = refused(await copy(url, tmp_path))
    anew = done(await copy(url, tmp_path, "--restart"))

    assert "the copy is not like its source: records differ; --restart begins anew" in spoilt
    assert still is not None
    assert "or the source has changed since: --restart drops it" in moved_on
    assert anew[0].startswith(
        "201 datasets, 100,001 records, 50,001 receipts, 200 members, 200 invitations, 200 guests, 200 logins, "
        "200 api_keys, 200 audit, 200 erased_identities: equal on both sides"
    )
    assert anew[1].startswith("151,603 rows written")


@pytest.mark.parametrize("table", [table.name for table in TABLES])
async def test_rows_that_the_target_did_not_keep_are_noticed(
    table: str, url: str, source: Path, tmp_path: Path
) -> None:
    await asyncio.to_thread(fill_large, source, records=500)
    await asyncio.to_thread(syncline, "migrate", cwd=tmp_path, SYNCLINE_DATABASE_URL=url)
    await query(url, "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    await query(url, f"CREATE TRIGGER lose BEFORE INSERT ON syncline.{table} FOR EACH ROW EXECUTE FUNCTION lose()")

    line = refused(await copy(url, tmp_path))

    assert f" {table}, 0 are there; --restart begins anew" in line
    with pytest.raises(StartRefused, match="unfinished copy"):
        await PostgresStore.open(url, connections=2)


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_a_target_that_holds_data_is_left_alone(url: str, source: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(fill_large, source, records=500)
    store = await PostgresStore.open(url, connections=2)
    await write(store, put("precious"))
    await store.close()

    plain = refused(await copy(url, tmp_path))
    restart = refused(await copy(url, tmp_path, "--restart"))

    assert plain == restart == "syncline: the target holds data already; copy into an empty database"
    assert await query(url, "SELECT key FROM syncline.records") == "precious"
    assert await marker(url) is None


async def test_a_schema_of_somebody_elses_is_left_alone(url: str, source: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(fill_large, source, records=500)
    await query(url, "CREATE SCHEMA syncline")
    await query(url, "CREATE TABLE syncline.theirs ()")

    assert "a schema named syncline, but not one of Syncline's" in refused(await copy(url, tmp_path))


async def test_servers_on_either_side_must_be_stopped_first(url: str, source: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(fill_large, source, records=500)
    sqlite = await SqliteStore.open(source)
    at_source = refused(await copy(url, tmp_path))
    await sqlite.close()
    store = await PostgresStore.open(url, connections=2)
    await store.usage(ALICE.identity)
    at_target = refused(await copy(url, tmp_path))
    await store.close()

    assert "is in use by process" in at_source
    assert at_target == "syncline: a server is using the target; stop it first"
    # One that was there only to be looked at is no hindrance.
    done(await copy(url, tmp_path))


async def test_two_copies_at_once_into_one_target_do_not_mix(url: str, source: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(fill_large, source, records=500)
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_advisory_lock($1)", 0x53594E43_0002)

    assert "another copy into the target is under way" in refused(await copy(url, tmp_path))

    await connection.close()


async def test_the_source_is_as_it_was_and_may_be_a_file_or_a_folder(
    postgres_server: PostgresServer, source: Path, tmp_path: Path
) -> None:
    sqlite = await SqliteStore.open(source)
    head = (await write(sqlite, put("a"))).head
    epoch = await sqlite.epoch()
    await sqlite.close()

    checksums = []
    for from_ in ("sqlite:.", f"sqlite:{source}"):
        to = postgres_server.url(postgres_server.create_database())
        run = await asyncio.to_thread(syncline, "copy", "--from", from_, "--to", to, cwd=tmp_path)
        checksums.append(done(run)[0])
        assert f"Should a server ever use {source.name if from_ == 'sqlite:.' else source} again" in run.stderr

    sqlite = await SqliteStore.open(source)
    assert checksums[0] == checksums[1]
    assert await sqlite.epoch() == epoch
    assert (await sqlite.heads([head.id]))[head.id].version == 1
    await sqlite.close()


@pytest.mark.parametrize(
    "address", ["postgresql://alice:a-secret-word@127.0.0.1:1/name", "postgresql://alice:a-secret-word@[127.0.0.1/name"]
)
async def test_no_password_is_ever_shown(address: str, source: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(fill_large, source, records=500)

    by_variable = refused(await copy(address, tmp_path))
    by_flag = refused(await copy("", tmp_path, "--to", address))

    assert by_variable == by_flag
    assert "a-secret-word" not in by_variable


async def test_a_target_that_cannot_hold_other_scripts_is_refused(
    postgres_server: PostgresServer, source: Path, tmp_path: Path
) -> None:
    sqlite = await SqliteStore.open(source)
    await write(sqlite, put("😀"))
    await sqlite.close()
    name = postgres_server.create_database()
    postgres_server.execute(f"CREATE DATABASE {name}_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    line = refused(await copy(postgres_server.url(f"{name}_latin"), tmp_path))

    assert "UntranslatableCharacter" in line


async def test_a_dataset_reference_by_name_finds_the_copied_one(url: str, source: Path, tmp_path: Path) -> None:
    sqlite = await SqliteStore.open(source)
    head = (await write(sqlite, put("a"))).head
    await sqlite.close()
    done(await copy(url, tmp_path))

    store = await PostgresStore.open(url, connections=2)
    outcome = await synced(store, a_request(put("b"), ref=DatasetRef(name=head.name)))

    assert (outcome.head.id, outcome.head.version) == (head.id, 2)
    await store.close()

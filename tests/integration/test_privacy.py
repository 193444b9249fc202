"""Export, erasing and the audit log as an operator uses them: commands beside a server that runs, on both stores."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from tests.support.command_line import done, environment, refused, syncline
from tests.support.graphql_socket import GraphqlSocket
from tests.support.postgres import PostgresServer
from tests.support.server import RunningServer, running_server

ZOE = "zoe-7391-ünïque"
YAN = "yan-2208"
TEXTS = (ZOE, "zoes-phone-5512", "zoes-private-text")
WITHIN_SECONDS = 5.0
"""One is promised; the machine of the tests is not always there."""
KILLS = 4
MANY = 1_000
PER_SYNC = 250

SYNC = "mutation ($input: SyncInput!) { sync(input: $input) { __typename ... on SyncApplied { dataset { id } } } }"
SHARE = "mutation ($id: ID!, $who: ID!) { shareDataset(dataset: {id: $id}, identityId: $who, role: EDITOR) { role } }"
WATCH = "subscription ($id: ID!) { datasetChanges(dataset: {id: $id}) { __typename } }"
READ = """query ($id: ID!) { dataset(dataset: {id: $id}) {
  records(first: 9) { nodes { key updatedBy { identityId } } } } }"""


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "SQLite":
        return {}
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    return {"SYNCLINE_DATABASE_URL": postgres.url(postgres.empty_database())}


@pytest.fixture
def server(settings: dict[str, str], tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data", settings=settings) as server:
        yield server


def run(server: RunningServer, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return syncline(*arguments, "--data", str(server.folder), cwd=server.folder, **settings)


async def ask(server: RunningServer, query: str, by: str, **variables: Any) -> dict[str, Any]:
    token = server.token("zoes-phone-5512" if by == ZOE else f"{by}-phone", by)
    async with httpx.AsyncClient(timeout=60, headers={"authorization": f"Bearer {token}"}) as http:
        answer = await http.post(server.url, json={"query": query, "variables": variables})
    body: dict[str, Any] = answer.json()
    return body


async def write(server: RunningServer, who: str, dataset: dict[str, str], count: int = 1, of: str = "v") -> str:
    """So many records; the dataset's id."""
    for first in range(0, count, PER_SYNC):
        changes = [
            {"put": {"key": f"{of}{number}", "value": f"{of} zoes-private-text", "base": {"any": True}}}
            for number in range(first, min(first + PER_SYNC, count))
        ]
        given = {"dataset": dataset, "mutationId": f"{who}-{of}-{first}", "changes": changes}
        answer = await ask(server, SYNC, who, input=given)
        assert answer["data"]["sync"]["__typename"] == "SyncApplied", answer
    return str(answer["data"]["sync"]["dataset"]["id"])


async def test_an_identity_is_exported_to_a_file_that_only_its_owner_may_read(
    server: RunningServer, settings: dict[str, str]
) -> None:
    await write(server, ZOE, {"name": "diary"}, count=700)
    file = server.folder / "zoe.jsonl"

    told = done(await asyncio.to_thread(run, server, settings, "identity", "export", ZOE, "--output", str(file)))
    again = await asyncio.to_thread(run, server, settings, "identity", "export", ZOE, "--output", str(file))
    printed = done(await asyncio.to_thread(run, server, settings, "identity", "export", ZOE))

    *lines, last = file.read_bytes().splitlines(keepends=True)
    end = msgspec.json.decode(last)
    assert told == [f"{file}: {file.stat().st_size:,} bytes"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "is there already; --force overwrites it" in refused(again)
    assert end["counts"] == {"dataset": 1, "record": 700, "receipt": 3, "audited": 1}
    assert end["sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()
    # The end, and the export that was before; the one that was refused is none.
    assert len(printed) == len(lines) + 2
    assert [path.name for path in server.folder.iterdir() if "partial" in path.name] == []


async def test_erasing_beside_a_running_server_leaves_nothing_and_ends_open_sockets(
    server: RunningServer, settings: dict[str, str]
) -> None:
    own = await write(server, ZOE, {"name": "zoes"}, of="own")
    yans = await write(server, YAN, {"name": "yans"}, of="yan")
    await ask(server, SHARE, ZOE, id=own, who=YAN)
    await ask(server, SHARE, YAN, id=yans, who=ZOE)
    await write(server, ZOE, {"id": yans}, of="both")
    async with (
        GraphqlSocket(server.socket_url, server.token("zoes-phone-5512", ZOE)) as zoe,
        GraphqlSocket(server.socket_url, server.token("p", YAN)) as yan,
    ):
        watching = await yan.start(WATCH, {"id": own})
        assert (await yan.next_payload(watching))["data"]["datasetChanges"]["__typename"] == "Ready"
        erased = await asyncio.to_thread(run, server, settings, "identity", "erase", ZOE, "--yes")
        ended_at = time.monotonic()
        code = await zoe.closed()
        seconds = time.monotonic() - ended_at
        event = await yan.next_payload(watching)

    lines = done(erased)
    assert lines[0].startswith("removed: ")
    assert lines[1] == "verified: the identity is in no table any more"
    if not settings:
        assert lines[2] == "verified: it is nowhere in the database's files"
        for path in server.folder.glob("syncline.sqlite3*"):
            assert [text for text in TEXTS[:2] if text.encode() in path.read_bytes()] == [], path
    assert code == 4403
    assert seconds < WITHIN_SECONDS
    assert event["data"]["datasetChanges"]["__typename"] == "DatasetDeleted"
    refusal = await ask(server, READ, ZOE, id=yans)
    assert refusal["errors"][0]["extensions"]["code"] == "IDENTITY_ERASED"
    records = (await ask(server, READ, YAN, id=yans))["data"]["dataset"]["records"]["nodes"]
    assert {record["key"]: record["updatedBy"]["identityId"] for record in records} == {"yan0": YAN, "both0": "erased"}


async def test_the_audit_log_is_printed_as_text_and_as_json(server: RunningServer, settings: dict[str, str]) -> None:
    own = await write(server, ZOE, {"name": "zoes"})
    await ask(server, SHARE, ZOE, id=own, who=YAN)
    done(await asyncio.to_thread(run, server, settings, "identity", "export", YAN))

    text = done(await asyncio.to_thread(run, server, settings, "audit"))
    of_dataset = done(await asyncio.to_thread(run, server, settings, "audit", "--json", "--dataset", own))
    later = done(await asyncio.to_thread(run, server, settings, "audit", "--since", "2100-01-01"))
    bad = refused(await asyncio.to_thread(run, server, settings, "audit", "--since", "yesterday"))

    assert [line.split("  ", 1)[1] for line in text] == [
        f"{ZOE} on zoes-phone-5512  shareDataset  dataset {own}  identity {YAN}  role EDITOR",
        f"operator cli  exportIdentity  identity {YAN}",
    ]
    (entry,) = map(msgspec.json.decode, of_dataset)
    assert (entry["act"], entry["actor"], entry["subject"], entry["details"]) == (
        *("shareDataset", ZOE, YAN),
        {"role": "EDITOR"},
    )
    assert later == []
    assert "--since" in bad


async def test_a_new_epoch_and_a_restore_are_in_the_audit_log(tmp_path: Path) -> None:
    done(syncline("migrate", "--data", "data", cwd=tmp_path))
    done(syncline("epoch", "renew", "--data", "data", cwd=tmp_path))
    done(syncline("backup", "b", "--data", "data", cwd=tmp_path))
    done(syncline("restore", "b", "--data", "other", cwd=tmp_path))

    lines = done(syncline("audit", "--data", "other", cwd=tmp_path))

    assert [line.split("  ", 1)[1] for line in lines] == ["operator cli  renewEpoch", "operator cli  restore"]


def test_erasing_is_not_done_unasked(tmp_path: Path) -> None:
    done(syncline("migrate", "--data", "data", cwd=tmp_path))

    assert "say --yes" in refused(syncline("identity", "erase", ZOE, "--data", "data", cwd=tmp_path))
    assert done(syncline("audit", "--data", "data", cwd=tmp_path)) == []
    assert "there is no" in refused(syncline("identity", "erase", ZOE, "--yes", "--data", "none", cwd=tmp_path))


async def test_an_erasure_that_is_killed_is_ended_by_the_next_call(
    server: RunningServer, settings: dict[str, str]
) -> None:
    """At moments from before its first transaction to behind its last."""
    for number in range(3):
        await write(server, ZOE, {"name": f"big-{number}"}, count=MANY, of=f"own-{number}-")
    yans = await write(server, YAN, {"name": "yans"}, of="yan")
    await ask(server, SHARE, YAN, id=yans, who=ZOE)
    await write(server, ZOE, {"id": yans}, count=MANY, of="both")
    dice = random.Random(7)  # noqa: S311 # no secret
    for _ in range(KILLS):
        await asyncio.to_thread(_killed, server, settings, 0.3 + dice.random())
        # The server goes on whatever was cut short.
        await write(server, YAN, {"id": yans}, of=f"y{dice.random()}")

    lines = done(await asyncio.to_thread(run, server, settings, "identity", "erase", ZOE, "--yes"))
    again = done(await asyncio.to_thread(run, server, settings, "identity", "erase", ZOE, "--yes"))

    assert lines[1] == again[1] == "verified: the identity is in no table any more"
    assert again[0] == "removed: nothing was held"
    if not settings:
        for path in server.folder.glob("syncline.sqlite3*"):
            assert [text for text in TEXTS[:2] if text.encode() in path.read_bytes()] == [], path


def _killed(server: RunningServer, settings: dict[str, str], after_seconds: float) -> None:
    command = [sys.executable, "-m", "syncline", "identity", "erase", ZOE, "--yes", "--data", str(server.folder)]
    with subprocess.Popen(command, env=environment(**settings), stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(after_seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)


# --- by a backend -----------------------------------------------------------------------------------------------------


@pytest.fixture
def key(server: RunningServer, settings: dict[str, str]) -> str:
    """One that may do nothing else."""
    (text,) = done(run(server, settings, "key", "create", "legal", "--scope", "privacy"))
    return text


async def admin(server: RunningServer, method: str, path: str, **headers: str) -> httpx.Response:
    base = server.url.removesuffix("/graphql")
    async with httpx.AsyncClient(timeout=60, headers=headers) as http:
        return await http.request(method, f"{base}/admin/identities/{path}")


async def test_a_backend_exports_and_erases_an_identity(
    server: RunningServer, settings: dict[str, str], key: str
) -> None:
    who = quote(ZOE, safe="")
    await write(server, ZOE, {"name": "diary"}, count=700)

    answer = await admin(server, "GET", f"{who}/export", **{"x-api-key": key})
    erased = await admin(server, "DELETE", who, **{"x-api-key": key})
    again = await admin(server, "DELETE", who, **{"x-api-key": key})

    *lines, last = answer.content.splitlines(keepends=True)
    end = msgspec.json.decode(last)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    assert end["counts"]["record"] == 700
    assert end["sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()
    assert erased.status_code == again.status_code == 200
    assert erased.json()["removed"]["records"] == 700
    assert again.json()["removed"] == {}
    refusal = await ask(server, SYNC, ZOE, input={"dataset": {"name": "n"}, "mutationId": "m", "changes": []})
    assert refusal["errors"][0]["extensions"]["code"] == "IDENTITY_ERASED"
    acts = [
        msgspec.json.decode(line) for line in done(await asyncio.to_thread(run, server, settings, "audit", "--json"))
    ]
    name = f"key {key.split('_')[1]}"
    assert [(each["act"], each["operator"]) for each in acts] == [
        *(("createKey", "cli"), ("exportIdentity", name), ("eraseIdentity", name), ("eraseIdentity", name)),
    ]


async def test_only_a_key_for_it_exports_or_erases(server: RunningServer, settings: dict[str, str], key: str) -> None:
    await write(server, ZOE, {"name": "diary"})
    (usual,) = done(await asyncio.to_thread(run, server, settings, "key", "create", "usual"))
    token = f"Bearer {server.token('zoes-phone-5512', ZOE)}"
    tried: list[tuple[dict[str, str], int, str]] = [
        ({}, 401, "UNAUTHENTICATED"),
        ({"authorization": token}, 403, "FORBIDDEN"),
        ({"x-api-key": usual}, 403, "FORBIDDEN"),
        ({"x-api-key": key[:-1] + ("A" if key[-1] != "A" else "B")}, 401, "UNAUTHENTICATED"),
    ]

    for headers, status, code in tried:
        for method, path in (("GET", f"{quote(ZOE, safe='')}/export"), ("DELETE", quote(ZOE, safe=""))):
            answer = await admin(server, method, path, **headers)
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code), headers
    unnamed = await admin(server, "DELETE", "%20" * 300, **{"x-api-key": key})
    async with httpx.AsyncClient(headers={"x-api-key": key}) as http:
        read = await http.post(server.url, json={"query": "{ viewer { identityId } }"})

    assert (unnamed.status_code, unnamed.json()["errors"][0]["extensions"]["code"]) == (400, "INVALID_INPUT")
    assert read.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await ask(server, "{ datasets { nodes { name } } }", ZOE))["data"]["datasets"]["nodes"] == [
        {"name": "diary"}
    ]

"""Secrets are planted wherever a server is given some: none is ever in a log, at any level, whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from syncline.config import DATABASE_FILE
from tests.support.command_line import syncline
from tests.support.postgres import PostgresServer
from tests.support.public_server import PublicServer, public_server
from tests.support.raw_socket import BINARY, TEXT, RawSocket, frame, text
from tests.support.valkey import valkey

CANARY = "Canary7f3a9"
SECRET = f"{CANARY}-token-secret-of-32-bytes-or-more"
REDIS_PASSWORD = f"{CANARY}redis"
DATABASE_PASSWORD = f"{CANARY}database"
DEBUG = {"SYNCLINE_LOG_LEVEL": "debug", "SYNCLINE_TOKEN_SECRET": SECRET, "SYNCLINE_MAX_UNAUTHENTICATED_PER_MINUTE": "9"}
SYNC = "mutation ($input: SyncInput!) { sync(input: $input) { __typename } }"
MARK = "what the database says"
KEY, VALUE = f"{CANARY}-key", {f"{CANARY}-member": f"{CANARY}-value"}


def change(kind: str, **arguments: Any) -> dict[str, Any]:
    return {kind: {"key": KEY, **arguments}}


def an_input(*changes: dict[str, Any], number: int = 0, name: str = "notes", **others: Any) -> dict[str, Any]:
    return {"dataset": {"name": name}, "mutationId": f"{CANARY}-{number}", "changes": list(changes), **others}


def subscribe(operation: str, payload: dict[str, Any]) -> bytes:
    return text({"type": "subscribe", "id": operation, "payload": payload})


def assert_silent(output: list[str]) -> None:
    """No secret is in the log, and there is a log."""
    assert output
    assert [line for line in output if CANARY.lower() in line.lower()] == []


async def one_sync(server: PublicServer, turn: int) -> str:
    """A sync that is as it should be, and what it is answered."""
    given = an_input(change("put", value={**VALUE, "turn": turn}, base={"any": True}), number=100 + turn)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
        headers = {"authorization": f"Bearer {server.token('phone', f'{CANARY}-identity')}"}
        body = {"query": SYNC, "variables": {"input": given}}
        return (await client.post("/graphql", json=body, headers=headers)).text


async def many_ways(server: PublicServer) -> None:
    """Requests that go well and requests that go wrong, all with canaries in them."""
    token = server.token("phone", f"{CANARY}-identity")
    expired = server.token("phone", f"{CANARY}-identity", lifetime=timedelta(seconds=-60))
    inputs = [
        an_input(change("put", value=VALUE, base={"any": True}), number=1),
        an_input(change("put", value=VALUE, base={"any": True}), number=1),
        an_input(change("put", value=1), number=1),
        an_input(change("put", value=VALUE, base={"absent": True}), number=2),
        an_input(change("increment", by=1), number=3),
        an_input(change("put", value=VALUE, base={"version": -1}), number=4),
        an_input(change("put", value=[VALUE] * 60_000), number=5),
        an_input({"put": {"key": KEY * 200, "value": 1}}, number=6),
        an_input(number=7, name=f"{CANARY}/bad"),
        an_input(number=8, since=f"{CANARY}-checkpoint"),
        an_input(change(f"{CANARY}Kind"), number=9),
        {"dataset": {"id": CANARY}, "mutationId": "\0" + CANARY, "changes": CANARY},
    ]
    documents = [
        f'{{ dataset(dataset: {{name: "{CANARY}"}}) {{ record(key: "{KEY}") {{ value }} }} }}',
        f"{{ {CANARY} }}",
        f'{{ dataset(dataset: {{name: "{CANARY}',
        f"query {CANARY}($a: {CANARY}) {{ __typename }}",
    ]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
        good = {"authorization": f"Bearer {token}"}
        for each in inputs:
            await client.post("/graphql", json={"query": SYNC, "variables": {"input": each}}, headers=good)
        for document in documents:
            await client.post("/graphql", json={"query": document, "operationName": CANARY}, headers=good)
            await client.get("/graphql", params={"query": document, "access_token": CANARY}, headers=good)
        for bad in (f"Bearer {CANARY}", f"Bearer {token}{CANARY}", f"Bearer {expired}", f"Basic {CANARY}", CANARY):
            headers = {"authorization": bad, "cookie": f"session={CANARY}", "x-api-key": CANARY}
            for _ in range(3):
                await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
        for path in (f"/{CANARY}", f"/graphql?{CANARY}", f"/livez?token={CANARY}", f"/{'x' * 60_000}{CANARY}"):
            await client.get(path, headers={"x-request-id": "r1"})
        for content in (CANARY.encode(), b"\xff" + CANARY.encode(), b'{"query":"' + CANARY.encode()):
            await client.post("/graphql", content=content, headers={**good, "content-type": "application/json"})
    for messages in (
        [text({"type": "connection_init", "payload": {"authorization": CANARY}})],
        [text({"type": "connection_init", "payload": {"authorization": expired}})],
        [text({"type": "connection_init", "payload": {"authorization": token}}), frame(BINARY, CANARY.encode())],
        [
            text({"type": "connection_init", "payload": {"authorization": token}}),
            *(
                text(
                    {
                        "type": "subscribe",
                        "id": f"{CANARY}{number}",
                        "payload": {"query": SYNC, "variables": {"input": each}},
                    }
                )
                for number, each in enumerate(inputs)
                if len(str(each)) < 100_000
            ),
            text(
                {
                    "type": "subscribe",
                    "id": CANARY,
                    "payload": {"query": "subscription { identityChanges { __typename } }"},
                }
            ),
            text({"type": "ping", "payload": {CANARY: CANARY}}),
            frame(TEXT, b'{"type":"' + CANARY.encode()),
        ],
        [frame(TEXT, CANARY.encode(), reserved=4)],
    ):
        async with RawSocket(server, init=False) as socket:
            await socket.send(b"".join(messages))
            await socket.outcome()


@asynccontextmanager
async def on_postgres(folder: Path) -> AsyncIterator[tuple[PublicServer, PostgresServer]]:
    """A server on PostgreSQL and Redis, both with passwords; Redis dies at the end, before the server does."""
    with PostgresServer() as database:
        database.execute(f"CREATE ROLE app LOGIN SUPERUSER PASSWORD '{DATABASE_PASSWORD}'")
        async with valkey(folder / "valkey", requirepass=REDIS_PASSWORD) as redis:
            settings = {
                **DEBUG,
                "SYNCLINE_DATABASE_URL": f"postgresql://app:{DATABASE_PASSWORD}@127.0.0.1:{database.port}/postgres",
                "SYNCLINE_REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{redis.port}",
            }
            with public_server(folder / "data", settings=settings) as server:
                yield server, database
                redis.kill()
                await asyncio.sleep(1)
                assert server.stop() == 0
                assert_silent(server.output)


async def test_no_secret_is_in_the_log_of_a_server_on_sqlite(tmp_path: Path) -> None:
    with public_server(tmp_path / "data", settings=DEBUG) as server:
        assert "SyncApplied" in await one_sync(server, 1)
        await many_ways(server)
        database = apsw.Connection(str(tmp_path / "data" / DATABASE_FILE))
        database.set_busy_timeout(5_000)
        database.execute(f"CREATE TRIGGER t BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, '{MARK}'); END")
        answer = await one_sync(server, 2)
        assert "UNAVAILABLE" in answer
        assert MARK not in answer
        database.execute("DROP TRIGGER t; ALTER TABLE records RENAME TO others")
        database.close()
        assert "UNAVAILABLE" in await one_sync(server, 3)
        server.stop()
        assert_silent(server.output)


async def test_no_secret_is_in_the_log_of_a_server_on_postgresql_and_redis(tmp_path: Path) -> None:
    async with on_postgres(tmp_path) as (server, database):
        assert "SyncApplied" in await one_sync(server, 1)
        await many_ways(server)
        # PostgreSQL tells the whole row in the error about it.
        database.execute("ALTER TABLE syncline.records ADD CONSTRAINT never CHECK (false) NOT VALID")
        answer = await one_sync(server, 2)
        assert "UNAVAILABLE" in answer
        assert CANARY not in answer
        database.stop()
        assert "UNAVAILABLE" in await one_sync(server, 3)
        database.start()


@pytest.mark.parametrize(
    "settings",
    [
        {"SYNCLINE_DATABASE_URL": f"postgresql://app:{CANARY}@127.0.0.1:1/name"},
        {"SYNCLINE_DATABASE_URL": f"mysql://app:{CANARY}@127.0.0.1/name"},
        {"SYNCLINE_DATABASE_URL": f"postgresql://app:{CANARY}@127.0.0.1/name?{CANARY}={CANARY}"},
        {"SYNCLINE_REDIS_URL": f"http://:{CANARY}@127.0.0.1"},
        {"SYNCLINE_REDIS_URL": f"redis://:{CANARY}/x@127.0.0.1"},
        {"SYNCLINE_REDIS_URL": f"redis://:{CANARY}@127.0.0.1:0"},
        {"SYNCLINE_REDIS_URL": f"redis://{CANARY}@127.0.0.1"},
        {"SYNCLINE_TOKEN_SECRET": CANARY},
    ],
    ids=lambda settings: "".join(settings.values()).replace(CANARY, "SECRET").partition("?")[0],
)
def test_no_secret_is_in_what_a_refused_start_says(settings: dict[str, str], tmp_path: Path) -> None:
    run = syncline("serve", cwd=tmp_path, **{**DEBUG, **settings})
    assert CANARY.lower() not in (run.stdout + run.stderr).lower()
    assert run.returncode == 2

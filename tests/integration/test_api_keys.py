"""API keys, made and revoked by the command line beside a server that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result
from websockets.exceptions import ConnectionClosed

from syncline.cli import build
from syncline.errors import SynclineError
from tests.support.command_line import done, refused, syncline
from tests.support.process_socket import process_socket
from tests.support.server import RunningServer, running_server

VIEWER = "{ viewer { identityId deviceId } }"
PUT = (
    'mutation ($id: ID!) { sync(input: {dataset: {name: "notes"}, mutationId: $id, '
    'changes: [{put: {key: "a", value: 1, base: {any: true}}}]}) { __typename } }'
)
WATCH = 'subscription { datasetChanges(dataset: {name: "notes"}) { __typename } }'
BOUND_SECONDS = 5.0
"""It is promised within one; machines that do ten things at once have their own pace."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("keys") / "data") as each:
        yield each


def invoke(*arguments: str) -> Result:
    """The command in this process, which is another one than the server's; on a thread that has no event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(CliRunner().invoke, build(), arguments).result()


def command(server: RunningServer, *arguments: str) -> list[str]:
    result = invoke(*arguments, "--data", str(server.folder))
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def new_key(server: RunningServer, *scopes: str, name: str = "a backend") -> str:
    (text,) = command(server, "key", "create", name, *(part for scope in scopes for part in ("--scope", scope)))
    return text


@pytest.fixture(scope="module")
def keys(server: RunningServer) -> tuple[str, str]:
    """One as usual, and one that may act for others; nobody revokes them."""
    return new_key(server), new_key(server, "read", "act-as")


def id_of(key: str) -> str:
    return key.split("_")[1]


def post(server: RunningServer, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(trust_env=False) as http:
        body = {"query": query, "variables": variables}
        return http.post(server.url, json=body, headers=httpx.Headers(named, encoding="utf-8"))


def codes(answer: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json().get("errors", [])]


def test_a_key_stands_for_itself_or_for_whom_it_acts(server: RunningServer, keys: tuple[str, str]) -> None:
    plain, acting = keys

    own = post(server, VIEWER, x_api_key=plain, x_syncline_device="job-1")
    acted = post(server, VIEWER, x_api_key=acting, x_act_as="ålice 🙂", x_act_as_device="tab")
    not_allowed = post(server, VIEWER, x_api_key=plain, x_act_as="alice")

    assert own.json()["data"]["viewer"] == {"identityId": f"key:{id_of(plain)}", "deviceId": "job-1"}
    assert acted.json()["data"]["viewer"] == {"identityId": "ålice 🙂", "deviceId": "tab"}
    assert (not_allowed.status_code, codes(not_allowed)) == (403, ["FORBIDDEN"])
    assert not_allowed.json()["errors"][0]["extensions"]["scope"] == "act-as"


async def test_scopes_say_which_operations_there_are(server: RunningServer) -> None:
    read, write = new_key(server, "read"), new_key(server, "write")

    assert post(server, VIEWER, x_api_key=read).status_code == 200
    assert post(server, PUT, {"id": "m-1"}, x_api_key=write).json()["data"]
    for answer, scope in (
        (post(server, PUT, {"id": "m-2"}, x_api_key=read), "write"),
        (post(server, VIEWER, x_api_key=write), "read"),
    ):
        assert (answer.status_code, codes(answer)) == (403, ["FORBIDDEN"])
        assert answer.json()["errors"][0]["extensions"]["scope"] == scope
    async with process_socket(server.socket_url, {"apiKey": write}) as socket:
        refusal = await socket.execute(WATCH)
        assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
        assert (await socket.execute(PUT, "2", id="m-3"))["type"] == "next"
    async with process_socket(server.socket_url, {"x-api-key": read}) as socket:
        assert (await socket.execute(PUT, id="m-4"))["payload"][0]["extensions"]["scope"] == "write"


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": "slk_0123456789abcdef_" + "A" * 43},
        {"x_api_key": ""},
        {"x_api_key": "nonsense"},
        {"x_api_key": "slk_" + "9" * 10_000},
        {"x_act_as": "alice", "authorization": "Bearer {token}"},
        {"x_api_key": "{key}", "authorization": "Bearer {token}"},
        {"x_api_key": "{key}x"},
        {"x_api_key": "{other}"},
        {"x_api_key": "{acting}", "x_act_as": ""},
        {"x_api_key": "{acting}", "x_act_as": "a" * 300},
        {"x_api_key": "{acting}", "x_act_as_device": "tab"},
        {"x_api_key": "{key}", "x_syncline_device": "d" * 300},
    ],
)
def test_what_is_no_good_key_is_refused(server: RunningServer, keys: tuple[str, str], headers: dict[str, str]) -> None:
    key, acting = keys
    other = f"slk_{id_of(key)}_{acting.split('_', 2)[2]}"
    given = {
        name: value.format(token=server.token("phone"), key=key, acting=acting, other=other)
        for name, value in headers.items()
    }

    answer = post(server, VIEWER, None, **given)

    assert (answer.status_code, codes(answer)) == (401, ["UNAUTHENTICATED"])
    assert key.split("_", 2)[2] not in answer.text


async def test_a_key_that_is_revoked_ends_its_sockets_and_requests(server: RunningServer) -> None:
    key, stays = new_key(server), new_key(server)
    async with (
        process_socket(server.socket_url, {"apiKey": key}) as socket,
        process_socket(server.socket_url, {"apiKey": stays}) as other,
    ):
        await socket.send(type="subscribe", id="1", payload={"query": WATCH})
        assert (await socket.receive())["type"] == "next"
        assert post(server, VIEWER, x_api_key=key).status_code == 200

        command(server, "key", "revoke", id_of(key))
        revoked_at = monotonic()

        code, reason = await socket.closed_with()
        assert monotonic() - revoked_at < BOUND_SECONDS
        assert (code, reason) == (4403, "not authenticated: the API key was revoked")
        assert post(server, VIEWER, x_api_key=key).status_code == 401
        assert (await other.execute(VIEWER))["type"] == "next"


async def test_a_rotated_key_counts_with_both_secrets_for_as_long_as_was_said(server: RunningServer) -> None:
    before = new_key(server)
    async with process_socket(server.socket_url, {"apiKey": before}) as socket:
        (after,) = command(server, "key", "rotate", id_of(before), "--overlap-hours", "1")
        assert after != before
        assert {post(server, VIEWER, x_api_key=each).status_code for each in (before, after)} == {200}

        (last,) = command(server, "key", "rotate", id_of(before), "--overlap-hours", "0")

        code, _ = await socket.closed_with()
        assert code == 4403
        statuses = [post(server, VIEWER, x_api_key=each).status_code for each in (before, after, last)]
        assert statuses == [401, 401, 200]


async def test_syncs_go_on_while_keys_are_made(server: RunningServer) -> None:
    key = new_key(server)

    async def sync() -> int:
        made = 0
        async with process_socket(server.socket_url, {"apiKey": key, "device": "busy"}) as socket:
            while not all(task.done() for task in commands):
                answer = await socket.execute(PUT, f"{made}", id=f"busy-{made}")
                assert answer["payload"].get("data"), answer
                made += 1
        return made

    create = ("key", "create", "another", "--data", str(server.folder))
    commands = [asyncio.create_task(asyncio.to_thread(syncline, *create, cwd=server.folder)) for _ in range(3)]
    made = await sync()

    assert made > 10
    assert all(done(task.result())[0].startswith("slk_") for task in commands)
    # The server still has its lock: no second one may have the file.
    other = await asyncio.to_thread(
        syncline, "serve", "--dev", "--port", "0", "--data", str(server.folder), cwd=server.folder
    )
    assert "is in use by process" in refused(other)


def test_keys_are_listed_without_their_secrets(server: RunningServer) -> None:
    key = new_key(server, "read", name="a job at night")
    post(server, VIEWER, x_api_key=key)
    deadline = monotonic() + BOUND_SECONDS
    while True:
        row = next(line for line in command(server, "key", "list") if id_of(key) in line)
        if not row.endswith(" -") or monotonic() > deadline:
            break

    assert "a job at night" in row
    assert " good " in row
    # When it was used is known a moment later.
    assert row.endswith("Z")
    assert key.split("_", 2)[2] not in row


def test_no_secret_is_in_the_log_or_in_the_database(server: RunningServer, keys: tuple[str, str]) -> None:
    key, _ = keys
    secret = key.split("_", 2)[2]
    post(server, VIEWER, x_api_key=key)
    post(server, VIEWER, x_api_key=key + "x")

    files = b"".join(path.read_bytes() for path in Path(server.folder).iterdir() if path.is_file())

    assert secret.encode() not in files
    assert secret not in "".join(server.output)


async def test_a_socket_needs_a_good_key(server: RunningServer) -> None:
    key = new_key(server)
    command(server, "key", "revoke", id_of(key))

    with pytest.raises(ConnectionClosed) as closed:
        async with process_socket(server.socket_url, {"apiKey": key}):
            pass

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("key", "revoke", "0123456789abcdef"), "no API key '0123456789abcdef'"),
        (("key", "rotate", "nothing"), "no API key 'nothing'"),
        (("key", "create", ""), "NAME: must have 1 to 128"),
        (("key", "create", "x", "--days", "0"), "--days: must be more than 0"),
        (("key", "create", "x", "--tenant", "a b"), "tenant: a tenant has 1 to 64"),
        (("identity", "show"), "name an IDENTITY, or a login"),
        (("identity", "show", "--issuer", "https://x", "--subject", "y"), "y of https://x is not known"),
        (("identity", "unlink", "--issuer", "https://x", "--subject", "y"), "y of https://x is not known"),
    ],
)
def test_commands_say_what_is_wrong(server: RunningServer, arguments: tuple[str, ...], reason: str) -> None:
    result = invoke(*arguments, "--data", str(server.folder))

    assert isinstance(result.exception, SynclineError)
    assert result.exception.message.startswith(reason)


def test_a_folder_without_a_database_is_told(tmp_path: Path) -> None:
    line = refused(syncline("key", "list", "--data", str(tmp_path), cwd=tmp_path))

    assert "start the server once, or run `syncline migrate`" in line

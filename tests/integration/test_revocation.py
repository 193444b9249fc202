"""Access that ends: how soon it does, and that nothing is delivered afterwards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncline.core.limits import Limits
from tests.support.web_server import WebOptions, WebServer, a_token, web_server
from tests.support.ws_client import WsClient

MEMBERS = 40
TRIALS_OF_EACH = 25
COMMITS_A_SECOND = 100
BOUND_SECONDS = 1.0
LATE_AT_MOST = MEMBERS * TRIALS_OF_EACH // 100
"""Of the trials, those that may be told late: the machine of the tests is not always there."""

SYNC = """
mutation($n: JSON!, $id: ID!) {
  sync(input: {dataset: {name: "board"}, mutationId: $id, onConflict: LAST_WRITER_WINS,
               changes: [{put: {key: "n", value: $n}}]}) {
    ... on SyncApplied { dataset { id version } }
  }
}"""
SHARE = """mutation($dataset: ID!, $who: ID!) {
  shareDataset(dataset: {id: $dataset}, identityId: $who, role: VIEWER) { role } }"""
REMOVE = "mutation($dataset: ID!, $who: ID!) { removeMember(dataset: {id: $dataset}, identityId: $who) { identityId } }"
FOLLOW = """subscription($dataset: ID!) {
  datasetChanges(dataset: {id: $dataset}) { __typename ... on Commit { version } } }"""


@dataclass
class Board:
    """A dataset that its owner writes to without a pause."""

    id: str
    version: int
    told_after: list[float] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    seen: int = 0


async def write_on(owner: WsClient, board: Board) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for n in range(10_000):
        answer = await owner.execute(SYNC, n=n, id=f"w{n}")
        board.version = answer["data"]["sync"]["dataset"]["version"]
        due = max(due + 1 / COMMITS_A_SECOND, loop.time())
        await asyncio.sleep(due - loop.time())


async def be_shown_and_removed(acts: WsClient, member: WsClient, who: str, board: Board) -> None:
    for trial in range(TRIALS_OF_EACH):
        name = f"{who}-{trial}"
        await ok(acts, SHARE, who, board)
        await member.subscribe(name, FOLLOW, dataset=board.id)
        seen = 0
        while seen < 2:
            seen += event(await member.receive())["__typename"] == "Commit"
        removing = asyncio.create_task(ok(acts, REMOVE, who, board))
        versions = []
        ended = False
        while not ended:
            message = await member.receive()
            if message["type"] == "next":
                told = event(message)
                if told["__typename"] == "Commit":
                    versions.append(told["version"])
                else:
                    assert told["__typename"] == "AccessEnded"
                    ended = True
        acknowledged_at, last_version = await removing
        board.told_after.append(time.monotonic() - acknowledged_at)
        board.seen += seen + len(versions)
        board.leaked += [f"{name}: {version} > {last_version}" for version in versions if version > last_version]
        assert (await member.receive())["type"] == "complete"


async def ok(acts: WsClient, query: str, who: str, board: Board) -> tuple[float, int]:
    """When the act was acknowledged, and a version that the dataset had not passed before that."""
    answer = await acts.execute(query, dataset=board.id, who=who)
    assert "errors" not in answer, answer
    # One commit may be on its way whose acknowledgement the writer has not read yet.
    return time.monotonic(), board.version + 1


def event(message: dict[str, Any]) -> dict[str, Any]:
    payload = message["payload"]
    assert "errors" not in payload, payload
    told: dict[str, Any] = payload["data"]["datasetChanges"]
    return told


async def test_a_thousand_revocations_under_a_hundred_commits_a_second_let_nothing_through(tmp_path: Path) -> None:
    options = WebOptions(data_limits=Limits(members=MEMBERS + 1))
    with web_server(tmp_path, options) as server:
        async with asyncio.timeout(200), WsClient(server) as owner:
            first = await owner.execute(SYNC, n=-1, id="first")
            dataset = first["data"]["sync"]["dataset"]
            board = Board(dataset["id"], dataset["version"])
            writing = asyncio.create_task(write_on(owner, board))
            async with asyncio.TaskGroup() as group:
                for number in range(MEMBERS):
                    group.create_task(one_member(server, f"member{number}", board))
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        assert not server.errors
    assert len(board.told_after) == MEMBERS * TRIALS_OF_EACH
    assert board.seen >= 2 * MEMBERS * TRIALS_OF_EACH
    assert not board.leaked
    late = [seconds for seconds in board.told_after if seconds > BOUND_SECONDS]
    assert len(late) <= LATE_AT_MOST, sorted(late)


async def one_member(server: WebServer, who: str, board: Board) -> None:
    async with (
        WsClient(server, token=a_token(device="admin")) as acts,
        WsClient(server, token=a_token(who)) as member,
    ):
        await be_shown_and_removed(acts, member, who, board)

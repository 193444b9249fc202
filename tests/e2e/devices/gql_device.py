"""A device on the PyPI client ``gql``: everything goes over WebSockets.

It is driven by lines of JSON on stdin and answers in lines of JSON on stdout: push, edit, sync, watch, export.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import uuid
from pathlib import Path
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

DATASET = {"name": "countries"}
RECORDS = "records { key value deleted version }"
SYNC = f"""mutation ($input: SyncInput!) {{ sync(input: $input) {{ __typename
  ... on SyncApplied {{ checkpoint hasMore results {{ key status }} {RECORDS} }} }} }}"""
PULL = f"""query ($dataset: DatasetRef!, $since: Checkpoint!) {{ changes(dataset: $dataset, since: $since) {{
  __typename ... on ChangePage {{ checkpoint hasMore {RECORDS} }} }} }}"""
CHANGES = f"""subscription ($dataset: DatasetRef!, $since: Checkpoint) {{
  datasetChanges(dataset: $dataset, since: $since) {{ __typename
    ... on Ready {{ resumed }} ... on Commit {{ previous checkpoint {RECORDS} }} }} }}"""


class Device:
    """What the device holds."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._records: dict[str, dict[str, Any]] = {}
        self._checkpoint = "start"
        self._changes: list[dict[str, Any]] = []

    def _client(self) -> Client:
        transport = WebsocketsTransport(
            url=self._url,
            init_payload={"authorization": f"Bearer {self._token}"},
            subprotocols=["graphql-transport-ws"],
        )
        return Client(transport=transport, fetch_schema_from_transport=False)

    async def _ask(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """One answer, over as many connections as it takes. Asking again is safe: a push keeps its mutationId."""
        while True:
            try:
                async with self._client() as session:
                    answer = await session.execute(GraphQLRequest(document, variable_values=variables))
                    [data] = answer.values()
                    return dict(data)
            except TransportQueryError:
                raise
            except (TransportError, OSError):
                await _a_moment()

    def _take_in(self, page: dict[str, Any]) -> None:
        self._records |= {record["key"]: record for record in page["records"]}
        self._checkpoint = page["checkpoint"]

    def _put(self, key: str, value: Any) -> None:
        held = self._records.get(key)
        base = {"absent": True} if held is None else {"version": held["version"]}
        self._changes.append({"put": {"key": key, "value": value, "base": base}})

    async def push(self, command: dict[str, Any]) -> dict[str, Any]:
        for key, value in json.loads(Path(command["file"]).read_text("utf-8")).items():  # noqa: ASYNC240 (a small file)
            self._put(key, value)
        return await self.sync(command)

    async def edit(self, command: dict[str, Any]) -> dict[str, Any]:
        self._put(command["key"], command["value"])
        return {}

    async def sync(self, command: dict[str, Any]) -> dict[str, Any]:
        if self._changes:
            push = {
                "dataset": DATASET,
                "since": self._checkpoint,
                "mutationId": uuid.uuid4().hex,
                "changes": self._changes,
            }
            answer = await self._ask(SYNC, {"input": push})
            assert answer["__typename"] == "SyncApplied", answer
            self._take_in(answer)
            self._changes = []
        more = True
        while more:
            page = await self._ask(PULL, {"dataset": DATASET, "since": self._checkpoint})
            assert page["__typename"] == "ChangePage", page
            self._take_in(page)
            more = page["hasMore"]
        return {}

    async def watch(self, command: dict[str, Any]) -> dict[str, Any]:
        while True:
            try:
                await self._follow()
            except TransportQueryError:
                raise
            except (TransportError, TransportConnectionFailed, OSError):
                pass
            await _a_moment()

    async def _follow(self) -> None:
        may_begin_anywhere = self._checkpoint == "start"
        async with self._client() as session:
            variables = {"dataset": DATASET, "since": self._checkpoint}
            async for answer in session.subscribe(GraphQLRequest(CHANGES, variable_values=variables)):
                event = answer["datasetChanges"]
                if event["__typename"] == "Ready":
                    _say({"ready": True})
                elif event["__typename"] == "Commit":
                    assert event["previous"] == self._checkpoint or may_begin_anywhere, "it does not follow"
                    may_begin_anywhere = False
                    self._take_in(event)
                    for record in event["records"]:
                        _say({"key": record["key"], "value": record["value"]})

    async def export(self, command: dict[str, Any]) -> dict[str, Any]:
        live = {key: record["value"] for key, record in self._records.items() if not record["deleted"]}
        return {"text": json.dumps(live, ensure_ascii=False, sort_keys=True, separators=(",", ":"))}


async def _a_moment() -> None:
    await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 (jitter)


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 (its answers)


async def main(url: str, token: str) -> None:
    device = Device(url, token)
    async with asyncio.TaskGroup() as group:
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            group.create_task(_answer(command["do"], getattr(device, command["do"])(command)))
    sys.exit(0)


async def _answer(name: str, work: Any) -> None:
    _say({"done": name, **await work})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

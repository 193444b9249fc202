"""Syncs over plain HTTP, as the tests of outages send them, and a replica that is pulled piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.graphql_socket import PATIENCE_SECONDS
from tests.support.ledger import HeldRecord, PlannedSync
from tests.support.server import RunningServer

SYNC = """
mutation($input: SyncInput!) {
  sync(input: $input) { __typename ... on SyncApplied { dataset { version } results { status } } }
}
"""
PULL = """
query($name: String!, $since: Checkpoint!) {
  dataset(dataset: {name: $name}) { version }
  changes(dataset: {name: $name}, since: $since) {
    __typename
    ... on ChangePage { checkpoint hasMore records { key value version } }
  }
}
"""


class Cut(Exception):
    """The server went away before it answered."""


class Replica:
    """What the server holds of one dataset, pulled from the last checkpoint on."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.records: dict[str, HeldRecord] = {}
        self.version = 0
        self._checkpoint = "start"

    async def pull(self, http: httpx.AsyncClient) -> None:
        more = True
        while more:
            data = (await post(http, PULL, {"name": self.dataset, "since": self._checkpoint}))["data"]
            self.version = data["dataset"]["version"] if data["dataset"] else 0
            page = data["changes"]
            assert page["__typename"] == "ChangePage", page
            for record in page["records"]:
                self.records[record["key"]] = HeldRecord(value=record["value"], version=record["version"])
            if self.version:
                self._checkpoint = page["checkpoint"]
            more = page["hasMore"]


@asynccontextmanager
async def http_client(server: RunningServer, device: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is ``device``."""
    headers = {"authorization": f"Bearer {server.token(device)}"}
    base_url = server.url.removesuffix("/graphql")
    async with httpx.AsyncClient(headers=headers, base_url=base_url, timeout=PATIENCE_SECONDS) as http:
        yield http


async def post(http: httpx.AsyncClient, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The body of the answer, which must be a success."""
    response = await http.post("/graphql", json={"query": query, "variables": variables})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def post_sync(http: httpx.AsyncClient, sync: PlannedSync) -> dict[str, Any]:
    """The body of the answer. Raises Cut if there was none."""
    try:
        return await post(http, SYNC, sync.variables())
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        raise Cut from error


def committed_version(answer: dict[str, Any]) -> int:
    """The version that the dataset had when the sync of this answer had been applied, wholly."""
    assert "errors" not in answer, answer
    result = answer["data"]["sync"]
    assert result["__typename"] == "SyncApplied", result
    assert {each["status"] for each in result["results"]} == {"APPLIED"}, result
    version: int = result["dataset"]["version"]
    return version

"""A device on a socket of its own that watches who is present, and maybe is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.graphql_socket import GraphqlSocket
from tests.support.valkey import eventually

CREATE = "mutation ($name: String!) { createDataset(input: {name: $name}) { id } }"
PRESENT = "identityId deviceId state since"
EVENTS = (
    f"__typename ... on PresenceList {{ present {{ {PRESENT} }} }} "
    f"... on PresenceChanges {{ joined {{ {PRESENT} }} updated {{ {PRESENT} }} left {{ {PRESENT} }} }} "
    "... on DatasetDeleted { datasetId name } ... on AccessEnded { datasetId }"
)
WATCH = f"subscription ($dataset: DatasetRef!) {{ presence(dataset: $dataset) {{ {EVENTS} }} }}"
_ARGUMENTS = "($dataset: DatasetRef!, $state: JSON)"
BE_PRESENT = f"subscription {_ARGUMENTS} {{ presence(dataset: $dataset, state: $state) {{ {EVENTS} }} }}"
SET = f"mutation {_ARGUMENTS} {{ setPresence(dataset: $dataset, state: $state) {{ {PRESENT} }} }}"
NOTES = {"name": "notes"}


class PresenceWatcher:
    """Does as the events say. ``present`` maps devices to their states, as this one knows them."""

    def __init__(self, socket: GraphqlSocket) -> None:
        self.socket = socket
        self.operation = ""
        self.events: list[dict[str, Any]] = []
        self.present: dict[str, Any] = {}

    async def follow(self) -> None:
        async for payload in self.socket.payloads(self.operation):
            event = payload["data"]["presence"]
            self.events.append(event)
            match event["__typename"]:
                case "PresenceList":
                    self.present = {each["deviceId"]: each["state"] for each in event["present"]}
                case "PresenceChanges":
                    self.present |= {each["deviceId"]: each["state"] for each in event["joined"] + event["updated"]}
                    for each in event["left"]:
                        del self.present[each["deviceId"]]

    async def sees(self, seconds: float = 20, /, **present: Any) -> None:
        """Wait until these devices are present, and no others."""
        try:
            await eventually(lambda: self.events and self.present == present, seconds)
        except TimeoutError:
            raise AssertionError(f"{self.present} are present, not {present}") from None


@asynccontextmanager
async def presence_watcher(
    url: str, token: str, *state: Any, dataset: dict[str, str] | None = None, query: str | None = None
) -> AsyncIterator[PresenceWatcher]:
    """A device that watches; with a ``state`` it is present as well."""
    async with GraphqlSocket(url, token) as socket:
        watcher = PresenceWatcher(socket)
        variables: dict[str, Any] = {"dataset": dataset or NOTES}
        if state:
            variables["state"] = state[0]
        watcher.operation = await socket.start(query or (BE_PRESENT if state else WATCH), variables)
        following = asyncio.create_task(watcher.follow())
        try:
            yield watcher
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

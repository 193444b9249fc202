"""Subscriptions to one dataset, as the scenarios open them."""

from __future__ import annotations

import asyncio

import msgspec

from tests.benchmarks.target import Target
from tests.benchmarks.wire.websocket import SocketConnection
from tests.benchmarks.wire.writers import open_socket

_SUBSCRIPTION = """
subscription Watch($name: String!) {
  datasetChanges(dataset: {name: $name}) {
    __typename
    ... on Ready { checkpoint }
    ... on Commit { previous checkpoint version records { key value deleted } }
  }
}
"""
_ID = b"w"
_COMMIT = b'"__typename":"Commit"'
_READY = b'"__typename":"Ready"'


async def watch(target: Target, token: str, dataset: str) -> SocketConnection:
    """A socket with one subscription, which is live."""
    socket = await open_socket(target, token)
    live = asyncio.get_running_loop().create_future()

    def first(message: bytes) -> None:
        if _READY in message:
            live.set_result(None)
        else:
            socket.fail(message[:300].decode())

    socket.on_message = first
    socket.subscribe(_ID, msgspec.json.encode({"query": _SUBSCRIPTION, "variables": {"name": dataset}}))
    await asyncio.wait([live, socket.failed], return_when=asyncio.FIRST_COMPLETED)
    if socket.failed.done():
        socket.failed.result()
    return socket


def is_commit(message: bytes) -> bool:
    """Whether the message is an event with records."""
    return _COMMIT in message

"""Subscriptions to one dataset, as the scenarios open them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from itertools import chain

import msgspec

from tests.benchmarks.target import Target
from tests.benchmarks.wire.failures import LoadFailed
from tests.benchmarks.wire.websocket import SocketConnection
from tests.benchmarks.wire.writers import open_socket

OPENED_AT_ONCE = 100
"""Handshakes under way at any time; a server's backlog takes them all."""
_SUBSCRIPTION = """
subscription Watch($name: String!, $since: Checkpoint) {
  datasetChanges(dataset: {name: $name}, since: $since) {
    __typename
    ... on Ready { checkpoint }
    ... on Commit { previous checkpoint version records { key value deleted } }
  }
}
"""
_ID = b"w"
_COMMIT = b'"__typename":"Commit"'
_READY = b'"__typename":"Ready"'
_CHECKPOINT = re.compile(rb'"checkpoint":"([^"]+)"')

OnEvent = Callable[[bytes], None]


async def watch(
    target: Target, token: str, dataset: str, *, since: str | None = None, on_event: OnEvent | None = None
) -> SocketConnection:
    """A socket with one subscription, which is live. ``on_event`` gets each message behind ``Ready``."""
    socket = await open_socket(target, token)
    live = asyncio.get_running_loop().create_future()

    def first(message: bytes) -> None:
        if _READY in message:
            if on_event is not None:
                socket.on_message = on_event
            live.set_result(None)
        else:
            socket.fail(message[:300].decode())

    socket.on_message = first
    variables = {"name": dataset, "since": since}
    socket.subscribe(_ID, msgspec.json.encode({"query": _SUBSCRIPTION, "variables": variables}))
    await asyncio.wait([live, socket.failed], return_when=asyncio.FIRST_COMPLETED)
    if socket.failed.done():
        socket.failed.result()
    return socket


async def watch_all(
    target: Target, tokens: Sequence[str], dataset: str, *, since: str | None = None, on_event: OnEvent | None = None
) -> list[SocketConnection]:
    """A subscription for each token, on a socket of its own. They are opened as fast as the server takes them."""
    left = iter(tokens)

    async def open_some() -> list[SocketConnection]:
        return [await watch(target, token, dataset, since=since, on_event=on_event) for token in left]

    return list(chain.from_iterable(await asyncio.gather(*(open_some() for _ in range(OPENED_AT_ONCE)))))


def is_commit(message: bytes) -> bool:
    """Whether the message is an event with records."""
    return _COMMIT in message


def checkpoint_of(message: bytes) -> str:
    """The checkpoint that an event or an answer leads to."""
    found = _CHECKPOINT.search(message)
    if found is None:
        raise LoadFailed(f"there is no checkpoint in {message[:300].decode()}")
    return found[1].decode()

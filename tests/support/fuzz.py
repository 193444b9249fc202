"""Random input that is nearly right: from a seed, always the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.support.hostile_documents import DOCUMENTS
from tests.support.raw_socket import BINARY, PING, PONG, TEXT, frame

LEAKS: Final = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|/syncline/|<[a-z_.]+ object|object at 0x|\bself\b"
    r"|\b(SELECT|INSERT|UPDATE) |sqlite|apsw|asyncpg|strawberry|msgspec|starlette|uvicorn|NoneType|[a-z]Error\b"
)
"""What an answer would show of how the server is made."""

_WORDS: Final = (
    *("query", "mutation", "subscription", "fragment", "on", "true", "false", "null", "__typename", "__schema"),
    *("viewer", "dataset", "datasets", "changes", "sync", "createDataset", "updateDataset", "deleteDataset"),
    *("datasetChanges", "identityChanges", "id", "name", "records", "key", "value", "version", "edges", "node"),
    *("input", "since", "mutationId", "put", "remove", "increment", "Query", "Dataset", "String", "Int", "JSON"),
    *("{", "}", "(", ")", "[", "]", ":", "!", "$", "@", "...", "=", "|", "&", ",", "#", '"', '"""', "\\", "\n"),
    *("0", "-1", "1.5", "1e999", "9" * 40, '"n"', '"\\u0000"', "$a", "@include(if: true)", "@skip(if: $a)", "é", "😀"),
    *("__type", "first", "A", "B"),
)
_DOCUMENTS: Final = (
    "{ __typename }",
    "{ viewer { identityId deviceId limits { datasets } } }",
    '{ dataset(dataset: {name: "n"}) { id name version } }',
    "query ($first: Int, $after: String) { datasets(first: $first, after: $after) { edges { cursor node { name } } } }",
    "mutation ($input: SyncInput!) { sync(input: $input) { __typename ... on SyncApplied { checkpoint } } }",
    'subscription { datasetChanges(dataset: {name: "n"}) { __typename } }',
    "query Q { ...F } fragment F on Query { __schema { queryType { name } } }",
)
_VARIABLES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"first": 1, "after": None},
    {
        "input": {
            "dataset": {"name": "n"},
            "mutationId": "m",
            "since": "start",
            "changes": [{"put": {"key": "k", "value": {"a": [1, "x", None]}, "base": {"any": True}}}],
        }
    },
)
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**53, 2**64, 10**400, -(10**30), "", "x", "\0", "\ud800", "é" * 300),
    *("start", "9" * 50, [], [[]], {}, {"": ""}, {"a": {"b": {}}}, [None] * 50, "../../etc/passwd", "' OR 1=1 --"),
    *("${jndi:ldap://x}", "{{7*7}}", "%s%n", "\u202e", "2026-01-01T00:00:00Z", "0" * 32),
)


def a_document(random: Random) -> str:
    """A document: a good one, a broken one, words in a row, or one made to be dear."""
    match random.randrange(8):
        case 0 | 1 | 2 | 3:
            return random.choice(_DOCUMENTS)
        case 4 | 5:
            words = re.findall(r"\w+|\S", random.choice(_DOCUMENTS))
            for _ in range(random.randint(1, 5)):
                at = random.randrange(len(words))
                words[at : at + random.randrange(3)] = [random.choice(_WORDS) for _ in range(random.randrange(3))]
                words = words or [""]
            return " ".join(words)
        case 6:
            return " ".join(random.choice(_WORDS) for _ in range(random.randrange(60)))
        case _:
            # Not the largest ones: those have a test of their own.
            short = [each for each in DOCUMENTS.values() if len(each) < 4_000]
            return random.choice(short)


def _changed(random: Random, value: Any) -> Any:
    """The value with one member or itself replaced, doubled or dropped."""
    if random.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return random.choice(_VALUES)
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [*value[:at], _changed(random, value[at]), *value[at + random.randrange(2) :]]
    name = random.choice(list(value))
    match random.randrange(4):
        case 0:
            return {each: member for each, member in value.items() if each != name}
        case 1:
            return {**value, str(random.choice(_WORDS)): random.choice(_VALUES)}
        case _:
            return {**value, name: _changed(random, value[name])}


def a_request(random: Random) -> Any:
    """What is to be a GraphQL request, as a JSON value."""
    request: Any = {"query": a_document(random), "variables": random.choice(_VARIABLES)}
    if random.random() < 0.3:
        # Good but for what is done to it now: the variables fit the document.
        request = {"query": _DOCUMENTS[4], "variables": _VARIABLES[2]}
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 3))):
        request = _changed(random, request)
    return request


def damaged(random: Random, text: bytes) -> bytes:
    """The text with some bytes changed, cut out, doubled or put in."""
    data = bytearray(text)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        match random.randrange(5):
            case 0:
                data[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del data[at : at + random.randrange(20)]
            case 2:
                data[at:at] = data[at : at + random.randrange(50)]
            case 3:
                data[at:at] = random.choice((b"[", b"{", b'"', b"\\", b"\xff", b"\0", b"1e9", b"\xed\xa0\x80")) * 3
            case _:
                data = data[:at]
    return bytes(data)


def a_body(random: Random) -> bytes:
    """The body of a request."""
    body = json.dumps(a_request(random)).encode()
    return damaged(random, body) if random.random() < 0.15 else body


def headers(random: Random) -> dict[str, str]:
    """Headers of a request, mostly good ones."""
    choices: dict[str, tuple[str, ...]] = {
        "content-type": ("application/json",) * 40 + ("application/json; charset=utf-8", "text/plain", "a/b", ";;", ""),
        "accept": ("application/json", "application/graphql-response+json") * 20 + ("*/*", "text/html", "x;q=z", ""),
        "x-request-id": ("r1",) * 3 + ("\xff", "x" * 200, ""),
        "origin": ("http://127.0.0.1",) * 3 + ("https://evil.example", "null"),
        "x-forwarded-for": ("192.0.2.1", "nonsense", ",,,", "[::1"),
    }
    return {name: random.choice(values) for name, values in choices.items() if name[0] in "ca" or random.random() < 0.2}


_MESSAGES: Final[tuple[Callable[[Random], Any], ...]] = (
    lambda random: {"type": "subscribe", "id": str(random.randrange(40)), "payload": a_request(random)},
    lambda random: {"type": "complete", "id": str(random.randrange(40))},
    lambda random: {"type": "ping", "payload": random.choice(_VALUES)},
    lambda random: {"type": "pong"},
    lambda random: {"type": "connection_init", "payload": random.choice(_VALUES)},
)


def a_frame(random: Random) -> bytes:
    """One or more frames, each whole."""
    # Most are good: after a bad one the socket is closed, and what comes behind it is not looked at.
    message = random.choices(_MESSAGES, (16, 4, 1, 2, 1))[0](random)
    if random.random() < 0.1:
        message = _changed(random, message)
    payload = json.dumps(message).encode()
    if random.random() < 0.05:
        payload = damaged(random, payload)
    match random.randrange(40):
        case 0:
            return frame(random.choice((BINARY, PING, PONG)), payload[: random.choice((0, 10, 125, 200))])
        case 1:
            return frame(random.randrange(16), payload, fin=random.random() < 0.7, reserved=random.randrange(8))
        case 2:
            at = random.randrange(len(payload) + 1)
            ping = frame(PING, b"x") if random.random() < 0.5 else b""
            return frame(TEXT, payload[:at], fin=False) + ping + frame(0, payload[at:])
        case 3:
            return frame(TEXT, payload, masked=random.random() < 0.7)
        case 4:
            return frame(TEXT, random.randbytes(random.randrange(200)))
        case _:
            return frame(TEXT, payload)

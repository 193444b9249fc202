"""The syncs that the scenarios send: one put of a small note, or many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import msgspec

_MUTATION = """
mutation Put($input: SyncInput!) {
  sync(input: $input) { __typename ... on SyncApplied { checkpoint results { key status } } }
}
"""
_encode = msgspec.json.Encoder().encode

VALUE_BYTES = 160


def many_puts(dataset: str, sync: int, keys: range) -> bytes:
    """The body of one sync that puts a note under each of the keys; ``sync`` tells it from others."""
    text = "x" * VALUE_BYTES
    changes = [
        {"put": {"key": f"note-{key}", "value": {"n": sync, "text": text}, "base": {"any": True}}} for key in keys
    ]
    put = {"dataset": {"name": dataset}, "mutationId": f"many-{sync}-{keys.start}", "changes": changes}
    return _encode({"query": _MUTATION, "variables": {"input": put}})


class SyncBodies:
    """Bodies of one device's syncs, ready to send. They overwrite ``keys`` records in turn, so that none conflicts."""

    def __init__(
        self,
        dataset: str,
        device: str,
        *,
        keys: int = 10,
        value_bytes: int = VALUE_BYTES,
        numbers: Iterator[int] | None = None,
    ) -> None:
        text = "x" * value_bytes
        body = _encode(
            {
                "query": _MUTATION,
                "variables": {
                    "input": {
                        "dataset": {"name": dataset},
                        "mutationId": f"{device}-@",
                        "changes": [{"put": {"key": f"{device}-@", "value": {"n": "@", "text": text}, "base": "@"}}],
                    }
                },
            }
        )
        body = body.replace(b'"base":"@"', b'"base":{"any":true}').replace(b'"n":"@"', b'"n":@')
        self._head, self._key, self._value, self._tail = body.split(b"@")
        self._keys = keys
        self._numbers = count(1) if numbers is None else numbers
        self.number = 0
        """The note's that was written last, as ``n`` in its value. Devices may draw on the same ``numbers``."""

    def next(self) -> bytes:
        """The next sync's."""
        number = self.number = next(self._numbers)
        return b"%b%d%b%d%b%d%b" % (
            self._head,
            number,
            self._key,
            number % self._keys,
            self._value,
            number,
            self._tail,
        )

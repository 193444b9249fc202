"""The sync that the scenarios send: one put of a small note."""

from __future__ import annotations

import msgspec

_MUTATION = """
mutation Put($input: SyncInput!) {
  sync(input: $input) { __typename ... on SyncApplied { checkpoint results { key status } } }
}
"""
_encode = msgspec.json.Encoder().encode

VALUE_BYTES = 160


class SyncBodies:
    """Bodies of one device's syncs, ready to send. They overwrite ``keys`` records in turn, so that none conflicts."""

    def __init__(self, dataset: str, device: str, *, keys: int = 10, value_bytes: int = VALUE_BYTES) -> None:
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
        self._number = 0

    def next(self) -> bytes:
        """The next sync's."""
        number = self._number = self._number + 1
        return b"%b%d%b%d%b%d%b" % (
            self._head,
            number,
            self._key,
            number % self._keys,
            self._value,
            number,
            self._tail,
        )

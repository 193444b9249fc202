"""What is held about an identity, as lines of JSON: a head, a line for each row, and an end that says how many."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from syncline.core.ids import IdentityId, shown, tenant_of
from syncline.ports import Held

FORMAT: Final = "syncline identity export 1"

_encode = msgspec.json.Encoder().encode


async def export_lines(
    rows: AsyncIterator[Sequence[Held]], identity: IdentityId, *, version: str, now: datetime
) -> AsyncGenerator[bytes, None]:
    """The export, a few lines at a time. ``version``: the server's.

    The last line is of the kind ``end`` and has the SHA-256 of all bytes before it: an export without it, or with
    another one, is not whole.
    """
    head = {
        "kind": "head",
        "format": FORMAT,
        "identity": shown(identity),
        "tenant": tenant_of(identity) or None,
        "server": version,
        "at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    counts: Counter[str] = Counter()
    checksum = hashlib.sha256(first := _line(head))
    yield first
    async for batch in rows:
        counts.update(kind for kind, _ in batch)
        lines = b"".join(_line({"kind": kind, **facts}) for kind, facts in batch)
        checksum.update(lines)
        yield lines
    yield _line({"kind": "end", "counts": dict(counts), "sha256": checksum.hexdigest()})


def _line(facts: object) -> bytes:
    return _encode(facts) + b"\n"

"""What is held about an identity, as rows of one snapshot, kind by kind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec

from syncline.core.ids import IdentityId, shown, tenant_of
from syncline.ports import Held
from syncline.storage.beside import Beside
from syncline.storage.rows import Bindings, Row, time_of

_Told = Callable[[Any], Any]


def _plain(value: Any) -> Any:
    return value


def _hex(value: bytes) -> str:
    return value.hex()


def _time(value: int) -> str:
    return time_of(value).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _who(value: str) -> str:
    return shown(IdentityId(value))


def _json(value: str) -> msgspec.Raw:
    return msgspec.Raw(value.encode())


def _fact(value: int) -> bool:
    return bool(value)


KINDS: Final[Mapping[str, Mapping[str, _Told]]] = {
    "dataset": {
        "dataset": _hex,
        "name": _plain,
        "version": _plain,
        "recordCount": _plain,
        "sizeBytes": _plain,
        "conflictPolicy": _plain,
        "createdAt": _time,
        "updatedAt": _time,
        "updatedBy": _who,
        "updatedByDevice": _plain,
        "prunedThrough": _plain,
        "tombstones": _plain,
        "scope": _plain,
        "deletedAt": _time,
    },
    "member": {"dataset": _hex, "identity": _who, "role": _plain, "since": _time},
    "invitation": {
        "dataset": _hex,
        "invitation": _hex,
        "role": _plain,
        "usesLeft": _plain,
        "createdAt": _time,
        "expiresAt": _time,
    },
    "record": {
        "dataset": _hex,
        "key": _plain,
        "value": _json,
        "version": _plain,
        "ordinal": _plain,
        "updatedAt": _time,
        "updatedBy": _who,
        "updatedByDevice": _plain,
        "deviceTime": _time,
        "fieldVersions": _json,
        "unseen": _plain,
    },
    "membership": {
        "dataset": _hex,
        "name": _plain,
        "owner": _who,
        "role": _plain,
        "since": _time,
        "deletedAt": _time,
    },
    "written": {
        "dataset": _hex,
        "key": _plain,
        "value": _json,
        "removed": _fact,
        "version": _plain,
        "updatedAt": _time,
        "updatedByDevice": _plain,
        "deviceTime": _time,
    },
    "changed": {"dataset": _hex, "updatedAt": _time, "updatedByDevice": _plain},
    "receipt": {
        "dataset": _hex,
        "device": _plain,
        "mutationId": _plain,
        "requestHash": _hex,
        "version": _plain,
        "outcomes": _json,
        "createdAt": _time,
    },
    "guest": {
        "identity": _who,
        "createdAt": _time,
        "linkedTo": _who,
        "linkedAt": _time,
        "outcome": _json,
    },
    "login": {"issuer": _plain, "subject": _plain, "createdAt": _time},
    "apiKey": {
        "id": _plain,
        "name": _plain,
        "scopes": _plain,
        "createdAt": _time,
        "expiresAt": _time,
        "revokedAt": _time,
        "lastUsedAt": _time,
    },
    "audited": {
        "number": _plain,
        "at": _time,
        "actor": _who,
        "actorDevice": _plain,
        "operator": _plain,
        "act": _plain,
        "dataset": _hex,
        "subject": _who,
        "details": _json,
    },
}
"""The columns of each kind, in their order in ``privacy.sql``, by their names in the export."""


_AUDIT: Final[Mapping[str, _Told]] = {
    "number": _plain,
    "at": _time,
    "tenant": _plain,
    "actor": _who,
    "actorDevice": _plain,
    "operator": _plain,
    "act": _plain,
    "dataset": _hex,
    "subject": _who,
    "details": _json,
}


async def held(beside: Beside, identity: IdentityId) -> AsyncGenerator[list[Held], None]:
    """All of it as of one moment, in batches. Whoever does not read to the end has to close this."""
    bindings: Bindings = {"identity": identity, "shown": shown(identity), "tenant": tenant_of(identity)}
    async with beside.snapshot() as snapshot:
        for kind in KINDS:
            async with aclosing(snapshot.rows(kind, bindings)) as batches:
                async for batch in batches:
                    yield [(kind, told(kind, row)) for row in batch]


def told(kind: str, row: Row) -> dict[str, Any]:
    """A row of that kind, or of the audit log, ready to be told as JSON."""
    columns = _AUDIT if kind == "audit" else KINDS[kind]
    return {
        name: None if value is None else tell(value) for (name, tell), value in zip(columns.items(), row, strict=True)
    }

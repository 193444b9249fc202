"""The audit log, as commands read it and write to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from syncline.core.audit import AuditEntry
from syncline.core.ids import DatasetId, IdentityId
from syncline.storage.beside import Beside
from syncline.storage.exporting import told
from syncline.storage.rows import Bindings, audit_bindings, micros, time_of

_BEGINNING: Final = time_of(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted; None: whatever they have there."""

    since: datetime | None = None
    identity: IdentityId | None = None
    dataset: DatasetId | None = None


async def note(beside: Beside, entry: AuditEntry) -> None:
    """Write down what an operator does."""
    await beside.transaction(lambda steps: steps.change("insert_audit", audit_bindings(entry)))


async def entries(beside: Beside, wanted: AuditFilter) -> AsyncGenerator[dict[str, Any], None]:
    """The oldest first, as they were at one moment. Whoever does not read to the end has to close this."""
    bindings: Bindings = {
        "since": micros(wanted.since or _BEGINNING),
        "any_identity": wanted.identity is None,
        "identity": wanted.identity,
        "any_dataset": wanted.dataset is None,
        "dataset": None if wanted.dataset is None else bytes.fromhex(wanted.dataset),
    }
    async with beside.snapshot() as snapshot, aclosing(snapshot.rows("audit", bindings)) as batches:
        async for batch in batches:
            for row in batch:
                yield told("audit", row)

"""What an app decides, and how it is asked. Handlers may be plain functions or coroutine functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from syncline.client.models import Conflict, Keep, Resolution, Resync

_T = TypeVar("_T")

OnConflict = Callable[[Conflict], Resolution | Awaitable[Resolution | None] | None]
"""KEEP_MINE, KEEP_THEIRS or Value(x); None leaves the conflict pending."""

OnDatasetDeleted = Callable[[str], Keep | Awaitable[Keep | None] | None]
"""KEEP_MINE creates the dataset again from this device's records and edits; KEEP_THEIRS drops both. None, as without a
handler: the records go, the edits are parked."""

ResyncDecision = Keep | Mapping[str, Keep] | None
OnResync = Callable[[Resync], ResyncDecision | Awaitable[ResyncDecision]]
"""For all edits, or by key: KEEP_MINE applies the edit whatever is there now, KEEP_THEIRS drops it. None, as without a
handler: the edit stays and is a conflict if its record is not as it was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The handlers of an app; each may be missing, and then nothing is lost."""

    on_conflict: OnConflict | None = None
    on_dataset_deleted: OnDatasetDeleted | None = None
    on_resync: OnResync | None = None

    async def conflict(self, conflict: Conflict) -> Resolution | None:
        return None if self.on_conflict is None else await _answer(self.on_conflict(conflict))

    async def dataset_deleted(self, name: str) -> Keep | None:
        return None if self.on_dataset_deleted is None else await _answer(self.on_dataset_deleted(name))

    async def resync(self, resync: Resync) -> Mapping[str, Keep]:
        """Decisions by key; a key without one keeps its edits as they are."""
        if self.on_resync is None or not resync.edits:
            return {}
        decision = await _answer(self.on_resync(resync))
        if decision is None:
            return {}
        if isinstance(decision, Keep):
            return {edit.key: decision for edit in resync.edits}
        return decision


async def _answer(answer: _T | Awaitable[_T]) -> _T:
    if inspect.isawaitable(answer):
        return await answer
    return answer

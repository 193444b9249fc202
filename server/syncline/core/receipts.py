"""Receipts: the remembered outcome of a ``mutationId``, so that a retry has no second effect."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from syncline.core.changes import Change
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import DatasetId, MutationId, Version
from syncline.core.model import Author, ConflictPolicy, DatasetRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """What became of one change. ``code`` and ``details`` say why it was rejected, as an error would."""

    status: ChangeStatus
    code: str | None = None
    details: dict[str, str | int | float | bool | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The outcome of one sync. ``version`` None: nothing was written, because changes conflicted."""

    author: Author
    mutation_id: MutationId
    request_hash: bytes
    dataset: DatasetId
    version: Version | None
    outcomes: tuple[ChangeOutcome, ...]
    created_at: datetime


def request_hash(ref: DatasetRef, changes: Sequence[Change], policy: ConflictPolicy | None, *, atomic: bool) -> bytes:
    """What makes two syncs the same request: dataset, changes, policy and mode, but not ``since``."""
    body = [
        ref.id,
        ref.name,
        policy,
        atomic,
        [(type(change).__name__, change, _base_name(change)) for change in changes],
    ]
    return hashlib.blake2b(msgspec.json.encode(body), digest_size=16).digest()


def _base_name(change: Change) -> str | None:
    base = getattr(change, "base", None)
    return None if base is None else type(base).__name__

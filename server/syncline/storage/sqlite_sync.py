"""One sync as one transaction: load, decide, write, read a page."""

from __future__ import annotations

from typing import assert_never

from syncline.core.checkpoint import position_of
from syncline.core.commit import Replay, Resync, SyncRequest, SyncState, Write, decide
from syncline.core.ids import Epoch
from syncline.core.model import Role
from syncline.core.pages import Page, PageRequest
from syncline.ports import Synced
from syncline.storage.sqlite_lookups import Lookups, StoredHead, StoredStanding
from syncline.storage.sqlite_writes import Writes


def sync(writes: Writes, epoch: Epoch, request: SyncRequest, page: PageRequest) -> Synced | Resync:
    """What ``Store.sync`` promises, inside a write transaction. Nothing is written if it raises from ``decide``."""
    stored, state = _load(writes, epoch, request)
    decision = decide(request, state)
    match decision:
        case Resync():
            return decision
        case Replay():
            assert stored is not None  # noqa: S101 - what is replayed was found
            return Synced(
                epoch=epoch,
                head=decision.head,
                role=stored.role,
                created=False,
                replayed=True,
                commit=None,
                conflicted=decision.receipt.version is None,
                outcomes=decision.receipt.outcomes,
                records=state.records,
                page=_page(writes, stored, request, page),
            )
        case Write():
            written = _write(writes, stored, state, decision)
            commit = decision.commit
            return Synced(
                epoch=epoch,
                head=decision.head,
                role=Role.OWNER if stored is None else stored.role,
                created=decision.created,
                replayed=False,
                commit=commit,
                conflicted=decision.conflicted,
                outcomes=decision.outcomes,
                records=state.records
                if commit is None
                else {**state.records, **{record.key: record for record in commit.records}},
                page=_page(writes, written, request, page),
            )
        case _:
            assert_never(decision)


def _load(writes: Writes, epoch: Epoch, request: SyncRequest) -> tuple[StoredStanding | None, SyncState]:
    viewer = request.viewer
    stored = writes.standing(viewer, request.ref)
    if stored is None:
        # An erased identity has no standing anywhere, and must not get one by what it still knows how to send.
        writes.check_not_erased(viewer.identity)
    return stored, SyncState(
        epoch=epoch,
        head=None if stored is None else stored.head,
        role=None if stored is None else stored.role,
        owned=writes.usage(viewer.identity).datasets if stored is None else 0,
        receipt=writes.receipt(viewer.author, request.mutation_id),
        records=writes.records_of_keys(stored.number, request.keys) if stored is not None else {},
    )


def _write(writes: Writes, stored: StoredHead | None, state: SyncState, decision: Write) -> StoredHead:
    commit = decision.commit
    more_tombstones = 0
    if commit is not None:
        before = [state.records.get(record.key) for record in commit.records]
        more_tombstones = sum(record.deleted for record in commit.records) - sum(
            record is not None and record.deleted for record in before
        )
    if stored is None:
        stored = writes.insert_head(decision.head, tombstones=more_tombstones)
    elif commit is not None:
        stored = StoredHead(stored.number, decision.head)
        writes.update_head(stored, more_tombstones=more_tombstones)
    if commit is not None:
        writes.write_records(stored.number, commit.records)
    if decision.receipt is not None:
        writes.insert_receipt(decision.receipt)
    return stored


def _page(lookups: Lookups, stored: StoredHead, request: SyncRequest, page: PageRequest) -> Page | None:
    if request.since is None:
        return None
    return lookups.page(stored, page, start=position_of(request.since))

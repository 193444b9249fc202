"""The smallest store there can be, to run the pure core on: one identity's datasets in dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from syncline.core.checkpoint import Since, position_of, resync_reason
from syncline.core.commit import Decision, Replay, Resync, SyncRequest, SyncState, Write, decide
from syncline.core.ids import DatasetId, Epoch, MutationId, RecordKey, Version
from syncline.core.model import BEGINNING, Author, Commit, DatasetHead, DatasetRef, Position, Record, Role
from syncline.core.pages import LogRead, Page, PageRequest, page_of
from syncline.core.receipts import Receipt
from tests.support.core_builders import EPOCH, NOW


@dataclass
class MemoryLog:
    """Every method is one transaction. ``commits`` is what a store forgets: every commit, for tests to look at."""

    epoch: Epoch = EPOCH
    heads: dict[DatasetId, DatasetHead] = field(default_factory=dict)
    records: dict[DatasetId, dict[RecordKey, Record]] = field(default_factory=dict)
    receipts: dict[tuple[Author, MutationId], Receipt] = field(default_factory=dict)
    commits: list[Commit] = field(default_factory=list)

    def head(self, ref: DatasetRef) -> DatasetHead | None:
        if ref.id is not None:
            return self.heads.get(ref.id)
        return next((h for h in self.heads.values() if h.name == ref.name and h.deleted_at is None), None)

    def sync(self, request: SyncRequest) -> Decision:
        """Decide on a sync and write what was decided. Raises what ``decide`` raises, and has done nothing then."""
        head = self.head(request.ref)
        held = {} if head is None else self.records[head.id]
        decision = decide(
            request,
            SyncState(
                epoch=self.epoch,
                head=head,
                role=None if head is None else Role.OWNER,
                owned=sum(h.deleted_at is None for h in self.heads.values()),
                receipt=self.receipts.get((request.viewer.author, request.mutation_id)),
                records={key: held[key] for key in request.keys if key in held},
            ),
        )
        match decision:
            case Write():
                self._write(request, decision)
            case Replay() | Resync():
                pass
        return decision

    def _write(self, request: SyncRequest, write: Write) -> None:
        self.heads[write.head.id] = write.head
        held = self.records.setdefault(write.head.id, {})
        if write.commit is not None:
            held.update({record.key: record for record in write.commit.records})
            self.commits.append(write.commit)
        if write.receipt is not None:
            self.receipts[request.viewer.author, request.mutation_id] = write.receipt

    def log(self, dataset: DatasetId) -> list[Record]:
        """The records in the order of the log."""
        return sorted(self.records[dataset].values(), key=lambda record: (record.version, record.ordinal))

    def read(self, ref: DatasetRef, since: Since, page: PageRequest) -> LogRead:
        """A page of what changed since ``since``."""
        head = self.head(ref)
        reason = resync_reason(since, head, self.epoch)
        start = BEGINNING if reason is not None else position_of(since)
        return LogRead(
            epoch=self.epoch,
            head=head,
            reason=reason,
            start=start,
            page=None if head is None else self.page(head, start, page),
        )

    def page(self, head: DatasetHead, start: Position, request: PageRequest) -> Page:
        scanned = (record for record in self.log(head.id) if not start.covers(record))
        return page_of(scanned, request, start=start, head_version=head.version)

    def delete(self, ref: DatasetRef) -> None:
        """The name is free and the records are gone; the head remembers that there was one."""
        head = self.head(ref)
        assert head is not None
        self.heads[head.id] = replace(head, deleted_at=NOW)
        self.records[head.id] = {}

    def prune(self, dataset: DatasetId, through: int) -> None:
        """Forget tombstones up to a version."""
        head = self.heads[dataset]
        self.heads[dataset] = replace(head, pruned_through=Version(max(through, head.pruned_through)))
        self.records[dataset] = {
            key: record
            for key, record in self.records[dataset].items()
            if not (record.deleted and record.version <= through)
        }

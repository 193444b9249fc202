"""A group of syncs, decided one after the other on what was loaded for all of them at once.

Nothing is locked while they are decided. Each dataset carries a stamp, which whatever changes it raises; the group is
written on condition that the stamps are still those that were loaded. What was decided on a dataset that somebody else
changed meanwhile is dropped, and decided anew. So a group takes two trips to the database, however many syncs it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from syncline.core.checkpoint import position_of
from syncline.core.commit import Replay, Resync, SyncRequest, SyncState, Write, decide
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey
from syncline.core.model import Author, DatasetHead, Position, Record, Role
from syncline.core.pages import Page, PageRequest, page_of
from syncline.core.receipts import Receipt
from syncline.errors import GuestLinked, IdentityErased, SynclineError
from syncline.ports import Synced
from syncline.storage.postgres_texts import prefix_range, storable
from syncline.storage.rows import (
    Row,
    head_bindings,
    head_of,
    receipt_bindings,
    receipt_of,
    record_bindings,
    record_of,
)

Outcome = Synced | Resync | SynclineError
_HEAD_COLUMNS = slice(2, 16)
_ROLE_COLUMN = 17
_LINKED_COLUMN = 26
_ERASED_COLUMN = 27
_OLD_HEAD = ("version", "record_count", "size_bytes", "updated_at", "updated_by_identity", "updated_by_device")
_NEW_HEAD = ("owner", "id", "name", *_OLD_HEAD[:3], "conflict_policy", "created_at", *_OLD_HEAD[3:])


@dataclass(slots=True)
class Job:
    """A sync that waits for its outcome."""

    request: SyncRequest
    page: PageRequest
    attempted: list[tuple[Receipt, Synced]] = field(default_factory=list)
    """What was sent to be written in its name. Should the connection break, a receipt will tell whether it was."""


@dataclass(slots=True)
class Loaded:
    """A dataset as it was loaded, and as the group leaves it."""

    head: DatasetHead
    stamp: int | None
    """None: the group makes it."""
    records: dict[RecordKey, Record] = field(default_factory=dict)
    """Those that the group touches, as they are by now."""
    written: dict[RecordKey, Record] = field(default_factory=dict)
    more_tombstones: int = 0
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """``depends_on``: the datasets that must be written, or this is void."""

    job: Job
    outcome: Outcome
    receipt: Receipt | None
    depends_on: frozenset[DatasetId]


def load_arguments(jobs: Sequence[Job]) -> tuple[Sequence[object], ...]:
    """The arguments of the query ``load_syncs``."""
    keys: list[str] = []
    rows = []
    touched = sum(len(job.request.changes) for job in jobs)
    for number, job in enumerate(jobs):
        request, page = job.request, job.page
        first = len(keys) + 1
        keys += [key for key in request.keys if storable(key)]
        since = None if request.since is None else position_of(request.since)
        from_, until = prefix_range(page.filter.prefix)
        skip = page.filter.skip_author
        rows.append(
            (
                number,
                request.viewer.identity,
                request.viewer.device or "",
                request.mutation_id,
                None if request.ref.id is None else bytes.fromhex(request.ref.id),
                request.ref.name,
                first,
                len(keys),
                None if since is None else since.version + 1,
                None if since is None else since.offset,
                from_,
                until,
                None if skip is None else skip.identity,
                None if skip is None else skip.device,
                # What the group writes may take the place of as many.
                page.first + 1 + touched,
            )
        )
    columns = list(zip(*rows, strict=True))
    return (*columns[:8], keys, *columns[8:])


def dataset_ids(rows: Iterable[Row]) -> list[bytes]:
    """The datasets that were loaded."""
    return sorted({row[2] for row in rows if row[2] is not None})


def in_order(rows: Iterable[Row], jobs: Sequence[Job]) -> Iterator[tuple[Row, Job]]:
    """Each job with what was loaded for it."""
    return zip(sorted(rows, key=lambda row: int(row[1])), jobs, strict=True)


def owner_in(row: Row) -> IdentityId | None:
    """Who owns the dataset that was loaded; None if there is none."""
    return None if row[3] is None else IdentityId(row[3])


class Group:
    """Decides jobs in their order, each on what the ones before it leave."""

    def __init__(self, rows: Sequence[Row], jobs: Sequence[Job]) -> None:
        """``rows``: what was loaded for each of the jobs, in their order."""
        self.decided: list[Decided] = []
        self.changed: list[Loaded] = []
        self._jobs = jobs
        self._receipts: dict[tuple[Author, str], Receipt] = {}
        self._new_receipts: dict[tuple[Author, str], Receipt] = {}
        self._datasets: dict[DatasetId, Loaded] = {}
        self._made: dict[tuple[IdentityId, DatasetName], Loaded] = {}
        self._owned: dict[IdentityId, int] = {}
        self._owner_stamps: dict[IdentityId, int] = {}
        self.epoch = Epoch(rows[0][0])
        self._loaded = [self._take(row, job) for row, job in zip(rows, jobs, strict=True)]
        for job, loaded, row in zip(jobs, self._loaded, rows, strict=True):
            role = None if loaded is None else Role(row[_ROLE_COLUMN])
            if row[_LINKED_COLUMN]:
                # What the guest looks for is the account's.
                self.decided.append(Decided(job, GuestLinked(), None, frozenset()))
            elif row[_ERASED_COLUMN]:
                self.decided.append(Decided(job, IdentityErased(), None, frozenset()))
            else:
                self._decide(job, loaded, role, row[-1])

    def sent(self) -> None:
        """To be told before it is written: should the connection break, each job knows what to look for."""
        if self.changed:
            for decided in self.decided:
                if decided.receipt is not None and isinstance(decided.outcome, Synced):
                    decided.job.attempted.append((decided.receipt, decided.outcome))

    def settled(self) -> None:
        """To be told once it is certain what was written, and what was not."""
        if self.changed:
            for decided in self.decided:
                if decided.receipt is not None and isinstance(decided.outcome, Synced):
                    decided.job.attempted.pop()

    def write_arguments(self) -> tuple[Sequence[object], ...]:
        """The arguments of the query ``write_syncs``."""
        old = [loaded for loaded in self.changed if loaded.stamp is not None]
        new = [loaded for loaded in self.changed if loaded.stamp is None]
        owners = sorted({loaded.head.owner for loaded in new})
        records = [
            (bytes.fromhex(loaded.head.id), loaded.head.owner, *record_bindings(record).values())
            for loaded in self.changed
            for record in loaded.written.values()
        ]
        return (
            *_columns(10, (_old_head(loaded) for loaded in old)),
            owners,
            [self._owner_stamps[owner] + 1 for owner in owners],
            *_columns(12, (_new_head(loaded) for loaded in new)),
            *_columns(12, records),
            *_columns(8, (tuple(receipt_bindings(receipt).values()) for receipt in self._new_receipts.values())),
        )

    # --- what was loaded ----------------------------------------------------------------------------------------------

    def _take(self, row: Row, job: Job) -> Loaded | None:
        stamp, _role, owned, owner_stamp = row[16:20]
        receipt, touched = row[20:25], row[25]
        author = job.request.viewer.author
        if receipt[0] is not None:
            self._receipts[author, job.request.mutation_id] = receipt_of(
                receipt, author=author, mutation_id=job.request.mutation_id
            )
        if stamp is None:
            owner = job.request.viewer.identity
            self._owned[owner] = owned
            self._owner_stamps[owner] = owner_stamp or 0
            return None
        head = head_of(row[_HEAD_COLUMNS])
        loaded = self._datasets.setdefault(head.id, Loaded(head, stamp))
        for record in map(record_of, touched or ()):
            loaded.records[record.key] = record
        return loaded

    # --- deciding -----------------------------------------------------------------------------------------------------

    def _decide(self, job: Job, loaded: Loaded | None, role: Role | None, missed: Sequence[Row] | None) -> None:
        request = job.request
        owner = request.viewer.identity
        if loaded is None and request.ref.name is not None:
            loaded = self._made.get((owner, request.ref.name))
            role = None if loaded is None else Role.OWNER
        key = request.viewer.author, request.mutation_id
        receipt = self._receipts.get(key)
        told_before = self._new_receipts.get(key)
        state = SyncState(
            epoch=self.epoch,
            head=None if loaded is None else loaded.head,
            role=role,
            owned=self._owned.get(owner, 0),
            receipt=receipt,
            records={} if loaded is None else {k: loaded.records[k] for k in request.keys if k in loaded.records},
        )
        written: Receipt | None = None
        outcome: Outcome
        try:
            decision = decide(request, state)
        except SynclineError as error:
            outcome = error
        else:
            match decision:
                case Resync():
                    outcome = decision
                case Replay():
                    assert loaded is not None  # noqa: S101 - what is replayed was found
                    outcome = self._replayed(job, decision, state, loaded, missed)
                case Write():
                    loaded = self._apply(loaded, decision)
                    written = decision.receipt
                    outcome = _synced(job, decision, state, loaded, missed)
                case _:
                    assert_never(decision)
        self.decided.append(Decided(job, outcome, written, self._depends_on(loaded, told_before, owner)))

    def _replayed(
        self, job: Job, decision: Replay, state: SyncState, loaded: Loaded, missed: Sequence[Row] | None
    ) -> Synced:
        for receipt, synced in job.attempted:
            if receipt == decision.receipt:
                # It was this very attempt.
                return synced
        return Synced(
            epoch=self.epoch,
            head=decision.head,
            role=state.role or Role.OWNER,
            created=False,
            replayed=True,
            commit=None,
            conflicted=decision.receipt.version is None,
            outcomes=decision.receipt.outcomes,
            records=state.records,
            page=_page(job, loaded, missed),
        )

    def _apply(self, loaded: Loaded | None, decision: Write) -> Loaded:
        if loaded is None:
            loaded = self._made[decision.head.owner, decision.head.name] = Loaded(decision.head, None)
            self._owned[decision.head.owner] += 1
        loaded.head = decision.head
        if decision.commit is not None:
            for record in decision.commit.records:
                before = loaded.records.get(record.key)
                loaded.more_tombstones += record.deleted - (before is not None and before.deleted)
                loaded.records[record.key] = loaded.written[record.key] = record
        if decision.receipt is not None:
            key = decision.receipt.author, decision.receipt.mutation_id
            self._receipts[key] = self._new_receipts[key] = decision.receipt
        if not loaded.changed and (decision.created or decision.receipt is not None):
            loaded.changed = True
            self.changed.append(loaded)
        return loaded

    def _depends_on(
        self, loaded: Loaded | None, told_before: Receipt | None, owner: IdentityId
    ) -> frozenset[DatasetId]:
        found = {loaded.head.id} if loaded is not None and loaded.changed else set()
        if told_before is not None:
            found.add(told_before.dataset)
        if loaded is None or loaded.stamp is None:
            # It was, or could not be, created beside those that the group creates for the same owner.
            found.update(made.head.id for (its_owner, _), made in self._made.items() if its_owner == owner)
        return frozenset(found)


def _synced(job: Job, decision: Write, state: SyncState, loaded: Loaded, missed: Sequence[Row] | None) -> Synced:
    commit = decision.commit
    return Synced(
        epoch=state.epoch,
        head=decision.head,
        role=state.role or Role.OWNER,
        created=decision.created,
        replayed=False,
        commit=commit,
        conflicted=decision.conflicted,
        outcomes=decision.outcomes,
        records=state.records
        if commit is None
        else {**state.records, **{record.key: record for record in commit.records}},
        page=_page(job, loaded, missed),
    )


def _page(job: Job, loaded: Loaded, missed: Sequence[Row] | None) -> Page | None:
    if job.request.since is None:
        return None
    start = position_of(job.request.since)
    if start == Position(loaded.head.version):
        return Page(records=(), position=start, has_more=False)
    return page_of(_log(loaded, missed or ()), job.page, start=start, head_version=loaded.head.version)


def _log(loaded: Loaded, missed: Sequence[Row]) -> Iterator[Record]:
    """The log as the group leaves it so far: what was loaded and is not written since, then what is."""
    for row in missed:
        record = record_of(row)
        if record.key not in loaded.written:
            yield record
    yield from sorted(loaded.written.values(), key=lambda record: (record.version, record.ordinal))


# --- arguments --------------------------------------------------------------------------------------------------------


def _columns(count: int, rows: Iterable[Row]) -> Sequence[Row]:
    return list(zip(*rows, strict=True)) or [()] * count


def _old_head(loaded: Loaded) -> Row:
    values = head_bindings(loaded.head)
    return (
        loaded.head.owner,
        values["id"],
        loaded.stamp,
        *(values[name] for name in _OLD_HEAD),
        loaded.more_tombstones,
    )


def _new_head(loaded: Loaded) -> Row:
    values = head_bindings(loaded.head)
    return (*(values[name] for name in _NEW_HEAD), loaded.more_tombstones)

"""The books kept outside: what the database decided at the very moment it did, and what follows from it for others.

They are kept apart from the product's tables, as whole histories. Every event that a device gets, every answer, and in
the end the tables themselves are held against them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from syncline.core.changes import AddToSet, Change, Increment
from syncline.core.commit import SyncRequest
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import DatasetId, DatasetName, IdentityId, MutationId, RecordKey, Version
from syncline.core.json_values import JsonText, parsed
from syncline.core.model import Author, Commit, DatasetHead, Position, Record, Viewer
from syncline.core.pages import RecordFilter
from syncline.core.receipts import ChangeOutcome
from syncline.ports import Synced
from tests.simulation.violation import check, violated


@dataclass
class History:
    """All that ever happened to one dataset."""

    id: DatasetId
    owner: IdentityId
    name: DatasetName
    deleted: bool = False
    commits: list[Commit] = field(default_factory=list)
    writes: dict[RecordKey, list[Record]] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return len(self.commits)

    def live(self) -> dict[RecordKey, Record]:
        """The records as their last writes left them, without those removed."""
        latest = {key: writes[-1] for key, writes in self.writes.items()}
        return {key: record for key, record in latest.items() if not record.deleted}


@dataclass(frozen=True, slots=True)
class Decided:
    """How a sync was decided the first time."""

    dataset: DatasetId
    changes: tuple[Change, ...]
    outcomes: tuple[ChangeOutcome, ...]
    conflicted: bool


class Ledger:
    """Each method raises Violation if what it is told cannot be."""

    def __init__(self) -> None:
        self.histories: dict[DatasetId, History] = {}
        self._decided: dict[tuple[Author, MutationId], Decided] = {}
        self.acknowledged = 0

    def live_history(self, owner: IdentityId, name: DatasetName) -> History | None:
        """Of the dataset that has this name now; None: there is none."""
        live = (history for history in self.histories.values() if not history.deleted)
        return next((history for history in live if (history.owner, history.name) == (owner, name)), None)

    # --- what the database does ---------------------------------------------------------------------------------------

    def created(self, head: DatasetHead) -> None:
        check("a dataset has an id of its own", head.id not in self.histories, head.id)
        check("a name stands for one dataset", self.live_history(head.owner, head.name) is None, head.name)
        self.histories[head.id] = History(head.id, head.owner, head.name)

    def deleted(self, head: DatasetHead) -> None:
        self.histories[head.id].deleted = True

    def synced(self, request: SyncRequest, synced: Synced) -> None:
        """The database has just decided this sync, and committed it."""
        if synced.created:
            self.created(synced.head)
        history = self.histories[synced.head.id]
        check("only the owner's devices write", history.owner == request.viewer.identity, request.mutation_id)
        sync = (request.viewer.author, request.mutation_id)
        before = self._decided.get(sync)
        if before is None:
            check("a first sync is no replay", not synced.replayed, sync)
            self._decided[sync] = Decided(history.id, request.changes, synced.outcomes, synced.conflicted)
        else:
            check("a retry has no second effect", synced.replayed and synced.commit is None, sync)
            self._check_same(before, synced, sync)
        if synced.commit is not None:
            self._committed(history, synced.commit)

    def _committed(self, history: History, commit: Commit) -> None:
        versions = (commit.previous, commit.position)
        wanted = (Position(commit.previous.version), Position(Version(history.version + 1)))
        check("versions have no gap", versions == wanted and commit.previous.version == history.version, versions)
        check("no commit after the deletion", not history.deleted, history.id)
        history.commits.append(commit)
        for record in commit.records:
            check("a record has its commit's version", record.version == commit.position.version, record)
            history.writes.setdefault(record.key, []).append(record)

    def acknowledge(self, viewer: Viewer, mutation_id: MutationId, synced: Synced) -> None:
        """A device has the answer to its sync."""
        sync = (viewer.author, mutation_id)
        decided = self._decided.get(sync)
        if decided is None:
            violated("what is acknowledged was committed", sync)
        self._check_same(decided, synced, sync)
        self.acknowledged += 1

    def _check_same(self, before: Decided, synced: Synced, sync: object) -> None:
        first = (before.dataset, before.outcomes, before.conflicted)
        now = (synced.head.id, synced.outcomes, synced.conflicted)
        check("every answer to a sync is the first one", first == now, sync, first, now)

    # --- what devices are told ----------------------------------------------------------------------------------------

    def check_event(self, commit: Commit, wanted: RecordFilter, held: dict[RecordKey, Record]) -> None:
        """A device that holds these records is told of this: it must be the last state of all that happened between.

        What was overwritten since may be missing: it comes with the event that leads over the later write. So may the
        removal of what the device does not hold.
        """
        history = self.histories[commit.dataset]
        check("no event runs ahead of its dataset", commit.version <= history.version, commit.position)
        check("events lead on", commit.previous < commit.position, commit.previous, commit.position)
        places = [(record.version, record.ordinal) for record in commit.records]
        check("records come in the order of the log", places == sorted(set(places)), places)
        told = {record.key: record for record in commit.records}
        check("an event names each record once", len(told) == len(commit.records), list(told))
        due = self._due(history, commit)
        for record in commit.records:
            is_due = due.get(record.key) == record
            check("an event holds what happened, nothing else", is_due and wanted.lets_through(record), record)
        for key, record in due.items():
            if key in told or not wanted.lets_through(record) or history.writes[key][-1] is not record:
                continue
            known = held.get(key)
            missed = not record.deleted or (known is not None and not known.deleted)
            check("an event leaves nothing out", not missed, record, commit.previous, commit.position)

    def _due(self, history: History, commit: Commit) -> dict[RecordKey, Record]:
        """Of each record, the last write that ``commit`` leads over."""
        due: dict[RecordKey, Record] = {}
        for step in history.commits[commit.previous.version : commit.version]:
            for record in step.records:
                if commit.position.covers(record) and not commit.previous.covers(record):
                    due[record.key] = record
        return due

    # --- what the database must hold ----------------------------------------------------------------------------------

    def check_counters(self, history: History, number_key: RecordKey, set_key: RecordKey) -> None:
        """Each increment and each member that was applied is there exactly once; nothing else writes these records."""
        total = 0.0
        members: set[JsonText] = set()
        for decided in self._decided.values():
            if decided.dataset != history.id or decided.conflicted:
                continue
            for change, outcome in zip(decided.changes, decided.outcomes, strict=True):
                if outcome.status is not ChangeStatus.APPLIED:
                    continue
                if isinstance(change, Increment) and change.key == number_key:
                    total += change.by
                elif isinstance(change, AddToSet) and change.key == set_key:
                    members.update(change.members)
        records = history.live()
        number = _value(records, number_key, 0)
        check("every increment counts once", number == total, number_key, number, total)
        array = _value(records, set_key, [])
        check("every member was added once", sorted(array) == sorted(map(parsed, members)), set_key, array)


def _value(records: dict[RecordKey, Record], key: RecordKey, if_absent: Any) -> Any:
    value = records[key].value if key in records else None
    return if_absent if value is None else parsed(value)

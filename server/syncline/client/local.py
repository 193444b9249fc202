"""A dataset on this device: synced records with the outbox on top, and every step by which either of them moves.

Each public method that writes is one local transaction, so a crash leaves the state before it or after it. Invariants:

- an edit is in the outbox until the server's outcome for it is known, or until someone decided to drop it;
- what is frozen in a batch never changes, and is sent under the batch's ``mutationId`` until its outcome is known;
- a batch holds one edit per key (a transaction's batch may hold more), so a later edit is always sent knowing what
  became of the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from syncline.client.batching import changes_text, free_tail, next_unit
from syncline.client.cache import Cache, Delta, SyncedRecord
from syncline.client.database import Database
from syncline.client.edits import (
    NOTHING_SEEN,
    Edit,
    HeldConflict,
    Outcome,
    Seen,
    folded,
    overlaid,
    rebased,
    seen_of,
)
from syncline.client.models import EditState, Keep, Operation, Resolution, Value
from syncline.client.outbox import Batch, Outbox
from syncline.core import operations
from syncline.core.checkpoint import ResyncReason
from syncline.core.conflicts import ChangeStatus, equal
from syncline.core.ids import DatasetName, MutationId, RecordKey
from syncline.core.json_values import JsonText, json_text
from syncline.core.model import ConflictPolicy

DATASET_DELETED = "DATASET_DELETED"
_VERSIONS_LOST = frozenset({ResyncReason.EPOCH_CHANGED, ResyncReason.CHECKPOINT_FROM_FUTURE})


class LocalDataset:
    """What the device holds of one dataset."""

    def __init__(
        self,
        database: Database,
        name: DatasetName,
        *,
        now: Callable[[], datetime],
        new_mutation_id: Callable[[], MutationId],
    ) -> None:
        self.name = name
        self.cache = Cache(database, name)
        self.outbox = Outbox(database, name)
        self._db = database
        self._now = now
        self._new_mutation_id = new_mutation_id

    # --- reading ------------------------------------------------------------------------------------------------------

    def view(self, key: RecordKey) -> JsonText | None:
        """The record as the user sees it; None if there is none."""
        with self._db.snapshot():
            return overlaid(self._synced(key), self.outbox.edits(key=key))

    def entries(self, prefix: str = "") -> dict[RecordKey, JsonText]:
        """All records as the user sees them, by key."""
        with self._db.snapshot():
            values: dict[RecordKey, JsonText | None] = dict(self.cache.live(prefix))
            for edit in self.outbox.edits():
                if edit.state is not EditState.PARKED and edit.key.startswith(prefix):
                    values[edit.key] = edit.applied_to(values.get(edit.key))
        return {key: value for key, value in sorted(values.items()) if value is not None}

    def _synced(self, key: RecordKey) -> JsonText | None:
        record = self.cache.record(key)
        return None if record is None else record.value

    def _seen(self, key: RecordKey, below: Sequence[Edit]) -> Seen:
        """What the maker of an edit sees that comes on top of the edits ``below``."""
        record = self.cache.record(key)
        if any(edit.state is not EditState.PARKED for edit in below):
            return Seen(None, overlaid(None if record is None else record.value, list(below)))
        return NOTHING_SEEN if record is None else seen_of(record.value, record.version)

    # --- editing ------------------------------------------------------------------------------------------------------

    def edit(
        self, key: RecordKey, operation: Operation, argument: JsonText | None, *, bundle: str | None = None
    ) -> None:
        """Durable when this returns. Raises ChangeNotApplicable if it does not fit what the user sees."""
        with self._db.transaction():
            existing = [edit for edit in self.outbox.edits(key=key) if edit.state is not EditState.PARKED]
            new = Edit(
                id=0,
                key=key,
                operation=operation,
                argument=argument,
                made_at=self._now(),
                seen=self._seen(key, existing),
                bundle=bundle,
            )
            operations.apply(new.change, overlaid(self._synced(key), existing))
            self._place(new, existing)

    def _place(self, new: Edit, existing: list[Edit]) -> None:
        """Put ``new`` behind ``existing``, folded into those that are not frozen if the two make one."""
        free = free_tail(existing, new.bundle)
        if new.masking:
            # Not what the first based one saw: that was made on top of those before it, which are never sent.
            based = any(edit.based for edit in free)
            seen = free[0].seen if based else self._seen(new.key, existing[: len(existing) - len(free)])
            held = any(edit.state is EditState.CONFLICT for edit in free)
            self.outbox.drop(free)
            self.outbox.add(replace(new, seen=seen, state=EditState.CONFLICT if held else EditState.PENDING))
            return
        one = folded(free[-1], new) if free else None
        if one is None:
            self.outbox.add(new)
        else:
            self.outbox.save(one)

    # --- pushing ------------------------------------------------------------------------------------------------------

    def freeze(
        self, *, max_changes: int, policy: ConflictPolicy | None = None, only_begun: bool = False
    ) -> Batch | None:
        """The batch to send now: the one begun earlier, else the next; None if nothing can be sent.

        ``only_begun``: do not begin a new one.
        """
        with self._db.transaction():
            batch = self.outbox.batch()
            if batch is not None or only_begun:
                return batch
            unit = next_unit(self.outbox.edits(), max_changes)
            if not unit:
                return None
            batch = Batch(
                mutation_id=self._new_mutation_id(),
                changes=changes_text(unit, self._policy(policy)),
                earlier_changes=None,
                conflict_policy=policy,
                atomic=unit[0].bundle is not None,
                edits=tuple(unit),
            )
            self.outbox.begin(batch)
            begun = self.outbox.batch()
            return None if begun is None else replace(begun, fresh=True)

    def has_sendable(self) -> bool:
        """Whether there is anything to send."""
        with self._db.snapshot():
            return self.outbox.batch() is not None or bool(next_unit(self.outbox.edits(), 1))

    def _policy(self, chosen: ConflictPolicy | None) -> ConflictPolicy | None:
        """The policy that the server will apply, as far as this device knows."""
        known = self.cache.standing().conflict_policy
        if chosen is not None or known is None or known not in ConflictPolicy.__members__:
            return chosen
        return ConflictPolicy(known)

    def settle(self, batch: Batch, outcomes: Sequence[Outcome], delta: Delta) -> int | None:
        """The batch was decided change by change; how many records were news, or None as from ``Cache.apply``."""
        with self._db.transaction():
            news = self.cache.learn(outcome.record for outcome in outcomes if outcome.record is not None)
            if self._end(batch):
                for edit, outcome in zip(batch.edits, outcomes, strict=True):
                    self._settle_edit(edit, outcome)
                for edit, outcome in zip(batch.edits, outcomes, strict=True):
                    self._follow_up(edit, outcome, self._policy(batch.conflict_policy))
            return self._applied(delta, news)

    def _applied(self, delta: Delta, news: int) -> int | None:
        more = self.cache.apply(delta)
        return None if more is None else news + more

    def _end(self, batch: Batch) -> bool:
        """Whether the batch was still open: another process may have sent it too, and been faster."""
        begun = self.outbox.batch()
        if begun is None or begun.mutation_id != batch.mutation_id:
            return False
        self.outbox.end(batch.mutation_id)
        return True

    def _settle_edit(self, edit: Edit, outcome: Outcome) -> None:
        match outcome.status:
            case ChangeStatus.APPLIED | ChangeStatus.MERGED | ChangeStatus.UNCHANGED:
                self.outbox.drop([edit])
            case ChangeStatus.CONFLICT:
                self.outbox.save(replace(edit, state=EditState.CONFLICT, batch=None))
            case ChangeStatus.REJECTED:
                self._park(edit, outcome.code or ChangeStatus.REJECTED.value, outcome.details)

    def _follow_up(self, edit: Edit, outcome: Outcome, policy: ConflictPolicy | None) -> None:
        """Bring what was edited on top of ``edit`` meanwhile in line with what became of it."""
        later = self._later(edit)
        if not later:
            return
        match outcome.status:
            case ChangeStatus.CONFLICT:
                for one in later:
                    below = [
                        other
                        for other in self.outbox.edits(key=edit.key)
                        if other.id < one.id and other.state is not EditState.PARKED
                    ]
                    if free_tail(below, one.bundle):
                        self.outbox.drop([one])
                        self._place(replace(one, batch=None), below)
            case ChangeStatus.REJECTED:
                if later[0].based and later[0].seen.version is None:
                    self.outbox.save(replace(later[0], seen=edit.seen if edit.based else self._seen(edit.key, ())))
            case ChangeStatus.APPLIED | ChangeStatus.MERGED | ChangeStatus.UNCHANGED:
                record = outcome.record
                now = NOTHING_SEEN if record is None else seen_of(record.value, record.version)
                self.outbox.save(rebased(later[0], now, policy))

    def _later(self, edit: Edit) -> list[Edit]:
        return [
            other
            for other in self.outbox.edits(key=edit.key)
            if other.id > edit.id and other.state is not EditState.PARKED and other.batch is None
        ]

    def conflicted(
        self, batch: Batch, conflicts: Iterable[tuple[RecordKey, SyncedRecord | None]], delta: Delta
    ) -> int | None:
        """Nothing of an atomic batch was applied: its edits are free again, those that conflict are held."""
        theirs = dict(conflicts)
        with self._db.transaction():
            news = self.cache.learn(record for record in theirs.values() if record is not None)
            if self._end(batch):
                for edit in batch.edits:
                    if edit.based and edit.key in theirs:
                        self.outbox.save(replace(edit, state=EditState.CONFLICT, batch=None))
                        theirs.pop(edit.key)
            return self._applied(delta, news)

    def thaw(self, batch: Batch) -> None:
        """The batch was not applied and will not be: its edits go into other ones."""
        with self._db.transaction():
            self._end(batch)

    def use_earlier(self, batch: Batch) -> bool:
        """The log knows the batch's id for what was sent before its epoch changed: send that. False: there is none."""
        if batch.earlier_changes is None:
            return False
        with self._db.transaction():
            self.outbox.rewrite(batch.mutation_id, batch.earlier_changes, None)
        return True

    # --- parking ------------------------------------------------------------------------------------------------------

    def park(self, batch: Batch, code: str, details: JsonText | None) -> None:
        """The server refuses the batch for good: its edits are taken out of reads and no longer sent."""
        with self._db.transaction():
            if self._end(batch):
                for edit in batch.edits:
                    self._park(edit, code, details)
                for edit in batch.edits:
                    self._follow_up(edit, Outcome(status=ChangeStatus.REJECTED, record=None), None)

    def _park(self, edit: Edit, code: str, details: JsonText | None) -> None:
        self.outbox.save(replace(edit, state=EditState.PARKED, batch=None, code=code, details=details))

    def parked(self) -> list[Edit]:
        return [edit for edit in self.outbox.edits() if edit.state is EditState.PARKED]

    def discard_parked(self, edit_id: int) -> bool:
        with self._db.transaction():
            edit = self.outbox.edit(edit_id)
            if edit is None or edit.state is not EditState.PARKED:
                return False
            self.outbox.drop([edit])
            return True

    def retry_parked(self, edit_id: int) -> bool:
        """Make the edit again, on top of what the user sees now. Raises ChangeNotApplicable; then it stays parked."""
        with self._db.transaction():
            edit = self.outbox.edit(edit_id)
            if edit is None or edit.state is not EditState.PARKED:
                return False
            self.outbox.drop([edit])
            self.edit(edit.key, edit.operation, edit.argument)
            return True

    # --- conflicts ----------------------------------------------------------------------------------------------------

    def held_conflicts(self) -> list[HeldConflict]:
        """Edits that wait for a decision. Those that no longer conflict are let go first."""
        held = []
        with self._db.transaction():
            for edit in self.outbox.edits():
                if edit.state is not EditState.CONFLICT:
                    continue
                conflict = HeldConflict(edit, self.cache.record(edit.key))
                now = conflict.seen
                if equal(edit.applied_to(now.value), now.value):
                    self._let_go(edit, now)
                elif equal(edit.seen.value, now.value):
                    self.outbox.save(replace(edit, state=EditState.PENDING, seen=now))
                else:
                    held.append(conflict)
        return held

    def resolve(self, conflict: HeldConflict, resolution: Resolution) -> bool:
        """Do as decided. False: the edit is not the one any more that was decided about."""
        now = conflict.seen
        with self._db.transaction():
            edit = self.outbox.edit(conflict.edit.id)
            if edit != conflict.edit:
                return False
            match resolution:
                case Keep.MINE:
                    self.outbox.save(replace(edit, state=EditState.PENDING, seen=now))
                case Keep.THEIRS:
                    self._let_go(edit, now)
                case Value(value):
                    self.outbox.save(
                        replace(
                            edit,
                            operation=Operation.PUT,
                            argument=json_text(value, field="value"),
                            state=EditState.PENDING,
                            seen=now,
                        )
                    )
            return True

    def _let_go(self, edit: Edit, now: Seen) -> None:
        self.outbox.drop([edit])
        later = self._later(edit)
        if later:
            self.outbox.save(rebased(later[0], now, self._policy(None)))

    # --- resync and deletion ------------------------------------------------------------------------------------------

    def resync(self, reason: ResyncReason, *, since: str) -> bool:
        """Start over; edits stay. False: the device no longer stands at ``since``, which the server refused.

        If the log is another one, versions seen in the old one mean nothing in it: values are compared instead.
        """
        with self._db.transaction():
            if self.cache.standing().checkpoint != since:
                return False
            self.cache.begin_resync()
            if reason in _VERSIONS_LOST:
                self._forget_versions()
            return True

    def _forget_versions(self) -> None:
        batch = self.outbox.batch()
        edits = [replace(edit, seen=Seen(None, edit.seen.value)) for edit in self.outbox.edits() if edit.based]
        for edit in edits:
            self.outbox.save(edit)
        if batch is not None and batch.earlier_changes is None:
            frozen = [edit for edit in self.outbox.edits() if edit.batch == batch.mutation_id]
            changes = changes_text(frozen, self._policy(batch.conflict_policy))
            if changes != batch.changes:
                self.outbox.rewrite(batch.mutation_id, changes, batch.changes)

    def unsent(self) -> list[Edit]:
        """Edits that are neither parked nor under way."""
        return [edit for edit in self.outbox.edits() if edit.state is not EditState.PARKED and edit.batch is None]

    def decide_unsent(self, edits: Iterable[Edit], keep: Keep) -> None:
        """After a resync: KEEP_MINE bases the edits on the records as they are now, KEEP_THEIRS drops them."""
        with self._db.transaction():
            for stale in edits:
                edit = self.outbox.edit(stale.id)
                if edit != stale:
                    continue
                if keep is Keep.THEIRS:
                    self._let_go(edit, self._seen(edit.key, ()))
                elif edit.based:
                    below = [other for other in self.outbox.edits(key=edit.key) if other.id < edit.id]
                    self.outbox.save(replace(edit, state=EditState.PENDING, seen=self._seen(edit.key, below)))

    def dataset_deleted(self, keep: Keep | None, *, since: str) -> bool:
        """The dataset that the device stood in is deleted. False: the device stands elsewhere by now."""
        with self._db.transaction():
            if self.cache.standing().checkpoint != since:
                return False
            mine = self.entries() if keep is Keep.MINE else {}
            batch = self.outbox.batch()
            if batch is not None:
                self.outbox.end(batch.mutation_id)
            edits = self.unsent()
            if keep is None:
                for edit in edits:
                    self._park(edit, DATASET_DELETED, None)
            else:
                self.outbox.drop(edits)
            self.cache.clear()
            for key, value in mine.items():
                self.edit(key, Operation.PUT, value)
            return True

"""One dataset's edits that the server has not acknowledged, and the push that is under way, in the device's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from syncline.client.database import Database
from syncline.client.edits import Edit, Seen
from syncline.client.models import EditState, Operation
from syncline.core.ids import DatasetName, MutationId, RecordKey
from syncline.core.json_values import JsonText
from syncline.core.model import ConflictPolicy

_COLUMNS = "id, key, operation, argument, made_at, seen_version, seen_value, state, bundle, batch, code, details"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A push that was begun: these changes go under this id, and no others, until its outcome is known.

    ``earlier_changes``: what was sent under the id before the log's epoch changed. If the log does know the id, those
    are what it knows it for.
    """

    mutation_id: MutationId
    changes: JsonText
    earlier_changes: JsonText | None
    conflict_policy: ConflictPolicy | None
    atomic: bool
    edits: tuple[Edit, ...]
    fresh: bool = field(default=False, compare=False)
    """It was begun just now, so nothing was sent of it yet."""


class Outbox:
    """Storage of edits and of the batch. What they mean is ``edits.py``; how they move is ``local.py``."""

    def __init__(self, database: Database, dataset: DatasetName) -> None:
        self._db = database
        self._dataset = dataset

    def edits(self, *, key: RecordKey | None = None) -> list[Edit]:
        """All edits in the order they were made, or those of one key."""
        if key is None:
            return self._select("TRUE")
        return self._select("key = ?", key)

    def edit(self, edit_id: int) -> Edit | None:
        found = self._select("id = ?", edit_id)
        return found[0] if found else None

    def _select(self, where: str, *bindings: object) -> list[Edit]:
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM edits WHERE dataset = ? AND {where} ORDER BY id",  # noqa: S608 (our own text)
            self._dataset,
            *bindings,
        )
        return [_edit(row) for row in rows]

    def add(self, edit: Edit) -> None:
        """Append ``edit``; its id is given by the file."""
        self._db.execute(
            "INSERT INTO edits (dataset, key, operation, argument, made_at, seen_version, seen_value, state, bundle)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._dataset,
            edit.key,
            edit.operation,
            edit.argument,
            edit.made_at.isoformat(),
            edit.seen.version,
            edit.seen.value,
            edit.state,
            edit.bundle,
        )

    def save(self, edit: Edit) -> None:
        """Write what ``edit`` now is over what the edit of its id was."""
        self._db.execute(
            "UPDATE edits SET operation = ?, argument = ?, made_at = ?, seen_version = ?, seen_value = ?, state = ?,"
            " bundle = ?, batch = ?, code = ?, details = ? WHERE id = ? AND dataset = ?",
            edit.operation,
            edit.argument,
            edit.made_at.isoformat(),
            edit.seen.version,
            edit.seen.value,
            edit.state,
            edit.bundle,
            edit.batch,
            edit.code,
            edit.details,
            edit.id,
            self._dataset,
        )

    def drop(self, edits: Sequence[Edit]) -> None:
        for edit in edits:
            self._db.execute("DELETE FROM edits WHERE id = ? AND dataset = ?", edit.id, self._dataset)

    def batch(self) -> Batch | None:
        """The push that is under way."""
        row = self._db.row(
            "SELECT mutation_id, changes, earlier_changes, conflict_policy, atomic FROM batches WHERE dataset = ?",
            self._dataset,
        )
        if row is None:
            return None
        mutation_id, changes, earlier, policy, atomic = row
        return Batch(
            mutation_id=MutationId(mutation_id),
            changes=JsonText(changes),
            earlier_changes=None if earlier is None else JsonText(earlier),
            conflict_policy=None if policy is None else ConflictPolicy(policy),
            atomic=bool(atomic),
            edits=tuple(self._select("batch = ?", mutation_id)),
        )

    def begin(self, batch: Batch) -> None:
        """Remember ``batch``, and which edits it holds."""
        self._db.execute(
            "INSERT INTO batches (mutation_id, dataset, changes, earlier_changes, conflict_policy, atomic)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            batch.mutation_id,
            self._dataset,
            batch.changes,
            batch.earlier_changes,
            batch.conflict_policy,
            int(batch.atomic),
        )
        for edit in batch.edits:
            self._db.execute("UPDATE edits SET batch = ? WHERE id = ?", batch.mutation_id, edit.id)

    def rewrite(self, mutation_id: MutationId, changes: JsonText, earlier_changes: JsonText | None) -> None:
        """Send ``changes`` from now on."""
        self._db.execute(
            "UPDATE batches SET changes = ?, earlier_changes = ? WHERE mutation_id = ?",
            changes,
            earlier_changes,
            mutation_id,
        )

    def end(self, mutation_id: MutationId) -> None:
        """The push is over; edits it still holds are free again."""
        self._db.execute("DELETE FROM batches WHERE mutation_id = ?", mutation_id)
        self._db.execute("UPDATE edits SET batch = NULL WHERE batch = ?", mutation_id)


def _edit(row: tuple[Any, ...]) -> Edit:
    id_, key, operation, argument, made_at, seen_version, seen_value, state, bundle, batch, code, details = row
    return Edit(
        id=id_,
        key=key,
        operation=Operation(operation),
        argument=argument,
        made_at=datetime.fromisoformat(made_at),
        seen=Seen(seen_version, seen_value),
        state=EditState(state),
        bundle=bundle,
        batch=batch,
        code=code,
        details=details,
    )

"""A dataset as it is on the device alone: read and edited at once, and what is not done yet. Nothing here waits."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from syncline.client.database import Database
from syncline.client.local import LocalDataset
from syncline.client.models import Conflict, EditState, Operation, Parked, PendingEdit, Resolution
from syncline.client.shown import as_conflict, as_parked, as_pending
from syncline.core.ids import DatasetName, MutationId, RecordKey, record_key
from syncline.core.json_values import json_text, parsed, whole
from syncline.core.model import Role
from syncline.errors import InvalidInput


class Records:
    """What needs no server. Edits are on disk when their method returns, and are seen at once."""

    def __init__(self, name: DatasetName, database: Database, *, now: Callable[[], datetime]) -> None:
        self.name = name
        self._database = database
        self._local = LocalDataset(database, name, now=now, new_mutation_id=lambda: MutationId(uuid.uuid4().hex))
        self._edited = asyncio.Event()
        """Set when there is something to send."""
        self._bundle: str | None = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """The record's value with this device's edits on top; ``default`` if there is no such record."""
        value = self._local.view(_key(key))
        return default if value is None else parsed(value)

    def has(self, key: str) -> bool:
        """Whether there is such a record."""
        return self._local.view(_key(key)) is not None

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self._local.entries())

    def entries(self, prefix: str = "") -> list[tuple[str, Any]]:
        """All records whose key begins with ``prefix``, by key, with this device's edits on top."""
        return [(key, parsed(value)) for key, value in self._local.entries(prefix).items()]

    def records(self, prefix: str = "") -> dict[str, Any]:
        """The same as a dictionary."""
        return dict(self.entries(prefix))

    # --- editing ------------------------------------------------------------------------------------------------------

    def put(self, key: str, value: Any) -> None:
        """The record gets this value. Raises InvalidInput for what is no JSON value."""
        self._edit(key, Operation.PUT, value)

    def update(self, records: Mapping[str, Any]) -> None:
        """Put them all in one step on this device; the server decides on each by itself."""
        with self._database.transaction():
            for key, value in records.items():
                self.put(key, value)

    def remove(self, key: str) -> None:
        """The record goes."""
        self._make(key, Operation.REMOVE, None)

    def merge(self, key: str, patch: Any) -> None:
        """Patch the record's value as RFC 7396 says: fields set to None go, others are set, objects are entered."""
        self._edit(key, Operation.MERGE, patch)

    def increment(self, key: str, by: float = 1) -> None:
        """Add to a number; no record counts as 0. Raises ChangeNotApplicable, as do the ones below."""
        if not _is_number(by):
            raise InvalidInput("increment", "only a number can be added")
        self._edit(key, Operation.INCREMENT, whole(by))

    def max(self, key: str, value: float | str) -> None:
        """Keep the greater of the record's value and this one."""
        self._edit(key, Operation.MAX, _bound(value, Operation.MAX))

    def min(self, key: str, value: float | str) -> None:
        """Keep the lesser of the record's value and this one."""
        self._edit(key, Operation.MIN, _bound(value, Operation.MIN))

    def add_to_set(self, key: str, *members: Any) -> None:
        """Append the members that the array does not hold; no record counts as an empty array."""
        self._edit(key, Operation.ADD_TO_SET, list(members))

    def remove_from_set(self, key: str, *members: Any) -> None:
        """Take the members out of the array."""
        self._edit(key, Operation.REMOVE_FROM_SET, list(members))

    def _edit(self, key: str, operation: Operation, argument: Any) -> None:
        self._make(key, operation, json_text(argument, field=operation.value))

    def _make(self, key: str, operation: Operation, argument: Any) -> None:
        self._local.edit(_key(key), operation, argument, bundle=self._bundle)
        if self._bundle is None:
            self._edited.set()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The edits made in it are applied by the server together or not at all.

        They are on disk when the block ends; if it raises, none was made. Do not await in it.
        """
        if self._bundle is not None:
            yield
            return
        self._bundle = uuid.uuid4().hex
        try:
            with self._database.transaction():
                yield
        finally:
            self._bundle = None
        self._edited.set()

    # --- what is not done yet -----------------------------------------------------------------------------------------

    def pending(self) -> list[PendingEdit]:
        """Edits that the server has not taken, in the order they were made; those in conflict are among them."""
        return [as_pending(edit) for edit in self._local.outbox.edits() if edit.state is not EditState.PARKED]

    def conflicts(self) -> list[Conflict]:
        """Edits that wait for a decision."""
        return [as_conflict(self.name, held) for held in self._local.held_conflicts()]

    def resolve(self, conflict: Conflict, decision: Resolution) -> bool:
        """Decide a conflict. False: it is no longer as it was, and nothing was decided. Raises InvalidInput."""
        for held in self._local.held_conflicts():
            if as_conflict(self.name, held) == conflict:
                done = self._local.resolve(held, decision)
                self._edited.set()
                return done
        return False

    def parked(self) -> list[Parked]:
        """Edits that could not be applied as they were."""
        return [as_parked(edit) for edit in self._local.parked()]

    def retry(self, edit: Parked) -> bool:
        """Make a parked edit again, by itself, on what is there now. False: it is not parked any more."""
        done = self._local.retry_parked(edit.id)
        self._edited.set()
        return done

    def discard(self, edit: Parked) -> bool:
        """Give a parked edit up. False: it is not parked any more."""
        return self._local.discard_parked(edit.id)

    # --- what the server said last ------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The dataset's id; None: it is not known here yet."""
        return self._local.cache.standing().dataset_id

    @property
    def role(self) -> Role | None:
        """What the identity may do with it; None: that is not known here yet."""
        known = self._local.cache.standing().role
        return None if known is None or known not in Role.__members__ else Role(known)

    @property
    def version(self) -> int:
        """The version up to which this device surely has all; 0: it has nothing."""
        return self._local.cache.standing().known_version


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bound(value: float | str, operation: Operation) -> float | str:
    if not (_is_number(value) or isinstance(value, str)):
        raise InvalidInput(operation, "a bound is a number or a text")
    return value


def _key(key: str) -> RecordKey:
    if not isinstance(key, str):
        raise InvalidInput("key", "a key is a text")
    return record_key(key)

"""A device's local half on a file, which can crash at any moment, driven step by step against a ``CoreLog``."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from syncline.client.cache import Delta
from syncline.client.database import Database
from syncline.client.edits import Outcome
from syncline.client.local import LocalDataset
from syncline.client.models import Conflict, Operation, Resolution
from syncline.client.outbox import Batch
from syncline.core.checkpoint import ResyncReason
from syncline.core.commit import Resync
from syncline.core.ids import MutationId, RecordKey
from syncline.core.json_values import parsed
from syncline.core.model import ConflictPolicy
from tests.support.core_builders import NAME, NOW, js
from tests.unit.client.core_log import CoreLog

__all__ = ["Conflict", "LocalDevice"]

_UNTIL_QUIET = 50


class LocalDevice:
    """One device. ``answer`` is what the server said to the last push, until it is taken in or lost."""

    def __init__(self, name: str, file: Path | str, log: CoreLog) -> None:
        self.name = name
        self.log = log
        self.policy: ConflictPolicy | None = None
        self.answer: tuple[Batch, list[Outcome], Delta] | None = None
        self._file = file
        self._ids = count(1)
        self._open()

    def _open(self) -> None:
        self.database = Database(self._file)
        self.local = LocalDataset(
            self.database,
            NAME,
            now=lambda: NOW,
            new_mutation_id=lambda: MutationId(f"{self.name}-{next(self._ids)}"),
        )

    def crash(self) -> None:
        """What is not in the file is gone, an answer that was not taken in with it."""
        self.database.close()
        self.answer = None
        self._open()

    def close(self) -> None:
        self.database.close()

    def edit(self, key: str, operation: Operation, argument: Any = None, *, bundle: str | None = None) -> None:
        text = None if operation is Operation.REMOVE else js(argument)
        self.local.edit(RecordKey(key), operation, text, bundle=bundle)

    def put(self, key: str, value: Any, *, bundle: str | None = None) -> None:
        self.edit(key, Operation.PUT, value, bundle=bundle)

    def get(self, key: str) -> Any:
        value = self.local.view(RecordKey(key))
        return None if value is None else parsed(value)

    def values(self) -> dict[str, Any]:
        return {key: parsed(value) for key, value in self.local.entries().items()}

    @property
    def since(self) -> str:
        return self.local.cache.standing().checkpoint

    def freeze(self, *, max_changes: int = 100) -> Batch | None:
        return self.local.freeze(max_changes=max_changes, policy=self.policy)

    def send(self, *, max_changes: int = 100) -> Batch | None:
        """Push the next batch; the answer is on its way."""
        batch = self.freeze(max_changes=max_changes)
        if batch is None:
            return None
        answer = self.log.push(self.name, batch, since=self.since)
        if isinstance(answer, Resync):
            self._start_over(answer.reason)
        else:
            self.answer = (batch, *answer)
        return batch

    def take_answer(self) -> None:
        if self.answer is not None:
            batch, outcomes, delta = self.answer
            self.answer = None
            self.local.settle(batch, outcomes, delta)

    def push(self) -> None:
        self.send()
        self.take_answer()

    def pull(self, *, page: int = 500) -> None:
        for _ in range(_UNTIL_QUIET):
            delta = self.log.pull(since=self.since, page=page)
            if isinstance(delta, Resync):
                self._start_over(delta.reason)
                continue
            self.local.cache.apply(delta)
            if delta.complete:
                return
        raise AssertionError("the pull does not end")

    def _start_over(self, reason: ResyncReason) -> None:
        if reason is ResyncReason.DATASET_RECREATED:
            self.local.dataset_deleted(None, since=self.since)
        else:
            self.local.resync(reason, since=self.since)

    def resolve_all(self, decide: Any) -> None:
        """``decide(mine, theirs)`` gives the resolution of each conflict."""
        for held in self.local.held_conflicts():
            theirs = None if held.theirs is None else held.theirs.value
            mine = held.edit.applied_to(theirs)
            resolution: Resolution = decide(
                None if mine is None else parsed(mine), None if theirs is None else parsed(theirs)
            )
            self.local.resolve(held, resolution)

    def quiesce(self, decide: Any) -> None:
        """Push, pull and decide until nothing is left."""
        for _ in range(_UNTIL_QUIET):
            self.push()
            self.pull()
            self.resolve_all(decide)
            if not self.local.has_sendable():
                return
        raise AssertionError(f"{self.name} does not come to rest: {self.local.outbox.edits()}")

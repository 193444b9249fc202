"""One dataset's records as the server last told them, and the checkpoint that says how much of the log they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from syncline.client.database import Database
from syncline.core.checkpoint import START
from syncline.core.ids import DatasetName, RecordKey
from syncline.core.json_values import JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedRecord:
    """A record as the server told it. ``value`` None: deleted."""

    key: RecordKey
    value: JsonText | None
    version: int
    author_identity: str | None = None
    author_device: str | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the local copy stands."""

    checkpoint: str
    dataset_id: str | None
    conflict_policy: str | None
    role: str | None
    known_version: int
    resyncing: bool

    @property
    def fresh(self) -> bool:
        return self.checkpoint == START


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What leads from the checkpoint ``since`` to ``checkpoint``. ``complete``: to all there was, not to a page's end.

    ``covered_version``: every commit up to it is in this delta or before it.
    """

    since: str
    checkpoint: str
    records: Sequence[SyncedRecord]
    complete: bool
    covered_version: int = 0
    dataset_id: str | None = None
    conflict_policy: str | None = None
    role: str | None = None


def covered_version(records: Iterable[SyncedRecord], *, complete: bool) -> int:
    """What a page of the log says about the commits before it: it holds the last one in part, or is complete."""
    last = max((record.version for record in records), default=0)
    return last if complete else max(0, last - 1)


class Cache:
    """Synced records of one dataset.

    Invariants: the records hold everything up to the checkpoint, and maybe newer states of some; while ``resyncing``,
    records of an older generation are shown until the pull from the start is complete, then those not met are gone.
    Records and checkpoint move in one transaction.
    """

    def __init__(self, database: Database, dataset: DatasetName) -> None:
        self._db = database
        self._dataset = dataset

    # --- reading ------------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        row = self._db.row(
            "SELECT checkpoint, id, conflict_policy, role, known_version, resyncing FROM datasets WHERE name = ?",
            self._dataset,
        )
        checkpoint, id_, policy, role, version, resyncing = row or (START, None, None, None, 0, 0)
        return Standing(
            checkpoint=checkpoint,
            dataset_id=id_,
            conflict_policy=policy,
            role=role,
            known_version=version,
            resyncing=bool(resyncing),
        )

    def record(self, key: RecordKey) -> SyncedRecord | None:
        """The record, or its tombstone."""
        found = self._select("key = ?", key)
        return found[0] if found else None

    def live(self, prefix: str = "") -> dict[RecordKey, JsonText]:
        """Values of the records that are not deleted."""
        return {
            record.key: record.value
            for record in self._select("value IS NOT NULL")
            if record.value is not None and record.key.startswith(prefix)
        }

    def sequence(self) -> int:
        """Count of records applied so far."""
        return self._db.value("SELECT sequence FROM datasets WHERE name = ?", self._dataset) or 0

    def applied_after(self, sequence: int, *, limit: int = 500) -> list[SyncedRecord]:
        """Records applied after that count, in order; of one applied twice, only the last state."""
        return self._select("sequence > ? ORDER BY sequence LIMIT ?", sequence, limit)

    def _select(self, where: str, *bindings: object) -> list[SyncedRecord]:
        rows = self._db.rows(
            "SELECT key, value, version, author_identity, author_device, sequence FROM records"  # noqa: S608 (our own text)
            f" WHERE dataset = ? AND {where}",
            self._dataset,
            *bindings,
        )
        return [
            SyncedRecord(
                key=key, value=value, version=version, author_identity=identity, author_device=device, sequence=sequence
            )
            for key, value, version, identity, device, sequence in rows
        ]

    # --- writing ------------------------------------------------------------------------------------------------------

    def apply(self, delta: Delta) -> int | None:
        """Take in ``delta``; the answer is how many records were news. None: the copy does not stand at its ``since``.

        Then nothing is applied: another pull, maybe of another process, was faster.
        """
        with self._db.transaction():
            self._ensure()
            if self.standing().checkpoint != delta.since:
                return None
            news = self.learn(delta.records)
            self._db.execute(
                "UPDATE datasets SET checkpoint = ?, id = coalesce(?, id), conflict_policy = coalesce(?,"
                " conflict_policy), role = coalesce(?, role), known_version = max(known_version, ?) WHERE name = ?",
                delta.checkpoint,
                delta.dataset_id,
                delta.conflict_policy,
                delta.role,
                delta.covered_version,
                self._dataset,
            )
            if delta.complete:
                self._finish_resync()
        return news

    def learn(self, records: Iterable[SyncedRecord]) -> int:
        """Take in states that are newer than those held, without moving the checkpoint; how many were."""
        news = 0
        with self._db.transaction():
            self._ensure()
            row = self._db.row("SELECT generation, sequence FROM datasets WHERE name = ?", self._dataset)
            generation, sequence = row or (0, 0)
            for record in records:
                news += self._db.execute(
                    "INSERT INTO records (dataset, key, value, version, author_identity, author_device, generation,"
                    " sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dataset, key) DO UPDATE SET"
                    " value = excluded.value, version = excluded.version, author_identity = excluded.author_identity,"
                    " author_device = excluded.author_device, generation = excluded.generation,"
                    " sequence = excluded.sequence"
                    " WHERE excluded.version > records.version OR excluded.generation > records.generation",
                    self._dataset,
                    record.key,
                    record.value,
                    record.version,
                    record.author_identity,
                    record.author_device,
                    generation,
                    sequence + news + 1,
                )
            self._db.execute("UPDATE datasets SET sequence = sequence + ? WHERE name = ?", news, self._dataset)
        return news

    def begin_resync(self) -> None:
        """Stand at the start again. What is held stays to be read until it is confirmed or found gone."""
        with self._db.transaction():
            self._ensure()
            self._db.execute(
                "UPDATE datasets SET checkpoint = ?, id = NULL, role = NULL, known_version = 0,"
                " generation = generation + 1, resyncing = 1 WHERE name = ?",
                START,
                self._dataset,
            )

    def clear(self) -> None:
        """The dataset is gone: stand at the start, with no records."""
        with self._db.transaction():
            self.begin_resync()
            self._finish_resync()

    def _finish_resync(self) -> None:
        if not self.standing().resyncing:
            return
        gone = self._db.rows(
            "SELECT key FROM records WHERE dataset = ?1 AND value IS NOT NULL"
            " AND generation < (SELECT generation FROM datasets WHERE name = ?1)",
            self._dataset,
        )
        # Version 0 gives way to whatever the server says of the key later.
        self.learn(SyncedRecord(key=key, value=None, version=0) for (key,) in gone)
        self._db.execute(
            "DELETE FROM records WHERE dataset = ?1 AND value IS NULL"
            " AND generation < (SELECT generation FROM datasets WHERE name = ?1)",
            self._dataset,
        )
        self._db.execute("UPDATE datasets SET resyncing = 0 WHERE name = ?", self._dataset)

    def _ensure(self) -> None:
        self._db.execute("INSERT INTO datasets (name) VALUES (?) ON CONFLICT DO NOTHING", self._dataset)

"""What a device holds of one dataset. The dataset is known by its name; its incarnations come and go."""

from __future__ import annotations

from collections.abc import Iterable

from syncline.core.checkpoint import START, Checkpoint, Since
from syncline.core.ids import DatasetId, DatasetName, Epoch, RecordKey, Version
from syncline.core.model import BEGINNING, Commit, Position, Record

Standing = tuple[int, bool]


class Replica:
    """Invariant: it holds all that ``position`` covers of the incarnation ``id``, as far as ``prefix`` lets through.

    A device with a filter that leaves out its own writes knows those from the answers to its syncs.
    """

    def __init__(self, name: DatasetName, prefix: str) -> None:
        self.name = name
        self.prefix = prefix
        self.id: DatasetId | None = None
        self.epoch: Epoch | None = None
        self.position: Position = BEGINNING
        self.records: dict[RecordKey, Record] = {}
        self._lineage = 0
        self._buried: set[DatasetId] = set()
        self.misses = 0
        self.behind = False
        """Something came that does not follow on: what is missing has to be pulled."""

    @property
    def since(self) -> Since:
        if self.id is None or self.epoch is None:
            return START
        return Checkpoint(self.epoch, self.id, self.position)

    def stands_at(self, dataset: DatasetId, position: Position) -> bool:
        return self.id == dataset and same_place(self.position, position)

    def miss(self) -> None:
        """Something came that is not taken: it has to be pulled, by a question that is still to be asked."""
        self.behind = True
        self.misses += 1

    def forget(self) -> None:
        self.id, self.position = None, BEGINNING
        self._lineage += 1
        self.records.clear()

    def bury(self, dataset: DatasetId) -> None:
        """The incarnation was deleted. Answers that are still on their way must not bring it back to life."""
        self._buried.add(dataset)
        if self.id == dataset:
            self.forget()

    def take(
        self, dataset: DatasetId, epoch: Epoch, previous: Position, position: Position, records: Iterable[Record]
    ) -> None:
        """What leads from ``previous`` to ``position``, or nothing of it if that does not follow on."""
        if dataset in self._buried:
            return
        if self.id is None and previous == BEGINNING:
            self.id, self.epoch = dataset, epoch
        if self.id == dataset and position <= self.position:
            return
        if self.id != dataset or not same_place(previous, self.position):
            # Not even if it overlaps: of what was removed in the part that is known, it may say nothing any more.
            self.miss()
            return
        self._keep(records)
        self.position = position

    def take_commit(self, commit: Commit) -> None:
        self.take(commit.dataset, commit.epoch, commit.previous, commit.position, commit.records)

    def standing(self) -> Standing:
        """Equal to an earlier one as long as the replica has not begun anew since, or for the first time."""
        return self._lineage, self.position == BEGINNING

    def note(self, records: Iterable[Record], absent: Iterable[RecordKey], *, as_of: Version) -> None:
        """Single records as they are now, whatever lies between; of those absent nobody remembers even the removal.

        Not for what was asked before the replica began: it would never hear of a removal that is forgotten by then.
        """
        self._keep(records)
        for key in absent:
            if key in self.records and self.records[key].version <= as_of:
                del self.records[key]

    def _keep(self, records: Iterable[Record]) -> None:
        for record in records:
            known = self.records.get(record.key)
            if record.key.startswith(self.prefix) and (known is None or known.version <= record.version):
                self.records[record.key] = record

    def live(self) -> dict[RecordKey, Record]:
        return {key: record for key, record in self.records.items() if not record.deleted}


def same_place(one: Position, other: Position) -> bool:
    """Whether their checkpoints are the same text, which is all that a device can compare."""
    return one == other and one.begun == other.begun

"""What one subscription was told so far, held against what it must be told."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.core.checkpoint import Checkpoint, Since, position_of
from syncline.core.commit import Resync
from syncline.core.events import DatasetCreated, DatasetDeleted, FeedEvent, Ready
from syncline.core.ids import DatasetId, DatasetName, RecordKey
from syncline.core.model import BEGINNING, Commit, Position, Record, Viewer
from syncline.core.pages import RecordFilter
from tests.simulation.ledger import Ledger
from tests.simulation.replica import same_place
from tests.simulation.violation import check


class Subscription:
    """Invariant: of each dataset the subscriber was told all up to its place, in order, without gap or double."""

    def __init__(
        self,
        ledger: Ledger,
        viewer: Viewer,
        wanted: RecordFilter,
        *,
        since: Mapping[DatasetId, Since],
        name: DatasetName | None,
    ) -> None:
        """``name``: of the one dataset that is followed; None: all that the identity has."""
        self._ledger = ledger
        self._viewer = viewer
        self._wanted = wanted
        self._name = name
        self._since = since
        self._places: dict[DatasetId, Position] = {}
        self._gone: set[DatasetId] = set()
        self.ready: Ready | None = None

    def place(self, dataset: DatasetId) -> Position | None:
        """Up to where the subscriber was told of the dataset; None: nothing yet."""
        return self._places.get(dataset)

    def hear(self, event: FeedEvent, held: dict[RecordKey, Record]) -> None:
        """Raises Violation. ``held``: what the device holds of the commit's dataset."""
        if isinstance(event, Ready):
            self._hear_ready(event)
            return
        check("the first event is Ready", self.ready is not None, event)
        match event:
            case Commit():
                self._hear_commit(event, held)
            case DatasetCreated(head=head):
                self._check_mine(head.id)
                check("what is created was not there", head.id not in self._places, head.id)
                check("what is created was not known", head.id not in self._since, head.id)
                self._places[head.id] = BEGINNING
            case DatasetDeleted(dataset=dataset):
                self._check_mine(dataset)
                check("only what is deleted is told so", self._ledger.histories[dataset].deleted, dataset)
                check("a deletion is told once", dataset not in self._gone, dataset)
                self._places.pop(dataset, None)
                self._gone.add(dataset)
            case Resync(dataset=dataset):
                self._places[dataset] = BEGINNING

    def _hear_ready(self, event: Ready) -> None:
        check("Ready comes once", self.ready is None, event)
        self.ready = event
        if self._name is None:
            self._places = {dataset: position_of(since) for dataset, since in self._since.items()}
        elif isinstance(event.checkpoint, Checkpoint):
            if event.resumed:
                wanted = position_of(self._since.get(event.checkpoint.dataset))
                check("Ready goes on from there", event.checkpoint.position == wanted, wanted, event)
            self._places[event.checkpoint.dataset] = event.checkpoint.position

    def _hear_commit(self, commit: Commit, held: dict[RecordKey, Record]) -> None:
        dataset = commit.dataset
        self._check_mine(dataset)
        check("nothing comes of what is gone", dataset not in self._gone, dataset)
        if self._name is None:
            check("a dataset is announced first", dataset in self._places, dataset)
        place = self._places.get(dataset, BEGINNING)
        check(
            "an event follows on the one before",
            same_place(commit.previous, place),
            place,
            commit.previous,
            commit.position,
        )
        self._ledger.check_event(commit, self._wanted, held)
        self._places[dataset] = commit.position

    def _check_mine(self, dataset: DatasetId) -> None:
        history = self._ledger.histories[dataset]
        check("only members see it", history.owner == self._viewer.identity, dataset)
        check("only what was asked for comes", self._name in (None, history.name), dataset)

"""An outside ledger of syncs: what was sent, what was answered, and whether a server holds exactly that.

It is kept by the test, apart from the product: a sync is entered before it is sent, its acknowledgement when it came.
Each sync leaves marks that no other sync touches, so that it can be found in the data at any later time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

COUNTER = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSync:
    """One sync, made by ``device``. All changes are atomic, and the ``puts`` are of keys that nobody else writes."""

    mutation_id: str
    device: str
    dataset: str
    puts: Mapping[str, object] = field(default_factory=dict)
    increment: int = 0
    """How much is added to the record ``count``, which all syncs share."""
    tag_set: str | None = None
    """The record to whose set the mutation id is added."""

    def variables(self) -> dict[str, Any]:
        """What to send as ``$input`` of ``sync``."""
        changes: list[dict[str, Any]] = [
            {"put": {"key": key, "value": value, "base": {"absent": True}}} for key, value in self.puts.items()
        ]
        if self.increment:
            changes.append({"increment": {"key": COUNTER, "by": self.increment}})
        if self.tag_set is not None:
            changes.append({"addToSet": {"key": self.tag_set, "members": [self.mutation_id]}})
        return {"input": {"dataset": {"name": self.dataset}, "mutationId": self.mutation_id, "changes": changes}}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRecord:
    """A record as a server holds it."""

    value: Any
    version: int


@dataclass(slots=True)
class _Entry:
    sync: PlannedSync
    settled: bool = False
    version: int | None = None
    """The commit's, as the acknowledgement told it; a retry does not tell."""


class Ledger:
    """Entries in the order in which they were made."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, sync: PlannedSync) -> None:
        """To be called before the sync is sent."""
        assert sync.mutation_id not in self._entries
        self._entries[sync.mutation_id] = _Entry(sync)

    def acknowledge(self, sync: PlannedSync, *, version: int | None) -> None:
        """To be called when the answer is there; ``version`` None: it was the answer to a retry."""
        entry = self._entries[sync.mutation_id]
        entry.settled = True
        entry.version = version

    def unacknowledged(self) -> list[PlannedSync]:
        return [entry.sync for entry in self._entries.values() if not entry.settled]

    def check(self, dataset: str, held: Mapping[str, HeldRecord], *, version: int) -> None:
        """That a server which holds these records, at this version, holds this ledger: no more, no less, no halves."""
        entries = [entry for entry in self._entries.values() if entry.sync.dataset == dataset]
        sets = {key: Counter(record.value) for key, record in held.items() if isinstance(record.value, list)}
        versions: list[int] = []
        present = unseen = total = unknown = 0
        for entry in entries:
            sync = entry.sync
            marks = [sets.get(sync.tag_set, Counter())[sync.mutation_id]] if sync.tag_set is not None else []
            marks += [key in held for key in sync.puts]
            assert set(marks) <= {0, 1}, f"{sync.mutation_id} was applied twice"
            assert len(set(marks)) <= 1, f"{sync.mutation_id} is there in part: {marks}"
            if entry.settled:
                assert 0 not in marks, f"{sync.mutation_id} was acknowledged and is gone"
            elif not marks:
                unseen += sync.increment
                continue
            elif 0 in marks:
                continue
            present += 1
            total += sync.increment
            commit = self._commit_of(entry, held)
            if commit is None:
                unknown += 1
            else:
                versions.append(commit)
        assert len(set(versions)) == len(versions), "two syncs have the same version"
        assert all(1 <= each <= version for each in versions)
        count = held[COUNTER].value if COUNTER in held else 0
        # A sync that only increments leaves no other mark; each of them adds 1.
        assert total <= count <= total + unseen, (total, count, unseen)
        assert version == present + (count - total), "the dataset's version is not the number of its commits"
        assert len(versions) + unknown == present
        assert held.keys() == self._expected_keys(entries, held)

    def _commit_of(self, entry: _Entry, held: Mapping[str, HeldRecord]) -> int | None:
        written = {held[key].version for key in entry.sync.puts}
        assert len(written) <= 1, f"{entry.sync.mutation_id} was written by several commits"
        for key, value in entry.sync.puts.items():
            assert held[key].value == value
        found = next(iter(written), None)
        if entry.version is not None and found is not None:
            assert entry.version == found, f"{entry.sync.mutation_id} has another version than was acknowledged"
        return entry.version if found is None else found

    def _expected_keys(self, entries: Iterable[_Entry], held: Mapping[str, HeldRecord]) -> set[str]:
        shared = {COUNTER} | {entry.sync.tag_set for entry in entries if entry.sync.tag_set is not None}
        return {key for entry in entries for key in entry.sync.puts if key in held} | (shared & held.keys())


def plans(device: str, lane: str, datasets: Iterable[str], choices: Iterator[float]) -> Iterator[PlannedSync]:
    """One device's syncs, one for each choice in [0, 1): puts, increments, additions to sets, 2 to 50 changes at once.

    ``lane`` is a name that no other call has.
    """
    names = list(datasets)
    for number, choice in enumerate(choices):
        name = f"{lane}.{number}"
        dataset = names[number % len(names)]
        tag_set = f"tags.{lane}.{number // 64}"
        size = 2 + int(choice * 1_000) % 49
        match int(choice * 4):
            case 0:
                yield PlannedSync(mutation_id=name, device=device, dataset=dataset, puts={name: {"n": number}})
            case 1:
                yield PlannedSync(mutation_id=name, device=device, dataset=dataset, increment=1)
            case 2:
                yield PlannedSync(mutation_id=name, device=device, dataset=dataset, tag_set=tag_set)
            case _:
                puts = {f"{name}.{part}": {"n": number, "part": part} for part in range(max(1, size - 2))}
                yield PlannedSync(
                    mutation_id=name,
                    device=device,
                    dataset=dataset,
                    puts=puts,
                    increment=1,
                    tag_set=tag_set if size > 2 else None,
                )

"""An oracle of the sync contract: dictionaries and whole histories, written apart from the product's code.

It remembers every write of every record and answers from that history, where the product keeps only a record's last
state. Of the product it uses nothing but the value types of ``core.changes``, to be told what a device proposes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Any, Final, Literal

from syncline.core import changes as proposed


class Gone(Enum):
    """The value of a record that is not there; an enum, so that a copied history has the same one."""

    GONE = "gone"


GONE: Final = Gone.GONE

Device = tuple[str, str | None]
Since = tuple[str, str, int, int, int] | Literal["start"] | None
"""Epoch, dataset, version and offset of a checkpoint, and the version at which its device began with nothing."""


# --- JSON -------------------------------------------------------------------------------------------------------------


def meaning(value: Any) -> Any:
    """Hashable, and equal exactly if two JSON values are: names have no order, 1 is 1.0, true is not 1."""
    if value is GONE or value is None or isinstance(value, bool):
        return ("literal", str(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, dict):
        return ("object", frozenset((name, meaning(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(meaning(item) for item in value))
    return ("number", Fraction(value))


def equal(a: Any, b: Any) -> bool:
    return bool(meaning(a) == meaning(b))


def compact_bytes(value: Any) -> int:
    """Length of the compact UTF-8 text."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def patched(target: Any, patch: Any) -> Any:
    """RFC 7396, as its pseudo-code has it."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        target = dict(target)
        for name in patch:
            if patch[name] is None:
                if name in target:
                    del target[name]
            else:
                target[name] = patched(target.get(name), patch[name])
        return target
    return patch


def rebased(base: Any, mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """``theirs`` after the edits that lead from ``base`` to ``mine``."""
    base = base if isinstance(base, dict) else {}
    result: dict[str, Any] = {}
    for name in {*mine, *theirs}:
        edited = not equal(base.get(name, GONE), mine.get(name, GONE))
        if not edited:
            if name in theirs:
                result[name] = theirs[name]
        elif name in mine:
            both_objects = isinstance(mine[name], dict) and isinstance(theirs.get(name), dict)
            result[name] = rebased(base.get(name), mine[name], theirs[name]) if both_objects else mine[name]
    return result


class Misfit(Exception):
    """The change does not fit the value."""


def outcome_of(change: proposed.Change, before: Any) -> Any:
    """The value after the change, as the definitions of the operations say. Raises Misfit."""
    match change:
        case proposed.Put(value=text):
            return json.loads(text)
        case proposed.Remove():
            return GONE
        case proposed.Merge(patch=text):
            return patched(None if before is GONE else before, json.loads(text))
        case proposed.Increment(by=by):
            if before is not GONE and not is_number(before):
                raise Misfit
            return number(Fraction(0 if before is GONE else before) + Fraction(by))
        case proposed.Max(value=text):
            return _extreme(before, json.loads(text), max)
        case proposed.Min(value=text):
            return _extreme(before, json.loads(text), min)
        case proposed.AddToSet(members=texts):
            array = _array(before)
            for text in texts:
                if meaning(json.loads(text)) not in map(meaning, array):
                    array.append(json.loads(text))
            return array
        case proposed.RemoveFromSet(members=texts):
            out = {meaning(json.loads(text)) for text in texts}
            kept = [item for item in _array(before) if meaning(item) not in out]
            return GONE if before is GONE else kept


def _extreme(before: Any, bound: Any, better: Callable[[Any, Any], Any]) -> Any:
    comparable = is_number(bound) or isinstance(bound, str)
    if before is GONE and comparable:
        return bound
    if not comparable or isinstance(before, str) != isinstance(bound, str) or not (_plain(before)):
        raise Misfit
    return better(before, bound)


def _plain(value: Any) -> bool:
    return is_number(value) or isinstance(value, str)


def _array(before: Any) -> list[Any]:
    if before is GONE:
        return []
    if not isinstance(before, list):
        raise Misfit
    return list(before)


# --- histories --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """One change that was written to one record.

    ``fields``: those that a merge named; None: the whole value. ``unseen``: the last version by somebody else that is
    part of the value although the device did not know it; None: it knew all.
    """

    version: int
    place: int
    device: Device
    value: Any
    fields: frozenset[str] | None
    unseen: int | None


@dataclass
class OracleDataset:
    """A dataset as all that was ever written to it."""

    id: str
    version: int = 0
    pruned: int = 0
    policy: str = "REJECT"
    history: dict[str, list[Written]] = field(default_factory=dict)

    def value(self, key: str) -> Any:
        return self.history[key][-1].value if self.history.get(key) else GONE

    def live(self) -> dict[str, Any]:
        """What a device holds that has pulled everything."""
        return {key: self.value(key) for key in self.history if self.value(key) is not GONE}

    def size(self) -> int:
        return sum(len(key.encode()) + compact_bytes(value) for key, value in self.live().items())

    def missing(self, version: int, offset: int = 0) -> list[tuple[str, Written]]:
        """What a device that has applied this much lacks, in the order of the log."""
        last = [(key, writes[-1]) for key, writes in self.history.items() if writes]
        unknown = [(key, w) for key, w in last if not _known(w, version, offset)]
        return sorted(unknown, key=lambda item: (item[1].version, item[1].place))

    def prune(self, through: int) -> None:
        """Forget removed records that were removed by this version."""
        self.pruned = max(self.pruned, through)
        for key, writes in list(self.history.items()):
            if writes and writes[-1].value is GONE and writes[-1].version <= through:
                del self.history[key]


def _known(write: Written, version: int, offset: int) -> bool:
    return (write.version, write.place) < (version + 1, offset)


@dataclass(frozen=True)
class Answer:
    """``kind``: applied, conflicted, resync or refused; ``why``: the reason or code of the latter two."""

    kind: str
    why: str | None = None
    outcomes: tuple[tuple[str, str | None], ...] = ()
    version: int | None = None


@dataclass(frozen=True)
class Bounds:
    """The limits, as the oracle needs them."""

    datasets: int = 20
    dataset_bytes: int = 1_048_576
    records: int = 1_024
    key_bytes: int = 1_024
    changes_per_sync: int = 1_024


class Refused(Exception):
    """An error whose code is its argument."""


@dataclass
class Oracle:
    """One identity's datasets, and what a sync does to them."""

    epoch: str
    bounds: Bounds = Bounds()
    names: dict[str, OracleDataset] = field(default_factory=dict)
    remembered: dict[tuple[Device, str], tuple[object, str, Answer]] = field(default_factory=dict)

    def sync(
        self,
        device: Device,
        name: str,
        since: Since,
        mutation: str,
        changes: tuple[proposed.Change, ...],
        *,
        policy: str | None,
        atomic: bool,
        new_id: str,
    ) -> Answer:
        """What the device is answered; the datasets are afterwards as they have to be."""
        if len(changes) > self.bounds.changes_per_sync:
            return Answer("refused", "LIMIT_EXCEEDED")
        dataset = self.names.get(name)
        if isinstance(since, tuple) and (reason := self.lost(since, dataset)):
            return Answer("resync", reason)
        asked = (name, [(type(c), getattr(c, "base", None).__class__, c) for c in changes], policy, atomic)
        if (device, mutation) in self.remembered:
            first_asked, first_dataset, first_answer = self.remembered[device, mutation]
            if first_asked != asked:
                return Answer("refused", "MUTATION_ID_REUSED")
            if dataset is None or dataset.id != first_dataset:
                return Answer("resync", "DATASET_RECREATED")
            return first_answer
        if dataset is None:
            if len(self.names) >= self.bounds.datasets:
                return Answer("refused", "LIMIT_EXCEEDED")
            dataset = OracleDataset(new_id)
        seen = (since[2], since[3]) if isinstance(since, tuple) else (0, 0)
        attempt = _Attempt(dataset, device, seen, policy or dataset.policy, self.bounds)
        try:
            answer = attempt.all(changes) if atomic else attempt.each(changes)
        except Refused as refused:
            return Answer("refused", str(refused))
        self.names[name] = dataset
        if changes:
            self.remembered[device, mutation] = (asked, dataset.id, answer)
        return answer

    def lost(self, since: tuple[str, str, int, int, int], dataset: OracleDataset | None) -> str | None:
        """Why the log does not lead on from there."""
        epoch, id_, version, offset, begun = since
        if epoch != self.epoch:
            return "EPOCH_CHANGED"
        if dataset is None or dataset.id != id_:
            return "DATASET_RECREATED"
        if version > dataset.version or (version == dataset.version and offset > 0):
            return "CHECKPOINT_FROM_FUTURE"
        if max(version, begun) < dataset.pruned and (version, offset) != (0, 0):
            return "CHECKPOINT_TOO_OLD"
        return None


class _Attempt:
    """One sync, tried beside the history and written into it at the end."""

    def __init__(
        self, dataset: OracleDataset, device: Device, seen: tuple[int, int], policy: str, bounds: Bounds
    ) -> None:
        self.dataset, self.device, self.seen, self.policy, self.bounds = dataset, device, seen, policy, bounds
        self.draft: dict[str, list[Written]] = {}

    def all(self, changes: Iterable[proposed.Change]) -> Answer:
        statuses = [self.one(change) for change in changes]
        outcomes = tuple((status, None) for status in statuses)
        if "CONFLICT" in statuses:
            return Answer("conflicted", outcomes=outcomes)
        self.check_growth(self.dataset.live(), self.live())
        return self.written(outcomes)

    def each(self, changes: Iterable[proposed.Change]) -> Answer:
        outcomes: list[tuple[str, str | None]] = []
        for change in changes:
            kept = {key: list(writes) for key, writes in self.draft.items()}
            before = self.live()
            try:
                status = self.one(change)
                if status in ("APPLIED", "MERGED"):
                    self.check_growth(before, self.live())
                outcomes.append((status, None))
            except Refused as refused:
                self.draft = kept
                outcomes.append(("REJECTED", str(refused)))
        return self.written(tuple(outcomes))

    def live(self) -> dict[str, Any]:
        values = self.dataset.live() | {key: writes[-1].value for key, writes in self.draft.items()}
        return {key: value for key, value in values.items() if value is not GONE}

    def check_growth(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        def size(values: Mapping[str, Any]) -> int:
            return sum(len(key.encode()) + compact_bytes(value) for key, value in values.items())

        if len(after) > max(self.bounds.records, len(before)):
            raise Refused("LIMIT_EXCEEDED")
        if size(after) > max(self.bounds.dataset_bytes, size(before)):
            raise Refused("LIMIT_EXCEEDED")

    def written(self, outcomes: tuple[tuple[str, str | None], ...]) -> Answer:
        if self.draft:
            self.dataset.version += 1
            for key, writes in self.draft.items():
                self.dataset.history.setdefault(key, []).extend(writes)
        return Answer("applied", outcomes=outcomes, version=self.dataset.version)

    def one(self, change: proposed.Change) -> str:
        if len(change.key.encode()) > self.bounds.key_bytes:
            raise Refused("LIMIT_EXCEEDED")
        writes = [*self.dataset.history.get(change.key, []), *self.draft.get(change.key, [])]
        before = writes[-1].value if writes else GONE
        try:
            after = outcome_of(change, before)
        except Misfit:
            raise Refused("CHANGE_NOT_APPLICABLE") from None
        if equal(before, after):
            return "UNCHANGED"
        return self.judged(change, writes, before, after)

    def judged(self, change: proposed.Change, writes: list[Written], before: Any, after: Any) -> str:
        own = change.key in self.draft or (
            bool(writes) and self.device[1] is not None and writes[-1].device == self.device
        )
        unseen = self.unseen(writes, before, own)
        if not isinstance(change, proposed.Put | proposed.Remove | proposed.Merge):
            return self.write(change, before, after, unseen, "APPLIED")
        merge = isinstance(change, proposed.Merge)
        if self.base_holds(change.base, before, writes):
            blindly = merge and isinstance(change.base, proposed.AnyState)
            return self.write(change, before, after, unseen if blindly else None, "APPLIED")
        if own and self.knows(change.base, unseen):
            return self.write(change, before, after, unseen, "APPLIED")
        objects = isinstance(before, dict) and isinstance(after, dict)
        if isinstance(change, proposed.Merge) and objects and self.untouched(change, before, writes, unseen, own):
            return self.write(change, before, after, unseen, "MERGED")
        if self.policy == "LAST_WRITER_WINS":
            return self.write(change, before, after, unseen if merge else None, "APPLIED")
        if self.policy == "MERGE" and objects:
            if merge:
                return self.write(change, before, after, unseen, "MERGED")
            if isinstance(change, proposed.Put) and isinstance(change.base, proposed.AtValue):
                return self.merged(change, json.loads(change.base.value), before, after, unseen)
        return "CONFLICT"

    def unseen(self, writes: list[Written], before: Any, own: bool) -> int | None:
        """The last version by somebody else that is part of the value and that the device does not know."""
        if before is GONE:
            return None
        if own:
            return writes[-1].unseen
        return None if _known(writes[-1], *self.seen) else writes[-1].version

    def knows(self, base: proposed.Base, unseen: int | None) -> bool:
        """Whether the device has looked at what it had not seen when it wrote last."""
        if unseen is None:
            return True
        if isinstance(base, proposed.AtVersion):
            return base.version >= unseen
        return isinstance(base, proposed.AtCheckpoint) and self.seen[0] >= unseen

    def base_holds(self, base: proposed.Base, before: Any, writes: list[Written]) -> bool:
        match base:
            case proposed.AnyState():
                return True
            case proposed.Absent() | proposed.AtVersion(version=0):
                return before is GONE
            case proposed.AtVersion(version=version):
                return bool(writes) and writes[-1].version == version
            case proposed.AtValue(value=text):
                return equal(before, json.loads(text))
            case proposed.AtCheckpoint():
                unseen = [write for write in writes if not _known(write, *self.seen)]
                return not unseen or (before is GONE and self.seen == (0, 0))

    def untouched(
        self, change: proposed.Merge, before: dict[str, Any], writes: list[Written], unseen: int | None, own: bool
    ) -> bool:
        """Whether no field of the patch was written by somebody else since; a commit seen in part is not seen."""
        patch = json.loads(change.patch)
        if not isinstance(patch, dict):
            return False
        names = set(patch)
        if own and unseen is not None:
            # What the device itself merged on top of what it had not seen, it knows.
            whole = max((number for number, write in enumerate(writes) if write.fields is None), default=-1)
            for write in writes[whole + 1 :]:
                if write.version > unseen and write.fields is not None:
                    names -= write.fields
        match change.base:
            case proposed.AtValue(value=text):
                was = json.loads(text)
                return isinstance(was, dict) and all(
                    equal(was.get(name, GONE), before.get(name, GONE)) for name in names
                )
            case proposed.AtVersion(version=version):
                if not 0 < version < writes[-1].version:
                    return False
                later = [write for write in writes if write.version > version]
            case proposed.AtCheckpoint():
                if self.seen == (0, 0):
                    return False
                later = [write for write in writes if write.version > self.seen[0]]
            case _:
                return False
        return not names or all(write.fields is not None and not write.fields & names for write in later)

    def merged(
        self, change: proposed.Put, base: Any, before: dict[str, Any], after: dict[str, Any], unseen: int | None
    ) -> str:
        """The three-way merge of MERGE."""
        if not isinstance(base, dict):
            return "CONFLICT"
        result = rebased(base, after, before)
        if equal(result, before):
            return "UNCHANGED"
        return self.write(change, before, result, unseen, "MERGED")

    def write(self, change: proposed.Change, before: Any, after: Any, unseen: int | None, status: str) -> str:
        fields: frozenset[str] | None = None
        if isinstance(change, proposed.Merge) and isinstance(before, dict):
            patch = json.loads(change.patch)
            fields = frozenset(patch) if isinstance(patch, dict) else None
        writes = self.draft.setdefault(change.key, [])
        place = writes[0].place if writes else len(self.draft) - 1
        writes.append(Written(self.dataset.version + 1, place, self.device, after, fields, unseen))
        return status

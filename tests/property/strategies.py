"""What Hypothesis draws the core's inputs from: few keys, few fields and small numbers, so that things meet."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from syncline.core import changes as c
from syncline.core.checkpoint import START, Since
from syncline.core.ids import DatasetId, RecordKey, Version
from syncline.core.json_values import JsonText
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, Position
from syncline.core.pages import PageRequest, RecordFilter
from syncline.errors import SynclineError
from tests.support.core_builders import DATASET, NAME, ROOMY, author, checkpoint, js, request
from tests.support.memory_log import MemoryLog

DEVICES = ("phone", "tablet", "laptop", "watch", None)
KEYS = ("a", "b", "ab", "é")
FIELDS = ("x", "y", "z")

# Halves are exact in binary, so their sums do not depend on the order.
exact_numbers = st.integers(-6, 6) | st.integers(-6, 6).map(lambda n: n / 2)
texts = st.text('aé\n"\\ ', max_size=3)
scalars = st.none() | st.booleans() | exact_numbers | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(st.sampled_from(FIELDS), scalars | json_values, max_size=3)
documents = st.one_of(json_objects, json_objects, exact_numbers, texts, st.lists(scalars, max_size=3), json_values)
keys = st.sampled_from(KEYS).map(RecordKey)
policies = st.sampled_from(ConflictPolicy)
members = st.lists(scalars.map(js), max_size=3).map(tuple)

bases: st.SearchStrategy[c.Base] = st.one_of(
    st.just(c.AT_CHECKPOINT),
    st.just(c.AT_CHECKPOINT),
    st.integers(0, 8).map(lambda version: c.AtVersion(Version(version))),
    documents.map(lambda value: c.AtValue(js(value))),
    st.just(c.Absent()),
    st.just(c.AnyState()),
)


def puts(key: st.SearchStrategy[RecordKey] = keys) -> st.SearchStrategy[c.Put]:
    return st.builds(c.Put, key=key, value=documents.map(js), base=bases, device_time=st.none())


def merges(key: st.SearchStrategy[RecordKey] = keys) -> st.SearchStrategy[c.Merge]:
    patches = st.one_of(json_objects, json_objects, json_values).map(js)
    return st.builds(c.Merge, key=key, patch=patches, base=bases, device_time=st.none())


def based_changes(key: st.SearchStrategy[RecordKey] = keys) -> st.SearchStrategy[c.BasedChange]:
    return puts(key) | merges(key) | st.builds(c.Remove, key=key, base=bases, device_time=st.none())


def commutative_changes(key: st.SearchStrategy[RecordKey] = keys) -> st.SearchStrategy[c.CommutativeChange]:
    no_time = st.none()
    return st.one_of(
        st.builds(c.Increment, key=key, by=exact_numbers.map(float), device_time=no_time),
        st.builds(c.Max, key=key, value=(exact_numbers | texts).map(js), device_time=no_time),
        st.builds(c.Min, key=key, value=(exact_numbers | texts).map(js), device_time=no_time),
        st.builds(c.AddToSet, key=key, members=members, device_time=no_time),
        st.builds(c.RemoveFromSet, key=key, members=members, device_time=no_time),
    )


def changes() -> st.SearchStrategy[c.Change]:
    return st.one_of(based_changes(), based_changes(), commutative_changes())


limits = st.builds(
    Limits,
    datasets=st.integers(1, 3),
    dataset_bytes=st.integers(4, 60),
    records=st.integers(1, 4),
    key_bytes=st.integers(1, 3),
    changes_per_sync=st.integers(1, 6),
)

filters = st.builds(
    RecordFilter,
    prefix=st.sampled_from(("", "a", "ab", "q")),
    skip_author=st.sampled_from((None, author("phone"), author("tablet"))),
)
page_requests = st.builds(
    PageRequest, first=st.integers(1, 4), max_bytes=st.none() | st.integers(1, 40), filter=filters
)


@dataclass(frozen=True)
class Step:
    """One sync of a history. ``behind``: how many versions its device has not seen; None: it sends no checkpoint."""

    device: str | None
    behind: int | None
    changes: tuple[c.Change, ...]
    policy: ConflictPolicy | None
    atomic: bool

    def since(self, log: MemoryLog, dataset: DatasetId = DATASET) -> Since | None:
        if self.behind is None:
            return None
        head = log.heads.get(dataset)
        return START if head is None else checkpoint(max(0, head.version - self.behind))


steps = st.builds(
    Step,
    device=st.sampled_from(DEVICES),
    behind=st.none() | st.integers(0, 3),
    changes=st.lists(changes(), max_size=4).map(tuple),
    policy=st.none() | policies,
    atomic=st.booleans(),
)


def run(log: MemoryLog, step: Step, mutation: str, *, limits: Limits = ROOMY) -> None:
    """Do the step; what it is refused for does not matter here."""
    try:
        log.sync(
            request(
                *step.changes,
                device=step.device,
                since=step.since(log),
                mutation=mutation,
                on_conflict=step.policy,
                atomic=step.atomic,
                limits=limits,
            )
        )
    except SynclineError:
        return


def log_of(history: list[Step]) -> MemoryLog:
    """A dataset, DATASET of name NAME, with this history. It exists, even if all was refused."""
    log = MemoryLog()
    log.sync(request(mutation="create"))
    assert log.heads[DATASET].name == NAME
    for number, step in enumerate(history):
        run(log, step, f"h-{number}")
    return log


histories = st.lists(steps, max_size=8).map(log_of)
forced = st.builds(
    Step,
    device=st.sampled_from(DEVICES),
    behind=st.just(0),
    changes=st.lists(based_changes(), min_size=1, max_size=3).map(tuple),
    policy=st.just(ConflictPolicy.LAST_WRITER_WINS),
    atomic=st.just(False),
)
_FIRST = Step("tablet", 0, (c.Put(key=RecordKey("a"), value=js({"x": 1})),), None, atomic=True)
busy_histories = st.lists(forced, min_size=2, max_size=10).map(lambda history: log_of([_FIRST, *history]))
"""Histories in which nearly everything is written, and something at least."""


def values(log: MemoryLog, dataset: DatasetId = DATASET) -> dict[RecordKey, JsonText]:
    """The live records."""
    return {key: r.value for key, r in log.records.get(dataset, {}).items() if r.value is not None}


@st.composite
def positions(draw: st.DrawFn, log: MemoryLog) -> Position:
    """Where a device may stand: anywhere in the log."""
    version = draw(st.integers(0, log.heads[DATASET].version))
    offset = 0 if version == log.heads[DATASET].version else draw(st.integers(0, 3))
    return Position(Version(version), offset)

"""Five devices against the pure core, and an oracle that knows what each of them has to be answered and to hold."""

from __future__ import annotations

import itertools
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, invariant, multiple, rule

from syncline.core.changes import Change
from syncline.core.checkpoint import START, Checkpoint, Since
from syncline.core.commit import Decision, Replay, Resync, SyncRequest, Write
from syncline.core.ids import DatasetId, DatasetName, Epoch, MutationId, RecordKey
from syncline.core.json_values import JsonText, parsed
from syncline.core.limits import Limits
from syncline.core.model import ConflictPolicy, DatasetRef
from syncline.core.pages import PageRequest
from syncline.errors import SynclineError
from tests.property import strategies as own
from tests.support import oracle as expected
from tests.support.core_builders import EPOCH, NOW, viewer
from tests.support.memory_log import MemoryLog

NAMES = (DatasetName("notes"), DatasetName("settings"))
LIMITS = Limits(datasets=2, dataset_bytes=90, records=3, key_bytes=2, changes_per_sync=4)
BOUNDS = expected.Bounds(datasets=2, dataset_bytes=90, records=3, key_bytes=2, changes_per_sync=4)


@dataclass
class Replica:
    """What a device holds of one dataset."""

    since: Since = START
    begun: int = 0
    """The dataset's version when this device began with nothing."""
    values: dict[RecordKey, JsonText] = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """A sync that was sent; its device may never have got the answer."""

    device: str | None
    name: DatasetName
    request: SyncRequest
    begun: int


@dataclass(frozen=True)
class Edit:
    """What a device wants of a sync."""

    device: str | None
    name: DatasetName
    changes: tuple[Change, ...]
    policy: ConflictPolicy | None
    atomic: bool
    names_position: str


edits = st.builds(
    Edit,
    device=st.sampled_from(own.DEVICES),
    name=st.sampled_from((NAMES[0], NAMES[0], NAMES[0], NAMES[1])),
    changes=st.lists(own.changes(), max_size=5).map(tuple),
    policy=st.none() | own.policies,
    atomic=st.booleans(),
    names_position=st.sampled_from(("checkpoint", "checkpoint", "start", "nothing")),
)


def plain(since: Since | None, begun: int) -> expected.Since:
    """A checkpoint as the oracle takes it."""
    if isinstance(since, Checkpoint):
        return (since.epoch, since.dataset, since.position.version, since.position.offset, begun)
    return since


class CoreAgainstOracle(RuleBasedStateMachine):
    """Whatever the devices do, the core answers as the oracle does and keeps what the oracle keeps."""

    sent: Bundle[Sent] = Bundle("sent")

    @initialize()
    def start(self) -> None:
        self.log = MemoryLog()
        self.oracle = expected.Oracle(EPOCH, BOUNDS)
        self.replicas = {(device, name): Replica() for device in own.DEVICES for name in NAMES}
        self.ids = (f"{number:032x}" for number in itertools.count(1))
        self.epochs = (f"{number:016x}" for number in itertools.count(1))
        self.mutations = itertools.count(1)
        self.backup = deepcopy((self.log, self.oracle))

    # --- what devices do ----------------------------------------------------------------------------------------------

    @rule(target=sent, edits=st.lists(edits, min_size=1, max_size=4))
    def sync(self, edits: list[Edit]) -> MultipleResults[Sent]:
        """Whether the device hears the answer or not: it pulls, or retries, in steps of their own."""
        return multiple(*(self.send(edit) for edit in edits))

    def send(self, edit: Edit) -> Sent:
        held = self.replicas[edit.device, edit.name]
        request = SyncRequest(
            viewer=viewer(edit.device),
            ref=DatasetRef(name=edit.name),
            since={"checkpoint": held.since, "start": START, "nothing": None}[edit.names_position],
            mutation_id=MutationId(f"m-{next(self.mutations)}"),
            changes=edit.changes,
            on_conflict=edit.policy,
            atomic=edit.atomic,
            limits=LIMITS,
            now=NOW,
            new_dataset_id=DatasetId(next(self.ids)),
        )
        sent = Sent(edit.device, edit.name, request, held.begun)
        self.compare(sent)
        return sent

    @rule(earlier=sent, from_now=st.booleans())
    def retry(self, earlier: Sent, from_now: bool) -> None:
        """The same sync again, from where the device stood or from where it stands."""
        now = self.replicas[earlier.device, earlier.name]
        since, begun = (now.since, now.begun) if from_now else (earlier.request.since, earlier.begun)
        again = replace(earlier.request, since=since, new_dataset_id=DatasetId(next(self.ids)))
        self.compare(replace(earlier, request=again, begun=begun))

    @rule(earlier=sent, changes=st.lists(own.changes(), min_size=1, max_size=2).map(tuple))
    def reuse_the_mutation_id(self, earlier: Sent, changes: tuple[Change, ...]) -> None:
        again = replace(earlier.request, changes=changes, new_dataset_id=DatasetId(next(self.ids)))
        self.compare(replace(earlier, request=again))

    @rule(
        device=st.sampled_from(own.DEVICES),
        name=st.sampled_from(NAMES),
        first=st.integers(1, 3),
        times=st.integers(1, 3),
    )
    def pull_pages(self, device: str | None, name: DatasetName, first: int, times: int) -> None:
        for _ in range(times):
            self.pull(device, name, PageRequest(first=first))

    # --- what happens to the dataset ----------------------------------------------------------------------------------

    @rule(
        event=st.sampled_from(("policy", "policy", "prune", "prune", "delete", "back up", "restore")),
        name=st.sampled_from(NAMES),
        policy=own.policies,
        share=st.integers(0, 4),
    )
    def something_happens(self, event: str, name: DatasetName, policy: ConflictPolicy, share: int) -> None:
        dataset = self.oracle.names.get(name)
        match event:
            case "back up":
                self.backup = deepcopy((self.log, self.oracle))
            case "restore":
                # Commits since the backup are lost; the new epoch says so.
                self.log, self.oracle = deepcopy(self.backup)
                self.oracle.epoch = self.log.epoch = Epoch(next(self.epochs))
            case "policy" if dataset is not None:
                dataset.policy = policy.value
                id_ = DatasetId(dataset.id)
                self.log.heads[id_] = replace(self.log.heads[id_], conflict_policy=policy)
            case "prune" if dataset is not None:
                through = dataset.version * share // 4
                dataset.prune(through)
                self.log.prune(DatasetId(dataset.id), through)
            case "delete" if dataset is not None:
                del self.oracle.names[name]
                self.log.delete(DatasetRef(name=name))

    # --- what is compared ---------------------------------------------------------------------------------------------

    def compare(self, sent: Sent) -> None:
        asked = sent.request
        before = deepcopy(self.log)
        answer = self.oracle.sync(
            (asked.viewer.identity, asked.viewer.device),
            sent.name,
            plain(asked.since, sent.begun),
            asked.mutation_id,
            asked.changes,
            policy=asked.on_conflict,
            atomic=asked.atomic,
            new_id=asked.new_dataset_id,
        )
        decision: Decision | SynclineError
        try:
            decision = self.log.sync(asked)
        except SynclineError as error:
            decision = error
        match decision:
            case SynclineError():
                assert (answer.kind, answer.why) == ("refused", decision.code)
                assert self.log == before
            case Resync():
                assert (answer.kind, answer.why) == ("resync", decision.reason)
                assert self.log == before
            case Replay():
                assert answer.outcomes == tuple((o.status, o.code) for o in decision.receipt.outcomes)
                assert answer.kind == ("applied" if decision.receipt.version is not None else "conflicted")
                assert answer.version == decision.receipt.version
                assert self.log == before
            case Write():
                assert answer.outcomes == tuple((o.status, o.code) for o in decision.outcomes)
                assert answer.kind == ("conflicted" if decision.conflicted else "applied")

    def pull(self, device: str | None, name: DatasetName, page: PageRequest) -> bool:
        """Apply a page, or begin anew when told to. Whether there is more to pull."""
        replica = self.replicas[device, name]
        read = self.log.read(DatasetRef(name=name), replica.since, page)
        dataset = self.oracle.names.get(name)
        since = plain(replica.since, replica.begun)
        lost = self.oracle.lost(since, dataset) if isinstance(since, tuple) else None
        assert read.reason == lost
        if read.reason is not None:
            self.replicas[device, name] = Replica()
            return True
        if read.head is None or read.page is None:
            assert dataset is None
            return False
        assert dataset is not None
        at = (since[2], since[3]) if isinstance(since, tuple) else (0, 0)
        if at == (0, 0):
            replica.begun = dataset.version
        due = dataset.missing(*at)
        assert [record.key for record in read.page.records] == [key for key, _ in due[: page.first]]
        assert read.page.has_more == (len(due) > page.first)
        for record in read.page.records:
            if record.value is None:
                replica.values.pop(record.key, None)
            else:
                replica.values[record.key] = record.value
        replica.since = Checkpoint(read.epoch, read.head.id, read.page.position)
        return read.page.has_more

    @invariant()
    def the_core_keeps_what_the_oracle_keeps(self) -> None:
        live = {head.name: head for head in self.log.heads.values() if head.deleted_at is None}
        assert {name: head.id for name, head in live.items()} == {n: d.id for n, d in self.oracle.names.items()}
        for name, dataset in self.oracle.names.items():
            head = live[DatasetName(name)]
            values = dataset.live()
            assert head.version == dataset.version
            assert head.record_count == len(values)
            assert head.size_bytes == dataset.size()
            assert head.conflict_policy == dataset.policy
            self.same_values(own.values(self.log, head.id), values)

    def same_values(self, held: dict[RecordKey, JsonText], values: dict[str, Any]) -> None:
        assert {key: expected.meaning(parsed(text)) for key, text in held.items()} == {
            key: expected.meaning(value) for key, value in values.items()
        }

    def teardown(self) -> None:
        """After quiescence every device holds what the oracle holds."""
        for device, name in self.replicas:
            while self.pull(device, name, PageRequest(first=2)):
                pass
            dataset = self.oracle.names.get(name)
            replica = self.replicas[device, name]
            self.same_values(replica.values, {} if dataset is None else dataset.live())


TestFiveDevicesAgainstTheOracle = CoreAgainstOracle.TestCase
TestFiveDevicesAgainstTheOracle.settings = settings(stateful_step_count=25)

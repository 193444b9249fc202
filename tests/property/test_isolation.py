"""Nobody ever sees, or touches, what its role does not allow: random acts of all identities, each followed by a probe.

Four identities of two tenants, two of which have the same name, act at random on each other's datasets by whatever
names, ids, checkpoints, mutation ids, invitations and cursors they ever came across. A table of roles is the oracle.
Every value, key and name holds a mark of its dataset, so that an answer tells whose data is in it.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syncline.api.guard import DocumentLimits
from syncline.core.checkpoint import Checkpoint, ResyncReason
from syncline.core.commit import Resync
from syncline.core.events import AccessEnded, DatasetDeleted, FeedEvent
from syncline.core.ids import DatasetId, DatasetName, DeviceId, IdentityId, identity_id, shown, tenant, tenant_of
from syncline.core.limits import Limits
from syncline.core.model import BEGINNING, Commit, Viewer
from tests.support.world import Watcher, World
from tests.unit.api.conftest import Api

ACME, OTHER = tenant("acme"), tenant("other")
EVERYONE = [
    Viewer(identity=identity_id(name, where), device=DeviceId("phone"))
    for name, where in (("alice", ACME), ("bob", ACME), ("alice", OTHER), ("carol", OTHER))
]
NAMES = ["notes", "lists"]
MARK = re.compile(r"mark([0-9a-z]+)\.")
NOT_FOUND, FORBIDDEN = "DATASET_NOT_FOUND", "FORBIDDEN"

READ = """query($d: DatasetRef!, $since: Checkpoint!) {
  dataset(dataset: $d) { id name role records { nodes { key value } } members { nodes { identityId } }
    invitations { id } record(key: "shared") { value } }
  changes(dataset: $d, since: $since) { ... on ChangePage { checkpoint records { key value } }
    ... on ResyncRequired { datasetId } } }"""
LIST = "query($scope: DatasetScope) { datasets(scope: $scope, first: 500) { nodes { id name role ownerId } } }"
SYNC = """mutation($input: SyncInput!) { sync(input: $input) { __typename
  ... on SyncApplied { dataset { id } checkpoint records { key value } results { status } }
  ... on ResyncRequired { datasetId } } }"""
SHARE = """mutation($d: DatasetRef!, $who: ID!, $role: Role!) {
  shareDataset(dataset: $d, identityId: $who, role: $role) { role } }"""
REMOVE = "mutation($d: DatasetRef!, $who: ID!) { removeMember(dataset: $d, identityId: $who) { identityId } }"
LEAVE = "mutation($d: DatasetRef!) { leaveDataset(dataset: $d) { datasetId } }"
TRANSFER = "mutation($d: DatasetRef!, $who: ID!) { transferOwnership(dataset: $d, identityId: $who) { ownerId } }"
INVITE = "mutation($i: CreateInvitationInput!) { createInvitation(input: $i) { code } }"
ACCEPT = "mutation($code: String!) { acceptInvitation(code: $code) { id role } }"
DELETE = "mutation($d: DatasetRef!) { deleteDataset(dataset: $d) { datasetId } }"


@dataclass
class Known:
    """A dataset in the table of roles."""

    id: str
    name: str
    owner: IdentityId
    members: dict[IdentityId, str] = field(default_factory=dict)
    deleted: bool = False

    def role_of(self, identity: IdentityId) -> str | None:
        return "OWNER" if self.owner == identity else self.members.get(identity)


@dataclass
class Code:
    text: str
    dataset: Known
    role: str
    uses_left: int


class Table:
    """The oracle, and all that anybody ever came across."""

    def __init__(self) -> None:
        self.datasets: dict[str, Known] = {}
        self.codes: list[Code] = []
        self.checkpoints = ["start"]
        self.mutation_ids = ["m0"]

    def named(self, owner: IdentityId, name: str) -> Known | None:
        return next((k for k in self.datasets.values() if k.owner == owner and k.name == name and not k.deleted), None)

    def sees(self, identity: IdentityId, dataset: str) -> bool:
        known = self.datasets.get(dataset)
        return known is not None and known.role_of(identity) is not None


class Run:
    """One random history. ``marks`` finds in any answer whose data it holds."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api = api
        self.random = random.Random(seed)  # noqa: S311
        self.table = Table()
        self.count = 0
        self.refused = {NOT_FOUND: 0, FORBIDDEN: 0}

    # --- asking --------------------------------------------------------------------------------------------------

    def someone(self) -> Viewer:
        return self.random.choice(EVERYONE)

    def some_dataset(self) -> Known | None:
        return self.random.choice(list(self.table.datasets.values())) if self.table.datasets else None

    async def ask(self, query: str, by: Viewer, **variables: Any) -> tuple[Any, str | None]:
        """The data and the code of the error. Whatever it is, it must hold nothing that the asker may not see."""
        answer = await self.api(query, by, **variables)
        self.check(by, answer)
        codes = [error["extensions"]["code"] for error in answer.get("errors") or []]
        assert not {"INTERNAL", "UNAUTHENTICATED", "GRAPHQL_VALIDATION_FAILED"} & set(codes), answer
        for code in codes:
            self.refused[code] = self.refused.get(code, 0) + 1
        return answer.get("data"), codes[0] if codes else None

    def check(self, by: Viewer, answer: Any) -> None:
        for mark in MARK.findall(json.dumps(answer)):
            assert self.table.sees(by.identity, mark), (by, answer)

    def ref(self, by: Viewer) -> tuple[dict[str, str], Known | None]:
        """A dataset to name, by id mostly, and the one that the viewer means by that."""
        known = self.some_dataset()
        if known is None or self.random.random() < 0.3:
            name = self.random.choice(NAMES)
            return {"name": name}, self.table.named(by.identity, name)
        return {"id": known.id}, known

    def expected(self, by: Viewer, known: Known | None, *, needs: str) -> str | None:
        """The code of the refusal by the table of roles; None: it is allowed."""
        role = None if known is None else known.role_of(by.identity)
        if known is None or role is None:
            return NOT_FOUND
        if known.deleted:
            return "DATASET_DELETED"
        if (needs == "write" and role == "VIEWER") or (needs == "own" and role != "OWNER"):
            return FORBIDDEN
        return None

    # --- acts ----------------------------------------------------------------------------------------------------

    async def act(self) -> None:
        by = self.someone()
        acts = [self.write, self.write, self.write, self.share, self.share, self.remove, self.leave]
        acts += [self.invite, self.accept, self.accept, self.transfer]
        await self.random.choice([*acts, *([self.delete] if self.random.random() < 0.2 else [])])(by)

    async def write(self, by: Viewer) -> None:
        given, known = self.ref(by)
        self.count += 1
        fresh = self.random.random() < 0.8
        name = f"m{self.count}" if fresh else self.random.choice(self.table.mutation_ids)
        mark = f"mark{known.id}." if known is not None else f"new{self.count}"
        change = {"put": {"key": "shared", "value": mark, "base": {"any": True}}}
        variables: dict[str, Any] = {"dataset": given, "mutationId": name, "changes": [change]}
        if self.random.random() < 0.5:
            variables["since"] = self.random.choice(self.table.checkpoints)
        data, code = await self.ask(SYNC, by, input=variables)
        self.table.mutation_ids.append(name)
        refused = self.expected(by, known, needs="write")
        if refused is not None and not (refused == NOT_FOUND and "name" in given):
            # A device may ask for the outcome of its own sync again, whatever its role is now.
            assert code == refused or (refused == FORBIDDEN and code is None and not fresh) or self.not_led(data, code)
            return
        if code is not None or data["sync"]["__typename"] != "SyncApplied":
            return
        made = data["sync"]["dataset"]["id"]
        if made not in self.table.datasets:
            assert "name" in given
            self.table.datasets[made] = Known(made, given["name"], by.identity)
        self.table.checkpoints.append(data["sync"]["checkpoint"])
        assert self.table.datasets[made].role_of(by.identity) is not None
        if known is None:
            await self.ask(
                SYNC,
                by,
                input={
                    "dataset": {"id": made},
                    "mutationId": f"{name}-mark",
                    "changes": [{"put": {"key": f"mark{made}.", "value": f"mark{made}.", "base": {"any": True}}}],
                },
            )

    @staticmethod
    def not_led(data: Any, code: str | None) -> bool:
        """The checkpoint, or the mutation id, was of something else: that is told before roles are looked at."""
        return code == "MUTATION_ID_REUSED" or (code is None and data["sync"]["__typename"] == "ResyncRequired")

    async def share(self, by: Viewer) -> None:
        given, known = self.ref(by)
        who = self.someone()
        role = self.random.choice(["EDITOR", "VIEWER"])
        _, code = await self.ask(SHARE, by, d=given, who=shown(who.identity), role=role)
        refused = self.expected(by, known, needs="own")
        # Named by its text, an identity is always one of the asker's own tenant.
        meant = identity_id(shown(who.identity), tenant_of(by.identity))
        if refused is None and known is not None and meant != known.owner:
            assert code is None
            known.members[meant] = role
        else:
            assert code == (refused or "INVALID_INPUT")

    async def remove(self, by: Viewer) -> None:
        given, known = self.ref(by)
        meant = identity_id(shown(self.someone().identity), tenant_of(by.identity))
        _, code = await self.ask(REMOVE, by, d=given, who=shown(meant))
        refused = self.expected(by, known, needs="own")
        if refused is None and known is not None and meant != known.owner:
            assert code is None
            known.members.pop(meant, None)
        else:
            assert code == (refused or "INVALID_INPUT")

    async def leave(self, by: Viewer) -> None:
        given, known = self.ref(by)
        _, code = await self.ask(LEAVE, by, d=given)
        refused = self.expected(by, known, needs="read")
        if refused is None and known is not None and known.owner != by.identity:
            assert code is None
            del known.members[by.identity]
        else:
            assert code == (refused or FORBIDDEN)

    async def transfer(self, by: Viewer) -> None:
        given, known = self.ref(by)
        meant = identity_id(shown(self.someone().identity), tenant_of(by.identity))
        _, code = await self.ask(TRANSFER, by, d=given, who=shown(meant))
        refused = self.expected(by, known, needs="own")
        if refused is not None or known is None:
            assert code == refused
        elif meant == known.owner:
            assert code is None
        elif meant not in known.members:
            assert code == "MEMBER_NOT_FOUND"
        elif self.table.named(meant, known.name) is not None:
            assert code == "DATASET_EXISTS"
        else:
            assert code is None
            del known.members[meant]
            known.members[known.owner] = "EDITOR"
            known.owner = meant

    async def invite(self, by: Viewer) -> None:
        given, known = self.ref(by)
        role, uses = self.random.choice(["EDITOR", "VIEWER"]), self.random.randint(1, 3)
        data, code = await self.ask(INVITE, by, i={"dataset": given, "role": role, "uses": uses})
        assert code == self.expected(by, known, needs="own")
        if code is None and known is not None:
            self.table.codes.append(Code(data["createInvitation"]["code"], known, role, uses))

    async def accept(self, by: Viewer) -> None:
        if not self.table.codes:
            return
        invitation = self.random.choice(self.table.codes)
        known = invitation.dataset
        data, code = await self.ask(ACCEPT, by, code=invitation.text)
        same_tenant = tenant_of(by.identity) == tenant_of(known.owner)
        if not same_tenant or known.deleted:
            assert code == "INVITATION_NOT_FOUND"
        elif (role := known.role_of(by.identity)) is not None:
            assert data["acceptInvitation"] == {"id": known.id, "role": role}
        elif invitation.uses_left:
            assert data["acceptInvitation"] == {"id": known.id, "role": invitation.role}
            invitation.uses_left -= 1
            known.members[by.identity] = invitation.role
        else:
            assert code == "INVITATION_NOT_FOUND"

    async def delete(self, by: Viewer) -> None:
        given, known = self.ref(by)
        _, code = await self.ask(DELETE, by, d=given)
        refused = self.expected(by, known, needs="own")
        assert code == refused
        if refused is None and known is not None:
            known.deleted = True

    # --- probes --------------------------------------------------------------------------------------------------

    async def probe(self) -> None:
        by = self.someone()
        dice = self.random.random()
        if dice < 0.2:
            await self.list(by)
        elif dice < 0.3:
            await self.resume(by)
        else:
            await self.read(by)

    async def read(self, by: Viewer) -> None:
        given, known = self.ref(by)
        data, code = await self.ask(READ, by, d=given, since=self.random.choice(self.table.checkpoints))
        refused = self.expected(by, known, needs="read")
        if refused is None and known is not None:
            assert data["dataset"]["role"] == known.role_of(by.identity)
            assert {member["identityId"] for member in data["dataset"]["members"]["nodes"]} == {
                shown(identity) for identity in (known.owner, *known.members)
            }
            return
        assert data is None or data["dataset"] is None
        assert "name" in given or code in (refused, NOT_FOUND)

    async def list(self, by: Viewer) -> None:
        scope = self.random.choice(["ALL", "OWNED", "SHARED"])
        data, _ = await self.ask(LIST, by, scope=scope)
        expected = {
            (known.id, role)
            for known in self.table.datasets.values()
            if not known.deleted and (role := known.role_of(by.identity)) is not None
            if scope == "ALL" or (scope == "OWNED") == (role == "OWNER")
        }
        assert {(node["id"], node["role"]) for node in data["datasets"]["nodes"]} == expected

    async def resume(self, by: Viewer) -> None:
        """Say that one knows a dataset: what is told of it depends on what one was to it."""
        known = self.some_dataset()
        if known is None:
            return
        epoch = await self.api.world.store.epoch()
        since = {DatasetId(known.id): Checkpoint(epoch, DatasetId(known.id), BEGINNING)}
        watcher = Watcher(await self.api.world.subscriptions.identity(by, since, skip_own=False))
        await watcher.settled()
        told = [event for event in watcher.events if isinstance(event, DatasetDeleted | AccessEnded | Resync)]
        await watcher.feed.close()
        if known.role_of(by.identity) is not None:
            deleted = DatasetDeleted(dataset=DatasetId(known.id), name=DatasetName(known.name))
            assert told == ([deleted] if known.deleted else [])
        elif tenant_of(by.identity) == tenant_of(known.owner):
            assert told == [AccessEnded(dataset=DatasetId(known.id))]
        else:
            assert told == [Resync(reason=ResyncReason.DATASET_RECREATED, dataset=DatasetId(known.id))]


async def history(folder: Path, seed: int, pairs: int) -> Run:
    world = await World.open(folder, Limits(datasets=1_000, invitations=10_000))
    run = Run(Api(world, DocumentLimits()), seed)
    listening = [Listening(run, viewer, world) for viewer in EVERYONE]
    try:
        for each in listening:
            await each.start()
        for _ in range(pairs):
            await run.act()
            await run.probe()
        for each in listening:
            await each.stop()
    finally:
        await world.close()
    return run


class Listening:
    """A device that follows everything its identity sees, and looks at each event as it comes."""

    def __init__(self, run: Run, by: Viewer, world: World) -> None:
        self._run = run
        self._by = by
        self._world = world
        self._watcher: Watcher
        self.seen = 0

    async def start(self) -> None:
        feed = await self._world.subscriptions.identity(self._by, None, skip_own=False)
        self._watcher = Watcher(feed, encode=self._look)
        await self._watcher.count(1)

    def _look(self, event: FeedEvent) -> FeedEvent:
        if isinstance(event, Commit):
            known = self._run.table.datasets.get(event.dataset)
            # What it is about to be told of may be made, or shared, by the very act that is being answered.
            if known is not None:
                assert tenant_of(known.owner) == tenant_of(self._by.identity), event
            for record in event.records:
                for mark in MARK.findall(f"{record.key} {record.value}"):
                    assert mark == event.dataset
            self.seen += len(event.records)
        return event

    async def stop(self) -> None:
        await self._watcher.settled()
        assert self._watcher.error is None
        held = {cursor.dataset for cursor in self._datasets()}
        assert held == {
            DatasetId(known.id)
            for known in self._run.table.datasets.values()
            if not known.deleted and known.role_of(self._by.identity) is not None
        }
        assert self.seen
        await self._watcher.feed.close()

    def _datasets(self) -> list[Any]:
        return [cursor.channel for cursor in self._watcher.feed._cursors.values()]


@pytest.mark.parametrize("seed", range(5))
async def test_random_acts_of_two_tenants_never_cross(tmp_path: Path, seed: int) -> None:
    """Ten thousand pairs of an act and a probe in all."""
    run = await history(tmp_path, seed, 2_000)
    assert run.refused[NOT_FOUND] > 100
    assert run.refused[FORBIDDEN] > 10


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 30))
async def test_long_histories_of_two_tenants_never_cross(tmp_path: Path, seed: int) -> None:
    await history(tmp_path, seed, 10_000)

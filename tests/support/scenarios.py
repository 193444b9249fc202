"""Plays ``tests/scenarios/scenarios.json`` with Python's client: what a step says is done, or looked at."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from syncline.client import (
    KEEP_MINE,
    KEEP_THEIRS,
    Conflict,
    ConflictPolicy,
    Dataset,
    Device,
    Resolution,
    Role,
    ServerRefused,
    State,
    SyncReport,
    Value,
)
from syncline.client.backoff import Backoff
from syncline.core.json_values import same_value
from syncline.errors import SynclineError
from tests.support.lossy_proxy import LossyProxy, lossy_proxy
from tests.support.server import PATIENCE_SECONDS, RunningServer

FILE: Final = Path(__file__).parents[1] / "scenarios" / "scenarios.json"
_DEVICES: Final = {"phone": "alice", "laptop": "alice"}
_PUSH: Final = b"mutationId"
_WORDS: Final = {"SERVER_UNREACHABLE": "OFFLINE"}
"""Codes for which the file has another word than Python's client."""

Step = Mapping[str, Any]


def scenarios() -> list[Step]:
    found: list[Step] = json.loads(FILE.read_text("utf-8"))["scenarios"]
    return found


def settings() -> dict[str, str]:
    """Of the server that all scenarios are played on."""
    found: dict[str, str] = json.loads(FILE.read_text("utf-8"))["server"]
    return found


async def play(scenario: Step, server: RunningServer, folder: Path) -> None:
    """Raises AssertionError naming the step that did not go as the scenario says."""
    policy = ConflictPolicy(scenario["conflictPolicy"]) if "conflictPolicy" in scenario else None
    run = uuid.uuid4().hex[:8]
    async with AsyncExitStack() as stack:
        stage = Stage(server)
        for name, person in scenario.get("devices", _DEVICES).items():
            actor = _Actor(
                identity=f"{person}-{run}",
                token=server.token(name, f"{person}-{run}"),
                cache=folder / f"{name}.db",
                proxy=await stack.enter_async_context(lossy_proxy(server.port)),
                policy=policy,
            )
            stack.push_async_callback(actor.close)
            stage.actors[name] = actor
        for number, step in enumerate(scenario["steps"], 1):
            try:
                await stage.act(step)
            except Exception as error:
                raise AssertionError(f"step {number}, {json.dumps(step, ensure_ascii=True)}: {error}") from error


class _Actor:
    """A device of the scenario, with a line of its own to the server."""

    def __init__(
        self, *, identity: str, token: str, cache: Path, proxy: LossyProxy, policy: ConflictPolicy | None
    ) -> None:
        self.identity = identity
        self.proxy = proxy
        self.invitation: str | None = None
        self.looked_at: Conflict | None = None
        self._token = token
        self._cache = cache
        self._policy = policy
        self._devices: list[Device] = []
        self._dataset_id: str | None = None
        self.reopen()

    def reopen(self) -> None:
        """Another client on the same file. The one before is left as a crash leaves it: not closed."""
        device = Device(
            self.proxy.url,
            token=self._token,
            cache=self._cache,
            attempts=3,
            backoff=lambda: Backoff(shortest=timedelta(milliseconds=1), longest=timedelta(milliseconds=5)),
        )
        self._devices.append(device)
        self.open(self._dataset_id)

    def open(self, dataset_id: str | None) -> None:
        self._dataset_id = dataset_id
        if dataset_id is None:
            self.notes = self.device.dataset("notes", conflict_policy=self._policy)
        else:
            self.notes = self.device.dataset(id=dataset_id, conflict_policy=self._policy)

    @property
    def device(self) -> Device:
        return self._devices[-1]

    async def close(self) -> None:
        for device in self._devices:
            await device.close()


class Stage:
    """Where a scenario is played."""

    def __init__(self, server: RunningServer) -> None:
        self.actors: dict[str, _Actor] = {}
        self._server = server

    async def act(self, step: Step) -> None:
        """Do what the step says."""
        rest = {name: value for name, value in step.items() if name not in ASIDES}
        assert len(rest) == 1, f"a step says one thing: {sorted(rest)}"
        [(kind, argument)] = rest.items()
        assert kind in KINDS, f"no such step: {kind}"
        with _refused(step.get("refused")):
            answer = await KINDS[kind](self, step, argument)
            if "answers" in step:
                assert answer is step["answers"], f"answers {answer}"

    def actor(self, step: Step) -> _Actor:
        return self.actors[step["device"]]

    def notes(self, step: Step) -> Dataset:
        return self.actor(step).notes

    # --- edits --------------------------------------------------------------------------------------------------------

    async def edit(self, step: Step, _argument: Any) -> None:
        _edit(self.notes(step), {name: value for name, value in step.items() if name in EDITS})

    async def transaction(self, step: Step, edits: Sequence[Step]) -> None:
        notes = self.notes(step)
        with notes.transaction():
            for edit in edits:
                _edit(notes, edit)

    async def retry(self, step: Step, key: str) -> bool:
        [edit] = [edit for edit in self.notes(step).parked() if edit.key == key]
        return self.notes(step).retry(edit)

    async def discard(self, step: Step, key: str) -> bool:
        [edit] = [edit for edit in self.notes(step).parked() if edit.key == key]
        return self.notes(step).discard(edit)

    # --- the network and the app --------------------------------------------------------------------------------------

    async def goes(self, step: Step, where: str) -> None:
        proxy = self.actor(step).proxy
        if where == "offline":
            proxy.refuse()
        else:
            assert where == "online"
            proxy.lead_to(self._server.port)

    async def loses(self, step: Step, what: str) -> None:
        assert what == "answer"
        self.actor(step).proxy.refuse_after_losing_answer_to(_PUSH)

    async def reopen(self, step: Step, _: Any) -> None:
        self.actor(step).reopen()

    async def server(self, _step: Step, what: str) -> None:
        if what == "killed and started":
            self._server.kill()
        else:
            assert what == "restored"
            self._server.stop()
            self._server.renew_epoch()
        self._server.start()

    # --- synchronizing ------------------------------------------------------------------------------------------------

    async def synchronize(self, step: Step, handlers: Step) -> None:
        unknown = handlers.keys() - {"onConflict", "onDatasetDeleted", "onResync"}
        assert not unknown, unknown
        given: dict[str, Any] = {}
        if "onConflict" in handlers:
            given["on_conflict"] = lambda _: _decision(handlers["onConflict"])
        if "onDatasetDeleted" in handlers:
            given["on_dataset_deleted"] = lambda _: _decision(handlers["onDatasetDeleted"])
        if "onResync" in handlers:
            given["on_resync"] = lambda _: _decision(handlers["onResync"])
        report = await self._with_meanwhile(step, self.notes(step).synchronize(**given))
        seen = _plain(report)
        for name, value in step.get("report", {}).items():
            _same(seen[name], value, name)

    async def _with_meanwhile(self, step: Step, synchronizing: Any) -> SyncReport:
        """The steps of ``meanwhile`` are done when the server has answered the push, and the device does not know."""
        if "meanwhile" not in step:
            done: SyncReport = await synchronizing
            return done
        held = self.actor(step).proxy.hold_answer_to(_PUSH)
        under_way: asyncio.Task[SyncReport] = asyncio.create_task(synchronizing)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await held.arrived.wait()
            for each in step["meanwhile"]:
                await self.act(each)
        finally:
            held.let_go.set()
            report = await under_way
        return report

    async def look_at_conflict(self, step: Step, key: str) -> None:
        self.actor(step).looked_at = self._conflict(step, key)

    async def resolve_as_looked_at(self, step: Step, decision: Any) -> bool:
        looked_at = self.actor(step).looked_at
        assert looked_at is not None
        return self.notes(step).resolve(looked_at, _decided(decision))

    async def resolve(self, step: Step, key_and_decision: Sequence[Any]) -> bool:
        key, decision = key_and_decision
        return self.notes(step).resolve(self._conflict(step, key), _decided(decision))

    def _conflict(self, step: Step, key: str) -> Conflict:
        [conflict] = [conflict for conflict in self.notes(step).conflicts() if conflict.key == key]
        return conflict

    # --- sharing ------------------------------------------------------------------------------------------------------

    async def share(self, step: Step, whom_and_role: Sequence[str]) -> None:
        whom, role = whom_and_role
        await self.notes(step).share(self.actors[whom].identity, Role(role))

    async def change_role(self, step: Step, whom_and_role: Sequence[str]) -> None:
        whom, role = whom_and_role
        await self.notes(step).change_role(self.actors[whom].identity, Role(role))

    async def remove_member(self, step: Step, whom: str) -> None:
        await self.notes(step).remove_member(self.actors[whom].identity)

    async def leave(self, step: Step, _: Any) -> None:
        await self.notes(step).leave()

    async def open(self, step: Step, whose: str) -> None:
        dataset_id = self.actors[whose].notes.id
        assert dataset_id is not None
        self.actor(step).open(dataset_id)

    async def invite(self, step: Step, role: str) -> None:
        made = await self.notes(step).invite(Role(role))
        assert [each.id for each in await self.notes(step).invitations()] == [made.id]
        self.actor(step).invitation = made.code

    async def revoke_invitations(self, step: Step, _: Any) -> None:
        for each in await self.notes(step).invitations():
            await self.notes(step).revoke_invitation(each.id)

    async def accept_invitation_of(self, step: Step, whose: str) -> None:
        code = self.actors[whose].invitation
        assert code is not None
        accepted = await self.actor(step).device.accept_invitation(code)
        assert [each.id for each in await self.actor(step).device.datasets()] == [accepted.id]
        self.actor(step).open(accepted.id)

    async def delete_dataset(self, step: Step, _: Any) -> None:
        await self.notes(step).delete()

    # --- looking ------------------------------------------------------------------------------------------------------

    async def expect(self, step: Step, wanted: Step) -> None:
        notes = self.notes(step)
        for name, value in wanted.items():
            match name:
                case "entries":
                    _same(dict(notes.entries()), value, name)
                case "keys":
                    _same([key for key, _ in notes.entries()], value, name)
                case "prefixed":
                    for prefix, keys in value.items():
                        _same([key for key, _ in notes.entries(prefix)], keys, f"entries({prefix!r})")
                case "get":
                    for key, one in value.items():
                        _same(notes.get(key), one, f"get({key!r})")
                case "has":
                    for key, one in value.items():
                        _same(notes.has(key), one, f"has({key!r})")
                case "size":
                    _same(notes.size, value, name)
                case "pending":
                    _same([edit.key for edit in notes.pending()], value, name)
                case "conflicts":
                    _same([_plain_conflict(conflict) for conflict in notes.conflicts()], value, name)
                case "parked":
                    _same_parked(notes, value)
                case "role":
                    _same(notes.role, value, name)
                case _:
                    raise AssertionError(f"nothing to look at: {name}")

    async def all_agree(self, _step: Step, entries: Step) -> None:
        """All synchronize, twice in their order; then all have these records, and nothing to do."""
        for _ in range(2):
            for actor in self.actors.values():
                await actor.notes.synchronize()
        for name, actor in self.actors.items():
            _same(dict(actor.notes.entries()), entries, f"entries of {name}")
            _same([edit.key for edit in actor.notes.pending()], [], f"pending of {name}")


EDITS: Final = {
    "put": "put",
    "remove": "remove",
    "merge": "merge",
    "increment": "increment",
    "max": "max",
    "min": "min",
    "addToSet": "add_to_set",
    "removeFromSet": "remove_from_set",
}
KINDS: Final[Mapping[str, Callable[[Stage, Step, Any], Awaitable[bool | None]]]] = {
    **dict.fromkeys(EDITS, Stage.edit),
    "transaction": Stage.transaction,
    "retry": Stage.retry,
    "discard": Stage.discard,
    "goes": Stage.goes,
    "loses": Stage.loses,
    "reopen": Stage.reopen,
    "server": Stage.server,
    "synchronize": Stage.synchronize,
    "lookAtConflict": Stage.look_at_conflict,
    "resolveAsLookedAt": Stage.resolve_as_looked_at,
    "resolve": Stage.resolve,
    "share": Stage.share,
    "changeRole": Stage.change_role,
    "removeMember": Stage.remove_member,
    "leave": Stage.leave,
    "open": Stage.open,
    "invite": Stage.invite,
    "revokeInvitations": Stage.revoke_invitations,
    "acceptInvitationOf": Stage.accept_invitation_of,
    "deleteDataset": Stage.delete_dataset,
    "expect": Stage.expect,
    "allAgree": Stage.all_agree,
}
ASIDES: Final = frozenset({"device", "refused", "answers", "report", "meanwhile"})


def _edit(notes: Dataset, edit: Step) -> None:
    [(name, arguments)] = edit.items()
    getattr(notes, EDITS[name])(*arguments)


def _decision(text: Any) -> Resolution | None:
    return None if text is None else _decided(text)


def _decided(text: Any) -> Resolution:
    match text:
        case "mine":
            return KEEP_MINE
        case "theirs":
            return KEEP_THEIRS
        case {"value": value}:
            return Value(value)
        case _:
            raise AssertionError(f"no decision: {text}")


@contextmanager
def _refused(code: str | None) -> Iterator[None]:
    """What is done in it is refused with this code; None: it is not refused."""
    if code is None:
        yield
        return
    found = None
    try:
        yield
    except SynclineError as error:
        found = error.refusal if isinstance(error, ServerRefused) else error.code
    assert _WORDS.get(found or "", found) == code, f"refused with {found}, not with {code}"


def _plain(report: SyncReport) -> dict[str, Any]:
    return {
        "pushed": report.pushed,
        "pulled": report.pulled,
        "merged": report.merged,
        "resolved": report.resolved,
        "deleted": report.deleted,
        "resyncs": list(report.resyncs),
        "conflicts": [conflict.key for conflict in report.conflicts],
        "parked": [edit.key for edit in report.parked],
    }


def _plain_conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "key": conflict.key,
        "mine": _plain_state(conflict.mine),
        "theirs": _plain_state(conflict.theirs),
        "base": _plain_state(conflict.base),
        "author": None if conflict.author is None else conflict.author.device,
    }


def _plain_state(state: State) -> dict[str, Any]:
    return {"deleted": True} if state.deleted else {"value": state.value}


def _same_parked(notes: Dataset, wanted: Sequence[Step]) -> None:
    """Only what ``wanted`` names is looked at."""
    parked = [
        {
            "key": edit.key,
            "operation": str(edit.operation),
            "argument": edit.argument,
            "code": edit.code,
            "limit": edit.details.get("limit"),
        }
        for edit in notes.parked()
    ]
    _same([edit["key"] for edit in parked], [edit["key"] for edit in wanted], "parked")
    for found, one in zip(parked, wanted, strict=True):
        _same({name: found[name] for name in one}, one, "parked")


def _same(found: Any, wanted: Any, what: str) -> None:
    assert same_value(found, wanted), f"{what}: {found!r} and not {wanted!r}"

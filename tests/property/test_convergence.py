"""Up to five devices on one dataset, whatever happens to them, to the bus and to the server: in the end all agree.

The oracle keeps its own books, apart from the product's code: every edit leaves a mark of its own (a member of a set,
one unit of a counter, a key that only its device writes), so that a lost edit, or one applied twice, shows at once.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from syncline.core.changes import AddToSet, Change, Remove
from syncline.core.ids import RecordKey, Version
from syncline.core.json_values import json_text, parsed
from syncline.ports import Synced
from tests.support.devices import Device
from tests.support.world import NOTES, World, increment, put, viewer

DEVICES = st.integers(0, 4)
FATES: dict[str, Any] = {
    "arrives": lambda hint: [hint],
    "is lost": lambda hint: [],
    "comes twice": lambda hint: [hint, hint],
    "has no commit": lambda hint: [replace(hint, commit=None)],
    "lies": lambda hint: [replace(hint, version=Version(hint.version + 3), commit=None), hint],
}


class Convergence(RuleBasedStateMachine):
    """Devices, a server behind them, and the books of the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.devices = [Device(f"device {number}") for number in range(5)]
        self.edits = 0
        self.mutations = 0
        self.counter = 0
        self.members: set[str] = set()
        self.own: dict[str, str | None] = {}

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def turn(self) -> None:
        """Let feeds get on with what they have to do."""
        for _ in range(10):
            await asyncio.sleep(0)

    @initialize()
    def start(self) -> None:
        self.world = self.run(World.open(Path(self.folder.name)))

    # --- devices ------------------------------------------------------------------------------------------------------

    @rule(number=DEVICES, kinds=st.lists(st.sampled_from(["set", "counter", "own", "remove"]), min_size=1, max_size=4))
    def edit(self, number: int, kinds: list[str]) -> None:
        device = self.devices[number]
        changes: list[Change] = []
        for kind in kinds:
            self.edits += 1
            mark = f"edit {self.edits}"
            match kind:
                case "set":
                    self.members.add(mark)
                    member = (json_text(mark, field="member"),)
                    changes.append(AddToSet(key=RecordKey("members"), members=member))
                case "counter":
                    self.counter += 1
                    changes.append(increment("counter"))
                case "own":
                    self.own[device.name] = mark
                    changes.append(put(device.name, mark))
                case _:
                    self.own[device.name] = None
                    changes.append(Remove(key=RecordKey(device.name)))
        self.mutations += 1
        device.outbox.append((f"{device.name}: {self.mutations}", tuple(changes)))

    @rule(number=DEVICES, lose_answer=st.booleans())
    def push(self, number: int, lose_answer: bool) -> None:
        device = self.devices[number]
        if device.outbox:
            self.run(self._push(device, lose_answer=lose_answer))

    async def _push(self, device: Device, *, lose_answer: bool) -> None:
        await device.push_first(self.world, atomic=True, lose_answer=lose_answer)
        await self.turn()

    @rule(number=DEVICES)
    def go_online(self, number: int) -> None:
        self.run(self._online(self.devices[number]))

    async def _online(self, device: Device) -> None:
        await device.go_online(self.world)
        await self.turn()

    @rule(number=DEVICES)
    def go_offline(self, number: int) -> None:
        self.run(self.devices[number].go_offline())

    @rule(number=DEVICES, first=st.integers(1, 4))
    def pull(self, number: int, first: int) -> None:
        self.run(self.devices[number].pull(self.world, first=first))

    @rule(number=DEVICES, room=st.integers(0, 2))
    def has_little_room(self, number: int, room: int) -> None:
        self.devices[number].room = room

    # --- the bus and the server ---------------------------------------------------------------------------------------

    @rule(fate=st.sampled_from(sorted(FATES)))
    def hints_meet_their_fate(self, fate: str) -> None:
        self.world.bus.fate = FATES[fate]

    @rule()
    def the_bus_holds_back(self) -> None:
        self.world.bus.holding = True

    @precondition(lambda self: self.world.bus.holding)
    @rule(backwards=st.booleans())
    def the_bus_lets_go(self, backwards: bool) -> None:
        self.world.bus.holding = False
        self.run(self._release(backwards=backwards))

    async def _release(self, *, backwards: bool) -> None:
        self.world.bus.release(backwards=backwards)
        await self.turn()

    @rule()
    def sweep(self) -> None:
        self.run(self._sweep())

    async def _sweep(self) -> None:
        await self.world.sweep()
        await self.turn()

    @rule()
    def the_server_restarts(self) -> None:
        self.run(self._restart())

    async def _restart(self) -> None:
        for device in self.devices:
            await device.go_offline()
        await self.world.close()
        self.world = await World.open(Path(self.folder.name))

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def a_checkpoint_never_moves_ahead_of_the_server(self) -> None:
        if not hasattr(self, "world"):
            return
        head = self.run(self.world.store.dataset(viewer(), NOTES))
        for device in self.devices:
            assert device.version <= (0 if head is None else head.version)

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.run(self._quiesce())
                self.run(self._restart())
                self.run(self._agree())
        finally:
            if hasattr(self, "world"):
                self.run(self.world.close())
            self.runner.close()
            self.folder.cleanup()

    async def _quiesce(self) -> None:
        """Everyone comes back, sends what is waiting, and hears of the rest by the feed alone."""
        self.world.bus.fate = FATES["arrives"]
        self.world.bus.holding = False
        for device in self.devices:
            await device.go_online(self.world)
        for device in self.devices:
            while device.outbox:
                await device.push_first(self.world, atomic=True)
        await self.world.sweep()
        head = await self.world.store.dataset(viewer(), NOTES)
        if head is None:
            return
        async with asyncio.timeout(20):
            for device in self.devices:
                while device.version < head.version or device.behind:
                    if device.behind:
                        await device.pull(self.world)
                    await asyncio.sleep(0.001)

    async def _agree(self) -> None:
        """All devices hold what the server holds, and that is what the oracle's books say."""
        records = await self.world.store.records((await self._id()), first=10_000) if self.edits else []
        server = {record.key: record.value for record in records}
        for device in self.devices:
            assert device.live() == server
        assert parsed(server["counter"]) == self.counter if self.counter else "counter" not in server
        members = parsed(server["members"]) if self.members else []
        assert len(members) == len(self.members)
        assert set(members) == self.members
        for device in self.devices:
            wanted = self.own.get(device.name)
            assert (parsed(server[device.name]) if device.name in server else None) == wanted
        await self._no_gap_in_versions()

    async def _id(self) -> Any:
        head = await self.world.store.dataset(viewer(), NOTES)
        assert head is not None
        return head.id

    async def _no_gap_in_versions(self) -> None:
        """One more commit raises the version by exactly one."""
        head = await self.world.store.dataset(viewer(), NOTES)
        if head is None:
            return
        synced = await self.world.sync(put("one more", self.edits), mutation_id="one more")
        assert isinstance(synced, Synced)
        assert synced.head.version == head.version + 1


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(stateful_step_count=25)


def test_the_machine_notices_a_lost_edit() -> None:
    """The test above can fail: an edit that is dropped before it is sent is missed in the end."""

    class Lossy(Convergence):
        @rule()
        def loses(self) -> None:
            for device in self.devices:
                device.outbox.clear()

    machine = Lossy()
    machine.start()
    machine.edit(0, ["counter"])
    machine.loses()
    with pytest.raises((AssertionError, KeyError)):
        machine.teardown()

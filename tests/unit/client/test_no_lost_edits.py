"""Whatever is edited, sent, lost, answered or crashed in whatever order: every edit has its effect exactly once."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from syncline.client.models import KEEP_THEIRS, Operation, Resolution, Value
from tests.unit.client.core_log import CoreLog
from tests.unit.client.local_device import LocalDevice

_DEVICES = ("phone", "laptop")
_LISTS = ("a", "b")

_ACTIONS = [
    "append",
    "append",
    "add",
    "send",
    "send",
    "take",
    "take",
    "pull",
    "decide",
    "lose",
    "crash",
    "count",
    "send one",
]

_step = st.tuples(st.sampled_from(_DEVICES), st.sampled_from(_ACTIONS), st.sampled_from(["a", "a", "a", "b"]))


def _both(mine: Any, theirs: Any) -> Resolution:
    """What a careful app does: keep what either has."""
    if mine is None:
        return KEEP_THEIRS
    return Value([*(theirs or []), *(tag for tag in mine if tag not in (theirs or []))])


class _World:
    """Two devices that append tags to lists, by reading and putting or as to a set, and count on a counter."""

    def __init__(self, folder: Path) -> None:
        self.log = CoreLog()
        self.devices = {name: LocalDevice(name, folder / f"{name}.db", self.log) for name in _DEVICES}
        self.tags: dict[str, set[int]] = {key: set() for key in _LISTS}
        self.counted = 0

    def run(self, name: str, action: str, key: str) -> None:
        device = self.devices[name]
        match action:
            case "append" | "add":
                tag = sum(map(len, self.tags.values()))
                self.tags[key].add(tag)
                if action == "add":
                    device.edit(key, Operation.ADD_TO_SET, [tag])
                else:
                    device.put(key, [*(device.get(key) or []), tag])
                assert tag in device.get(key), "an edit is seen at once"
            case "count":
                self.counted += 1
                device.edit("counter", Operation.INCREMENT, 1)
            case "send":
                device.send()
            case "send one":
                device.send(max_changes=1)
            case "take":
                device.take_answer()
            case "lose":
                device.answer = None
            case "pull":
                device.pull(page=2)
            case "decide":
                device.resolve_all(_both)
            case "crash":
                device.crash()

    def quiesce(self) -> None:
        for _ in range(2):
            for device in self.devices.values():
                device.take_answer()
                device.quiesce(_both)


@given(steps=st.lists(_step, min_size=8, max_size=40))
def test_every_edit_has_its_effect_once_on_the_server_and_on_all_devices(steps: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder))
        for step in steps:
            world.run(*step)
        world.quiesce()
        stored = world.log.values()
        for key, tags in world.tags.items():
            assert Counter(stored.get(key, [])) == Counter(tags)
        assert stored.get("counter", 0) == world.counted
        for device in world.devices.values():
            assert device.values() == stored
            assert device.local.outbox.edits() == []
            device.close()

"""The ledger of the kill tests finds what must never be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.ledger import COUNTER, HeldRecord, Ledger, PlannedSync

MANY = PlannedSync(
    mutation_id="many", device="phone", dataset="notes", puts={"a": 1, "b": 2}, increment=1, tag_set="tags"
)
BUMP = PlannedSync(mutation_id="bump", device="phone", dataset="notes", increment=1)


@dataclass(frozen=True)
class Held:
    """What a server holds; the default is what ``MANY`` and then ``BUMP`` leave."""

    a: int | None = 1
    b: int | None = 2
    a_version: int = 1
    tags: tuple[str, ...] = ("many",)
    count: int = 2
    version: int = 2

    def records(self) -> dict[str, HeldRecord]:
        values = {"a": self.a, "b": self.b, "tags": list(self.tags) or None, COUNTER: self.count or None}
        return {
            key: HeldRecord(value=value, version=self.a_version if key == "a" else 1)
            for key, value in values.items()
            if value is not None
        }


NOTHING = Held(a=None, b=None, tags=(), count=0, version=0)


def ledger(*, acknowledged: bool) -> Ledger:
    made = Ledger()
    for version, sync in enumerate((MANY, BUMP), start=1):
        made.enter(sync)
        if acknowledged:
            made.acknowledge(sync, version=version)
    return made


@pytest.mark.parametrize("acknowledged", [True, False])
def test_all_of_it_is_right(acknowledged: bool) -> None:
    ledger(acknowledged=acknowledged).check("notes", Held().records(), version=2)


def test_nothing_of_what_was_not_acknowledged_is_right() -> None:
    ledger(acknowledged=False).check("notes", NOTHING.records(), version=0)


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(NOTHING, id="all lost"),
        pytest.param(Held(a=None, b=None, tags=(), count=1, version=1), id="one lost"),
        pytest.param(Held(count=1, version=1), id="an increment lost"),
        pytest.param(Held(a=7), id="another value"),
        pytest.param(Held(a_version=2), id="written by two commits"),
    ],
)
def test_what_was_acknowledged_and_is_not_so_is_found(held: Held) -> None:
    with pytest.raises(AssertionError):
        ledger(acknowledged=True).check("notes", held.records(), version=held.version)


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize(
    "held",
    [
        pytest.param(Held(b=None), id="half of the puts"),
        pytest.param(Held(tags=()), id="puts without the addition"),
        pytest.param(Held(tags=("many", "many")), id="added twice"),
        pytest.param(Held(count=3, version=3), id="incremented twice"),
        pytest.param(Held(version=3), id="a gap in the versions"),
        pytest.param(Held(version=1), id="a commit without a version"),
    ],
)
def test_what_can_never_be_is_found(held: Held, acknowledged: bool) -> None:
    with pytest.raises(AssertionError):
        ledger(acknowledged=acknowledged).check("notes", held.records(), version=held.version)

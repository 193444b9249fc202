"""The scenarios that all clients pass, which `tests/scenarios/scenarios.json` has, with Python's client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.scenarios import ASIDES, FILE, KINDS, Step, play, scenarios, settings
from tests.support.server import RunningServer, running_server

ALL = {scenario["name"]: scenario for scenario in scenarios()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("scenarios"), settings=settings()) as server:
        yield server


@pytest.mark.parametrize("name", ALL)
async def test_the_client_keeps_the_promise(name: str, server: RunningServer, tmp_path: Path) -> None:
    await play(ALL[name], server, tmp_path)


# --- what is played is what the file says -----------------------------------------------------------------------------

PUT: Step = {"device": "phone", "put": ["a", 1]}
SYNCHRONIZED: Step = {"device": "phone", "synchronize": {}}
UNTRUE: dict[str, tuple[list[Step], str]] = {
    "entries": ([PUT, {"device": "phone", "expect": {"entries": {"a": True}}}], "entries"),
    "keys": ([PUT, {"device": "phone", "expect": {"keys": []}}], "keys"),
    "prefixed": ([PUT, {"device": "phone", "expect": {"prefixed": {"a": []}}}], "entries"),
    "get": ([{"device": "phone", "expect": {"get": {"a": 1}}}], "get"),
    "has": ([{"device": "phone", "expect": {"has": {"a": True}}}], "has"),
    "size": ([{"device": "phone", "expect": {"size": 1}}], "size"),
    "pending": ([PUT, {"device": "phone", "expect": {"pending": []}}], "pending"),
    "conflicts": ([{"device": "phone", "expect": {"conflicts": [{"key": "a"}]}}], "conflicts"),
    "parked": ([{"device": "phone", "expect": {"parked": [{"key": "a"}]}}], "parked"),
    "role": ([PUT, SYNCHRONIZED, {"device": "phone", "expect": {"role": "VIEWER"}}], "role"),
    "report": ([PUT, {**SYNCHRONIZED, "report": {"pushed": 2}}], "pushed"),
    "refused": ([{**PUT, "refused": "INVALID_INPUT"}], "refused with None"),
    "refused with another code": ([{"device": "phone", "put": ["", 1], "refused": "OFFLINE"}], "INVALID_INPUT"),
    "not refused": ([{"device": "phone", "put": ["", 1]}], "key"),
    "allAgree": ([PUT, {"allAgree": {}}], "entries of phone"),
    "meanwhile": (
        [PUT, {**SYNCHRONIZED, "meanwhile": [{"device": "phone", "expect": {"size": 2}}]}],
        "size",
    ),
    "an unknown step": ([{"device": "phone", "puts": ["a", 1]}], "no such step"),
    "an unknown look": ([{"device": "phone", "expect": {"nothing": 1}}], "nothing to look at"),
    "an unknown handler": ([{"device": "phone", "synchronize": {"onNothing": "mine"}}], "onNothing"),
}


@pytest.mark.parametrize("name", UNTRUE)
async def test_a_scenario_that_is_not_true_fails_and_names_the_step(
    name: str, server: RunningServer, tmp_path: Path
) -> None:
    steps, named = UNTRUE[name]
    with pytest.raises(AssertionError, match=rf"(?s)step \d.*{named}"):
        await play({"name": name, "steps": steps}, server, tmp_path)


def steps_of(scenario: Any) -> Iterator[Step]:
    for step in scenario:
        yield step
        yield from steps_of(step.get("meanwhile", ()))
        yield from step.get("transaction", ())


def test_every_kind_of_step_is_played_and_described() -> None:
    used = {name for scenario in ALL.values() for step in steps_of(scenario["steps"]) for name in step} - ASIDES
    rows = re.findall(r"^\| (`.*?`) \|", FILE.with_name("README.md").read_text("utf-8"), re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert used == set(KINDS)
    assert described == used | ASIDES - {"device"}


def test_scenarios_have_names_of_their_own() -> None:
    assert len(ALL) == len(scenarios())

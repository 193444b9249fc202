"""The requirement locks: complete, hashed, and naming no place to download from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
PINNED = re.compile(r"([a-z0-9.-]+)==([^ ;]+)")


def pins(name: str) -> dict[str, str]:
    return {match[1]: match[2] for line in _lines(name) if (match := PINNED.match(line))}


def _lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    lines = _lines(name)

    assert lines
    for line in lines:
        assert PINNED.match(line), line
        assert "--hash=sha256:" in line, line


@pytest.mark.parametrize("name", LOCKS)
def test_no_place_to_download_from_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted", text)


def test_both_locks_agree() -> None:
    runtime, dev = map(pins, LOCKS)

    assert runtime.items() <= dev.items()


def test_all_that_the_project_names_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9.-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}

    assert names(project["project"]["dependencies"] + project["build-system"]["requires"]) <= pins(LOCKS[0]).keys()
    assert names(project["dependency-groups"]["dev"]) <= pins(LOCKS[1]).keys()

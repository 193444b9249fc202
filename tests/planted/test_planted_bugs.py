"""The tests notice the bugs they are for: each is planted in a copy of the package, and its tests must fail there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import syncline
from tests.planted.bugs import BUGS
from tests.planted.bugs.model import PlantedBug, Selection
from tests.planted.guard import NOT_THE_COPY

PACKAGE = Path(syncline.__file__).parent
ROOT = Path(__file__).parents[2]
QUICK = [bug for bug in BUGS if bug.quick]
PATIENCE_SECONDS = 600
HANGS_AFTER_SECONDS = 120

Run = subprocess.CompletedProcess[str]


def copy_of_the_package(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "static")
    return Path(shutil.copytree(PACKAGE, folder / "syncline", ignore=ignored))


def plant(bug: PlantedBug, package: Path) -> None:
    path = package / bug.file
    text = path.read_text()
    assert text.count(bug.old) == 1, f"{bug.name!r} does not fit {bug.file} any more"
    path.write_text(text.replace(bug.old, bug.new))


def run(selection: Selection, package: Path) -> Run:
    """The tests of the selection in a process of their own, against this copy of the package."""
    options = [
        "-x",
        "-q",
        "-o",
        f"timeout={HANGS_AFTER_SECONDS}",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.planted.guard",
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *selection],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(package.parent), str(ROOT))),
            "PLANTED_COPY": str(package),
            "HYPOTHESIS_PROFILE": "planted",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def check(bug: PlantedBug, folder: Path) -> None:
    package = copy_of_the_package(folder)
    plant(bug, package)
    planted = run(bug.selection, package)
    report = planted.stdout[-3_000:] + planted.stderr[-3_000:]
    assert planted.returncode == pytest.ExitCode.TESTS_FAILED, f"nobody noticed: {bug.sentence}\n{report}"
    assert re.search(r"\b1 failed\b", planted.stdout), report


def check_without(bugs: Sequence[PlantedBug], folder: Path) -> None:
    """Against a copy in which nothing is planted all that is to notice the bugs must pass."""
    selection = tuple(dict.fromkeys(selected for bug in bugs for selected in bug.selection))
    sound = run(selection, copy_of_the_package(folder))
    assert sound.returncode == pytest.ExitCode.OK, sound.stdout[-3_000:] + sound.stderr[-3_000:]


@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: PlantedBug, tmp_path: Path) -> None:
    check(bug, tmp_path)


def test_without_a_bug_there_is_nothing_to_notice(tmp_path: Path) -> None:
    check_without(QUICK, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_is_noticed(bug: PlantedBug, tmp_path: Path) -> None:
    check(bug, tmp_path)


@pytest.mark.soak
def test_without_any_bug_there_is_nothing_to_notice(tmp_path: Path) -> None:
    check_without(BUGS, tmp_path)


def misfits() -> Iterator[str]:
    """What in the catalogue the code or the tests have left behind, as sentences."""
    for bug in BUGS:
        if (PACKAGE / bug.file).read_text().count(bug.old) != 1:
            yield f"{bug.name!r} does not fit {bug.file}"
        if bug.old == bug.new:
            yield f"{bug.name!r} changes nothing"
        yield from (f"{bug.name!r}: there is no {each}" for each in bug.selection if not is_there(each))


def is_there(selected: str) -> bool:
    """Whether there is such a test; without a name, such a file."""
    file, _, test = selected.partition("::")
    return (ROOT / file).is_file() and (not test or f"def {test}(" in (ROOT / file).read_text())


def test_every_bug_fits_the_code_and_the_tests_as_they_are() -> None:
    assert list(misfits()) == []
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20
    assert len(QUICK) == 5


def test_a_run_against_anything_but_the_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "syncline").mkdir()
    refused = run(("tests/unit/core/test_limits.py",), tmp_path / "elsewhere" / "syncline")
    assert refused.returncode == NOT_THE_COPY

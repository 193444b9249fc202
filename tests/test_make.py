"""What `make run` makes of the machine that it is on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHANGED = "frontend-demo/app/package.json"
BUILD = "npm run build"
SERVE = "syncline serve --dev"


def what_run_does(path: str) -> str:
    """The commands, as if the pages had changed; none of them is run."""
    make = shutil.which("make")
    assert make, "make is needed"
    # Not what the make that runs the tests was told.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        [make, "--dry-run", f"--what-if={CHANGED}", "run"],
        cwd=ROOT,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_node_it_builds_the_pages_and_serves_them() -> None:
    commands = what_run_does(os.environ["PATH"])

    assert commands.index(BUILD) < commands.index(SERVE)


@pytest.mark.parametrize("version", ["18.20.8", "20.18.3"])
def test_with_a_node_that_is_too_old_or_none_it_serves_without_them(version: str, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "find", "python3"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    assert BUILD not in what_run_does(str(tools))

    # It is Node all the same, with another opinion of its version.
    node = shutil.which("node")
    preload = tmp_path / "version.cjs"
    preload.write_text(
        f"Object.defineProperty(process.versions, 'node', {{ value: '{version.removeprefix('v')}' }});\n"
    )
    (tools / "node").write_text(f'#!/bin/sh\nexec "{node}" --require "{preload}" "$@"\n')
    (tools / "node").chmod(0o755)
    commands = what_run_does(str(tools))

    assert BUILD not in commands
    assert SERVE in commands

"""``syncline`` as a process of its own, run to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def environment(**variables: str) -> dict[str, str]:
    """This process's, with no variables of Syncline's but ``variables``."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("SYNCLINE_")}
    return {**inherited, "COLUMNS": "100", **variables}


def syncline(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``syncline`` with no variables of its own but ``variables``."""
    return subprocess.run(
        [sys.executable, "-m", "syncline", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(run: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that a run printed which went well."""
    assert run.returncode == 0, run
    return run.stdout.splitlines()


def refused(run: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a run that failed for a known reason."""
    assert (run.returncode, run.stdout) == (2, ""), run
    (line,) = run.stderr.splitlines()
    return line

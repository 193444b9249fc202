"""What is installed from the wheel is whole: the server with its pages, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_has_the_server_and_the_pages_that_it_serves(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")

    names = zipfile.ZipFile(wheel).namelist()

    assert {"syncline/py.typed", "syncline/web/static/index.html", "syncline/web/static/graphiql.html"} <= set(names)
    assert any(name.startswith("syncline/web/static/assets/") and name.endswith(".js") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"syncline"}

"""A pytest plugin: the tests run against the copy of the package that PLANTED_COPY names, or not at all.

Where a planted bug keeps something back, the tests that wait for it give up sooner than they do elsewhere.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

import syncline
from tests.support import world

NOT_THE_COPY = 70
PATIENCE = timedelta(seconds=5)


def pytest_sessionstart(session: pytest.Session) -> None:
    copy = Path(os.environ["PLANTED_COPY"])
    if not Path(syncline.__file__).is_relative_to(copy):
        pytest.exit(f"{syncline.__file__} is not in {copy}", returncode=NOT_THE_COPY)
    world.PATIENCE = PATIENCE

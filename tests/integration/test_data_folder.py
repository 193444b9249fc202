"""The data folder of a server that is run for real."""

from __future__ import annotations

import stat
from pathlib import Path

from pydantic import SecretStr

from syncline.app import build
from syncline.config import Settings


async def test_a_folder_that_the_server_makes_is_open_to_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    settings = Settings(data=folder, token_secret=SecretStr("a secret of more than thirty-two bytes"))
    async with build(settings):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

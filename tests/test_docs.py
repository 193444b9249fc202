"""The documents say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.cli import build
from syncline.cli_reference import command_names, markdown
from syncline.config import SECRETS, Settings, flag, variable

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_configuration_page_is_the_one_that_is_made_from_the_settings_and_commands() -> None:
    assert markdown(build()) == CONFIGURATION, "run `make docs`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{variable(name)}`" in CONFIGURATION
    assert (f"`{flag(name)}`" in CONFIGURATION) is (name not in SECRETS)


@pytest.mark.parametrize("name", command_names(build()))
def test_every_command_is_documented(name: str) -> None:
    assert f"### `syncline {name}`" in CONFIGURATION


def test_all_commands_of_the_server_are_there() -> None:
    assert {"serve", "token", "config", "schema", "epoch renew"} <= set(command_names(build()))

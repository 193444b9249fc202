"""docs/client.md says what is the case."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from syncline.client import commands, errors
from syncline.client.dataset import Dataset
from syncline.errors import SynclineError

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text("utf-8")

_ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, SynclineError) and error is not SynclineError
]


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_the_client_has_its_line(error: type[SynclineError]) -> None:
    assert f"\n| `{error.code}` | " in PAGE


def test_every_command_has_its_line() -> None:
    app = typer.Typer()
    commands.register(app)
    for command in app.registered_commands:
        assert f"\n| `{command.name} " in PAGE


def test_every_exit_code_has_its_line() -> None:
    for code in (0, commands.NOT_FOUND, 2, commands.UNDECIDED):
        assert f"\n| {code} | " in PAGE


def test_the_example_is_python_and_calls_what_there_is() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    compile(example, "docs/client.md", "exec")
    for method in re.findall(r"notes\.(\w+)\(", example):
        assert hasattr(Dataset, method)
    for name in re.search(r"from syncline.client import (.*)", example)[1].split(", "):  # type: ignore[index]
        assert hasattr(__import__("syncline.client").client, name)

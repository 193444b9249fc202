from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from syncline import serving
from syncline.config import Settings


def said(capsys: pytest.CaptureFixture[str], data: Path, *, dev: bool = True) -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving.announce(
            Settings(data=data, dev=dev, token_secret=None if dev else SecretStr("s" * 32), graphiql=True), listening
        )
    return capsys.readouterr().out


def test_it_ends_with_the_address_to_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "built", lambda: True)
    printed = said(capsys, tmp_path)
    assert printed.splitlines()[-1].startswith("Open http://127.0.0.1:")
    assert "Open" not in said(capsys, tmp_path, dev=False)


def test_without_the_pages_it_says_that_they_were_left_out_and_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "built", lambda: False)
    printed = said(capsys, tmp_path)
    assert "/graphiql" not in printed
    assert "left out" in printed.splitlines()[-1]
    assert "Node" in printed.splitlines()[-1]
    assert "make run" in printed.splitlines()[-1]

"""The audits that the npm package `graphql-http` ships for the GraphQL-over-HTTP specification."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.web_server import web_server

NODE = Path(__file__).parents[1] / "node"
AUDITS = 61


def installed(folder: Path) -> Path:
    """The folder with its npm packages, installed from the lock if they are not there yet."""
    if not (folder / "node_modules" / "graphql-http").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=240)
    return folder


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    with web_server(tmp_path_factory.mktemp("audits")) as server:
        audits = subprocess.run(
            ["node", "audits.mjs", f"{server.http_url}/graphql"],
            cwd=installed(NODE),
            check=True,
            capture_output=True,
            timeout=120,
        )
    outcomes: list[dict[str, Any]] = json.loads(audits.stdout)
    return outcomes


def test_all_audits_pass(outcomes: list[dict[str, Any]]) -> None:
    assert [outcome for outcome in outcomes if outcome["status"] != "ok"] == []


def test_no_audit_is_left_out(outcomes: list[dict[str, Any]]) -> None:
    assert len({outcome["id"] for outcome in outcomes}) == AUDITS

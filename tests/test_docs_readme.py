"""A reader who follows the README, or the quickstart, from top to bottom sees what they say."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.documents import ROOT, blocks, page_name
from tests.support.reader import Reader

README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"


@pytest.mark.parametrize("page", [README, QUICKSTART], ids=page_name)
def test_what_a_page_shows_is_what_a_reader_sees(page: Path, tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        assert reader.follow(blocks(page)) > 10


@pytest.mark.parametrize("page", [README, QUICKSTART], ids=page_name)
def test_every_command_that_answers_is_shown_with_its_answer(page: Path) -> None:
    talkative = re.compile(r"^(curl|python|node|syncline (get|export|sync|watch)) ", re.MULTILINE)
    asking = [
        (block, after)
        for block, after in pairwise(blocks(page))
        if block.language == "sh" and talkative.search(block.text)
    ]
    assert len(asking) >= 4
    assert [f"line {block.line}" for block, after in asking if after.language not in {"text", "json"}] == []


@pytest.mark.parametrize(
    ("shown", "instead"),
    [
        pytest.param("  GraphiQL  http", "  GraphQL IDE http", id="what the server prints"),
        pytest.param('"status": "APPLIED"', '"status": "MERGED"', id="an answer", marks=pytest.mark.soak),
        pytest.param(
            '"key": "shopping", "value": ["milk"]',
            '"kee": "shopping", "value": ["milk"]',
            id="a request",
            marks=pytest.mark.soak,
        ),
        pytest.param("syncline get notes tent", "syncline get notes tint", id="a command", marks=pytest.mark.soak),
        pytest.param('"version":3', '"version":4', id="what another terminal shows"),
    ],
)
def test_a_page_that_shows_something_else_does_not_pass(shown: str, instead: str, tmp_path: Path) -> None:
    found = blocks(README)
    wrong = [replace(block, text=block.text.replace(shown, instead)) for block in found]
    assert wrong != found
    with Reader(tmp_path) as reader, pytest.raises(AssertionError):
        reader.follow(wrong)

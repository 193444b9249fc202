"""The documents as tests see them: their code blocks, links and headings, and answers that may leave something open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "frontend-demo" / "README.md"])
"""All that a reader may come across; ids of tests are made with ``page_name``."""

ANYTHING = "…"
"""In an answer of a document: any text may stand here; alone as a value, any value."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of code, and the line on which its content begins."""

    language: str
    text: str
    line: int


def page_name(page: Path) -> str:
    """The page as people name it: its path from the root."""
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """All fenced blocks, in order. What a block is indented by is taken off its lines."""
    text = read(page)
    return [
        Block(
            language=match[2],
            text=re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE),
            line=text.count("\n", 0, match.start(3)) + 1,
        )
        for match in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", read(page)))


def links(page: Path) -> list[str]:
    """The targets of all links and images outside of code."""
    return [match[2] for match in _LINK.finditer(re.sub(r"`[^`\n]*`", "", prose(page)))]


def anchors(page: Path) -> set[str]:
    """The ids that headings get where Markdown is shown, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        number, anchor = 0, words
        while anchor in found:
            number += 1
            anchor = f"{words}-{number}"
        found.add(anchor)
    return found


def text_matches(expected: str, actual: str) -> bool:
    """Whether ``actual`` reads as ``expected`` says, in which "…" stands for any characters of one line."""
    pattern = r"[^\n]*".join(re.escape(part) for part in expected.split(ANYTHING))
    return re.fullmatch(pattern, actual) is not None


def matches(expected: Any, actual: Any) -> bool:
    """Whether ``actual`` is what ``expected`` says, in which "…" stands for any value."""
    if expected == ANYTHING:
        return True
    if isinstance(expected, str) and isinstance(actual, str):
        return text_matches(expected, actual)
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(matches(item, actual[name]) for name, item in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(matches, expected, actual))
    return type(expected) is type(actual) and bool(expected == actual)


def answer_after(found: Sequence[Block], index: int) -> Block | None:
    """The block that follows directly, if it is an answer."""
    follows = found[index + 1] if index + 1 < len(found) else None
    return follows if follows is not None and follows.language == "json" else None

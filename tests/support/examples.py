"""GraphQL examples of the documents: which device sends them, and what they are answered.

An example is a ``graphql`` block that begins with ``# device`` and is followed by a ``json`` block, its answer: what
the only field of ``data`` holds, or, if it has ``errors``, the whole answer. ``$since`` is the checkpoint that the
device got last. The fragments of a page are those of its ``graphql`` blocks that hold nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from graphql import FragmentDefinitionNode, parse

from tests.support.documents import Block, answer_after, blocks

_DEVICE = re.compile(r"# (\w+)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An operation that a device sends, and its answer as the document has it."""

    line: int
    device: str
    operation: str
    answer: Any


def examples(page: Path) -> Iterator[Example]:
    """The examples of a page, in order: each may build on those before."""
    found = blocks(page)
    for index, block in enumerate(found):
        device = _DEVICE.match(block.text) if block.language == "graphql" else None
        if device is None:
            continue
        answer = answer_after(found, index)
        assert answer is not None, f"{page.name}:{block.line} has no answer"
        yield Example(
            line=block.line,
            device=device[1],
            operation=with_fragments(page, block),
            answer=msgspec.json.decode(answer.text),
        )


def with_fragments(page: Path, block: Block) -> str:
    """The block with the fragments of its page that it spreads; for fragments, an operation that spreads them."""
    if _is_fragment(block):
        fragment = parse(block.text).definitions[0]
        assert isinstance(fragment, FragmentDefinitionNode)
        return f"{block.text}\nmutation ($input: SyncInput!) {{ sync(input: $input) {{ ...{fragment.name.value} }} }}"
    fragments = [each.text for each in blocks(page) if each.language == "graphql" and _is_fragment(each)]
    return "\n".join([block.text, *(text for text in fragments if f"...{text.split()[1]}" in block.text)])


def _is_fragment(block: Block) -> bool:
    return block.text.startswith("fragment ")


def shown(response: dict[str, Any]) -> Any:
    """A server's answer as the documents show it."""
    if "errors" in response:
        for error in response["errors"]:
            error.pop("locations", None)
        return response
    [value] = response["data"].values()
    return value


def last_checkpoint(response: Any) -> str | None:
    """The last checkpoint in an answer."""
    found = None
    if isinstance(response, dict):
        for name, value in response.items():
            found = (value if name == "checkpoint" else last_checkpoint(value)) or found
    elif isinstance(response, list):
        for value in response:
            found = last_checkpoint(value) or found
    return found

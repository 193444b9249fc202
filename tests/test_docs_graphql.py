"""The GraphQL in the documents fits the schema."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from tests.support.documents import PAGES, ROOT, Block, blocks, page_name, read
from tests.support.examples import with_fragments

SCHEMA = build_schema(read(ROOT / "schema.graphql"))
OPERATIONS = [
    pytest.param(page, block, id=f"{page_name(page)}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "graphql"
]


@pytest.mark.parametrize(("page", "block"), OPERATIONS)
def test_graphql_in_a_document_is_valid_for_the_schema(page: Path, block: Block) -> None:
    document = parse(with_fragments(page, block))
    assert validate(SCHEMA, document) == []


def test_the_documents_show_graphql() -> None:
    pages = {page_name(parameters.values[0]) for parameters in OPERATIONS}  # type: ignore[arg-type]
    assert {"docs/conflicts.md", "docs/quickstart.md"} <= pages

"""SQL by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncline.storage.named_queries import load_queries, split_queries
from syncline.storage.sqlite_database import open_database


def test_statements_are_found_by_their_names() -> None:
    queries = split_queries("-- about them all\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n    2;\n")

    assert queries == {"one": "SELECT 1;", "two": "-- why\nSELECT\n    2;"}


def test_a_name_stands_for_one_statement() -> None:
    with pytest.raises(ValueError, match="two queries are named one"):
        split_queries("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")


SORTS_A_FEW = {"live_heads"}
"""What one identity sees: its own datasets, and those that it is a member of."""


SMALL = {"erasure_mark", "erasures"}
"""They are about a table that has a row for each identity that was erased within a year or so."""


def test_no_query_of_sqlites_scans_or_sorts_a_table(tmp_path: Path) -> None:
    database = open_database(tmp_path / "syncline.db", None)
    try:
        for name, query in load_queries("sqlite").items():
            bindings = dict.fromkeys(re.findall(r":(\w+)", query), "[]")
            plan = [row[3] for row in database.writes.connection.execute(f"EXPLAIN QUERY PLAN {query}", bindings)]
            slow = [step for step in plan if re.match("SCAN (?!json_each)|USE TEMP B-TREE", step)]
            assert not slow or name in SORTS_A_FEW | SMALL, (name, slow)
    finally:
        database.close()


def test_no_query_that_copies_sorts_a_table(tmp_path: Path) -> None:
    database = open_database(tmp_path / "syncline.db", None)
    try:
        for name, query in load_queries("sqlite", "copying").items():
            bindings = [""] * len(set(re.findall(r"\?\d", query)))
            plan = [row[3] for row in database.writes.connection.execute(f"EXPLAIN QUERY PLAN {query}", bindings)]
            assert not [step for step in plan if step.startswith("USE TEMP B-TREE")], (name, plan)
    finally:
        database.close()

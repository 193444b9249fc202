"""SQL by name: each statement of such a file follows a line ``-- name: its_name``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

_NAME_LINE = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


def load_queries(dialect: str, file: str = "queries") -> Mapping[str, str]:
    """The statements of ``sql/<dialect>/<file>.sql``, by name."""
    text = files("syncline.storage").joinpath("sql", dialect, f"{file}.sql").read_text(encoding="utf-8")
    return split_queries(text)


def split_queries(text: str) -> Mapping[str, str]:
    """The statements in ``text``, by name. What stands before the first name belongs to none."""
    _, *parts = _NAME_LINE.split(text)
    queries: dict[str, str] = {}
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"two queries are named {name}")
        queries[name] = statement.strip()
    return queries

"""The numbered steps that lead an empty database, or an older one, to the schema this code knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql\Z")


@dataclass(frozen=True, slots=True)
class Migration:
    """The step to schema ``number``."""

    number: int
    sql: str


def load_migrations(dialect: str) -> Sequence[Migration]:
    """All steps of ``sql/<dialect>``, in order; their numbers run from 1 without a gap."""
    migrations = sorted(
        (
            Migration(int(match[1]), file.read_text(encoding="utf-8"))
            for file in files("syncline.storage").joinpath("sql", dialect).iterdir()
            if (match := _FILE_NAME.match(file.name))
        ),
        key=lambda migration: migration.number,
    )
    if [migration.number for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError("the migrations are not numbered from 1 without a gap")
    return migrations

"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass

Selection = tuple[str, ...]
"""Tests as pytest is told to run them."""


@dataclass(frozen=True, kw_only=True)
class PlantedBug:
    """``old`` stands in ``file`` exactly once; with ``new`` in its place a test of ``selection`` fails."""

    name: str
    sentence: str
    file: str
    old: str
    new: str
    selection: Selection
    quick: bool = False
    """Planted in the short run too."""


def noticed_by(file: str, *names: str) -> Selection:
    """These tests of ``tests/FILE.py``."""
    return tuple(f"tests/{file}.py::{name}" for name in names)

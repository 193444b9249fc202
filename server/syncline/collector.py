"""Keeps the cyclic garbage collector's walks short.

Each of its full collections walks over all that lives: schema, documents, and every connection. With nothing else done
that stops a server for 60 ms when it has just started, and for half a second when it holds thousands of sockets.

What has survived one full collection is therefore taken out of all later ones. It still goes when its last reference
does; only a cycle in it would stay for ever. So nothing that lives long may be part of one when it ends, as
``tests/integration/test_cycles.py`` makes sure for sockets and subscriptions. What lives briefly may: the
validation of a document and a resolver's error leave hundreds of objects, which the frequent small collections find.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

THRESHOLDS = (10_000, 20, 20)
"""How many more objects, or collections of the generation before, bring the next collection of each generation."""


@contextmanager
def short_collections() -> Iterator[None]:
    """To be entered when all is set up; what is there then counts as having survived."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()
    gc.callbacks.append(_freeze_survivors)
    try:
        yield
    finally:
        gc.callbacks.remove(_freeze_survivors)
        gc.unfreeze()
        gc.set_threshold(*before)


def _freeze_survivors(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()

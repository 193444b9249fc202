from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from syncline import collector
from syncline.collector import short_collections


class Thing:
    """Something that can be part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 # nothing tells of it
            await asyncio.sleep(0.001)


async def test_what_has_lived_for_a_while_is_walked_over_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_LOOK_SECONDS", 0.001)
    with short_collections():
        kept = [Thing() for _ in range(100)]
        gc.collect(1)
        await until(lambda: all(each is not kept[0] for each in gc.get_objects()))


async def test_what_lived_briefly_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_LOOK_SECONDS", 0.001)
    with short_collections():
        gone = weakref.ref(Thing())
        gc.collect(1)
        assert gone() is None


async def test_now_and_then_all_is_walked_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(collector, "_THOROUGHLY_EVERY", timedelta(0))
    with short_collections():
        thing: Thing | None = Thing()
        gc.freeze()
        gone = weakref.ref(thing)
        thing = None
        await until(lambda: gone() is None)

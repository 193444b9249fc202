"""Whatever was written, and however it is paged: a reader ends up with what a dictionary says."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.core.changes import Change, Put
from syncline.core.checkpoint import Checkpoint
from syncline.core.ids import Version
from syncline.core.model import Position, Record
from syncline.core.pages import Page, PageRequest, RecordFilter
from tests.support import stores
from tests.support.builders import put, remove
from tests.support.postgres import PostgresServer
from tests.support.stores import StoreFactory, create, read_all, write

KEYS = st.sampled_from(["a", "aa", "ab", "a%", "b", "ä", "\U0001f600"])
CHANGES = st.builds(put, KEYS, st.integers(0, 3) | st.text("aä😀", max_size=30)) | st.builds(remove, KEYS)
COMMITS = st.lists(st.lists(CHANGES, min_size=1, max_size=6), min_size=1, max_size=6)
PAGES = st.builds(
    PageRequest,
    first=st.integers(1, 4),
    max_bytes=st.none() | st.integers(1, 60),
    filter=st.builds(RecordFilter, prefix=st.sampled_from(["", "a", "a%", "ä", "z"])),
)


@dataclass
class Oracle:
    """A dataset as a dictionary: each key's value (None: removed), and version and place of its last write."""

    version: int = 0
    written: dict[str, tuple[str | None, int, int]] = field(default_factory=dict)

    def commit(self, changes: list[Change]) -> None:
        places: dict[str, int] = {}
        for change in changes:
            before = self.written.get(change.key, (None, 0, 0))[0]
            after = change.value if isinstance(change, Put) else None
            if before != after:
                place = places.setdefault(change.key, len(places))
                self.written[change.key] = (after, self.version + 1, place)
        if places:
            self.version += 1

    def missing(self, version: int, prefix: str) -> list[tuple[str, str | None]]:
        unseen = [
            (written, place, key, value)
            for key, (value, written, place) in self.written.items()
            if written > version and key.startswith(prefix)
        ]
        return [(key, value) for _, _, key, value in sorted(unseen, key=lambda each: each[:2])]


@given(commits=COMMITS, page=PAGES, seen=st.integers(0, 6))
def test_pages_bring_a_reader_to_where_the_dataset_stands(
    commits: list[list[Change]], page: PageRequest, seen: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(stores.sqlite(Path(folder)), commits, page, seen))


@settings(max_examples=50)
@given(commits=COMMITS, page=PAGES, seen=st.integers(0, 6))
def test_pages_of_postgresql_bring_a_reader_to_where_the_dataset_stands(
    postgres_server: PostgresServer, commits: list[list[Change]], page: PageRequest, seen: int
) -> None:
    asyncio.run(_compare(stores.postgres(postgres_server), commits, page, seen))


async def _compare(open_store: StoreFactory, commits: list[list[Change]], page: PageRequest, seen: int) -> None:
    oracle = Oracle()
    store = await open_store()
    try:
        head = await create(store)
        for changes in commits:
            oracle.commit(changes)
            outcome = await write(store, *changes)
            assert outcome.head.version == oracle.version
        seen = min(seen, oracle.version)
        since = Checkpoint(await store.epoch(), head.id, Position(Version(seen)))
        pages = await read_all(store, since, page=page)
    finally:
        await store.close()

    read = [(record.key, record.value) for each in pages for record in each.records]
    assert read == oracle.missing(seen, page.filter.prefix)
    assert pages[-1].position == Position(Version(oracle.version))
    for each, following in pairwise(pages):
        assert _is_full(each, following, page)


def _is_full(page: Page, following: Page, request: PageRequest) -> bool:
    if len(page.records) == request.first:
        return True
    if request.max_bytes is None:
        return False
    return sum(map(_bytes, (*page.records, following.records[0]))) > request.max_bytes


def _bytes(record: Record) -> int:
    return len(record.key.encode()) + len((record.value or "").encode())

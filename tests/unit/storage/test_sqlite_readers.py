"""The readers: snapshots, bounds, and reads that fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from syncline.errors import Overloaded, StoreUnavailable
from syncline.storage.sqlite_database import Database, open_database
from syncline.storage.sqlite_lookups import Lookups
from syncline.storage.sqlite_readers import Readers


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await asyncio.to_thread(open_database, path, None)
    yield database
    database.close()


@contextmanager
def closing(readers: Readers) -> Iterator[Readers]:
    try:
        yield readers
    finally:
        readers.close()


async def test_a_read_looks_at_one_moment(database: Database) -> None:
    def read_write_read(lookups: Lookups) -> tuple[str, str]:
        before = lookups.epoch()
        database.writes.connection.execute("UPDATE meta SET value = 'changed' WHERE name = 'epoch'")
        return before, lookups.epoch()

    with closing(Readers(database.readers)) as readers:
        before, after = await readers.run(read_write_read)
        later = await readers.run(Lookups.epoch)

    assert before == after == database.epoch
    assert later == "changed"


async def test_a_reader_cannot_write(database: Database) -> None:
    with closing(Readers(database.readers)) as readers, pytest.raises(StoreUnavailable) as raised:
        await readers.run(lambda lookups: lookups.connection.execute("DELETE FROM meta"))

    assert isinstance(raised.value.__cause__, apsw.ReadOnlyError)


async def test_a_read_that_fails_leaves_its_connection_to_others(database: Database) -> None:
    def fail(lookups: Lookups) -> None:
        lookups.connection.execute("SELECT nothing FROM nowhere")

    with closing(Readers(database.readers)) as readers:
        for _ in range(2 * len(database.readers)):
            with pytest.raises(StoreUnavailable):
                await readers.run(fail)
        assert await readers.run(Lookups.epoch) == database.epoch


async def test_reads_run_beside_each_other(database: Database) -> None:
    meeting = threading.Barrier(len(database.readers), timeout=10)

    with closing(Readers(database.readers)) as readers:
        await asyncio.gather(*(readers.run(lambda _: meeting.wait()) for _ in database.readers))


async def test_who_comes_when_too_many_wait_is_sent_away(database: Database) -> None:
    let_go = threading.Event()
    with closing(Readers(database.readers, max_waiting_reads=1)) as readers:
        tasks = [asyncio.create_task(readers.run(lambda _: let_go.wait(30))) for _ in range(len(database.readers) + 1)]
        await asyncio.sleep(0)

        with pytest.raises(Overloaded):
            await readers.run(Lookups.epoch)
        let_go.set()
        await asyncio.wait_for(asyncio.gather(*tasks), timeout=10)

        assert await readers.run(Lookups.epoch) == database.epoch

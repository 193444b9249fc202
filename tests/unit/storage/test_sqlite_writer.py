"""The writer thread: groups, savepoints, bounds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from syncline.errors import Overloaded, StoreUnavailable
from syncline.storage.sqlite_database import Database, open_database
from syncline.storage.sqlite_writer import Writer
from syncline.storage.sqlite_writes import Writes


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await asyncio.to_thread(open_database, path, None)
    database.writes.connection.execute("CREATE TABLE lines (line TEXT NOT NULL UNIQUE) STRICT")
    yield database
    database.close()


def line(text: str) -> Callable[[Writes], str]:
    """A job that writes a line, and returns it."""

    def work(writes: Writes) -> str:
        writes.connection.execute("INSERT INTO lines VALUES (?)", (text,))
        return text

    return work


def lines(database: Database) -> list[str]:
    return [text for (text,) in database.readers[0].connection.execute("SELECT line FROM lines ORDER BY rowid")]


class Busy:
    """A job that keeps the writer until it is let go."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._let_go = threading.Event()

    def __call__(self, writes: Writes) -> None:
        self._started.set()
        assert self._let_go.wait(timeout=30)

    async def started(self) -> None:
        assert await asyncio.to_thread(self._started.wait, 10)

    def let_go(self) -> None:
        self._let_go.set()


@contextmanager
def closing(writer: Writer) -> Iterator[Writer]:
    try:
        yield writer
    finally:
        writer.close()


async def waiting_behind(writer: Writer, busy: Busy, *jobs: Callable[[Writes], object]) -> list[asyncio.Task[object]]:
    """``busy`` at work, and behind it these jobs."""
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(writer.run(busy))]
    await asyncio.wait_for(busy.started(), timeout=10)
    tasks += [asyncio.create_task(writer.run(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks


async def finished(tasks: list[asyncio.Task[object]]) -> list[object]:
    return list(await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=10))


async def test_jobs_are_done_in_the_order_they_came(database: Database) -> None:
    with closing(Writer(database.writes)) as writer:
        texts = [f"{n}" for n in range(600)]

        outcomes = await asyncio.gather(*(writer.run(line(text)) for text in texts))

    assert outcomes == texts
    assert lines(database) == texts


async def test_a_job_that_raises_takes_nothing_of_its_neighbours_with_it(database: Database) -> None:
    class Oops(Exception):
        pass

    def write_and_raise(writes: Writes) -> None:
        line("bad")(writes)
        raise Oops

    with closing(Writer(database.writes)) as writer:
        busy = Busy()
        tasks = await waiting_behind(writer, busy, line("one"), write_and_raise, line("one"), line("two"))
        busy.let_go()
        _, one, raised, duplicate, two = await finished(tasks)

    assert (one, two) == ("one", "two")
    assert isinstance(raised, Oops)
    assert isinstance(duplicate, StoreUnavailable)
    assert isinstance(duplicate.__cause__, apsw.ConstraintError)
    assert lines(database) == ["one", "two"]


async def test_a_commit_that_is_refused_but_left_open_is_undone(database: Database) -> None:
    database.writes.connection.execute(
        "CREATE TABLE links (line TEXT REFERENCES lines (line) DEFERRABLE INITIALLY DEFERRED) STRICT"
    )

    def link_to_nothing(writes: Writes) -> None:
        writes.connection.execute("INSERT INTO links VALUES ('nothing')")

    with closing(Writer(database.writes)) as writer:
        busy = Busy()
        tasks = await waiting_behind(writer, busy, line("one"), link_to_nothing)
        busy.let_go()
        _, *outcomes = await finished(tasks)
        await writer.run(line("two"))

    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert lines(database) == ["two"]


async def test_a_cancelled_caller_does_not_cancel_its_job(database: Database) -> None:
    with closing(Writer(database.writes)) as writer:
        busy = Busy()
        tasks = await waiting_behind(writer, busy, line("one"), line("two"))
        tasks[1].cancel()
        await asyncio.sleep(0)
        busy.let_go()
        _, cancelled, two = await finished(tasks)

    assert isinstance(cancelled, asyncio.CancelledError)
    assert two == "two"
    assert lines(database) == ["one", "two"]


async def test_who_comes_when_too_many_wait_is_sent_away(database: Database) -> None:
    with closing(Writer(database.writes, max_waiting_jobs=2)) as writer:
        busy = Busy()
        tasks = await waiting_behind(writer, busy, line("one"), line("two"))

        with pytest.raises(Overloaded):
            await writer.run(line("three"))
        busy.let_go()
        await finished(tasks)
        await writer.run(line("four"))

    assert lines(database) == ["one", "two", "four"]


async def test_a_group_is_bounded(database: Database) -> None:
    connection = database.writes.connection
    written: list[int] = []

    def note() -> bool:
        written.append(connection.total_changes())
        return False

    with closing(Writer(database.writes, max_group_jobs=3)) as writer:
        busy = Busy()
        tasks = await waiting_behind(writer, busy, *(line(f"{n}") for n in range(7)))
        before = connection.total_changes()
        connection.set_commit_hook(note)
        busy.let_go()
        await finished(tasks)
        connection.set_commit_hook(None)

    assert [count - before for count in written] == [0, 3, 6, 7]


async def test_closing_finishes_what_waits_and_accepts_no_more(database: Database) -> None:
    writer = Writer(database.writes)
    busy = Busy()
    tasks = await waiting_behind(writer, busy, line("one"))
    closing_task = asyncio.create_task(asyncio.to_thread(writer.close))
    busy.let_go()
    await asyncio.wait_for(closing_task, timeout=10)

    with pytest.raises(StoreUnavailable):
        await writer.run(line("two"))

    assert await finished(tasks) == [None, "one"]
    assert lines(database) == ["one"]


async def test_a_database_locked_by_another_program_is_waited_for_and_then_unavailable(
    database: Database, path: Path
) -> None:
    database.writes.connection.set_busy_timeout(10)
    other = apsw.Connection(str(path))
    with closing(Writer(database.writes)) as writer:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as raised:
            await writer.run(line("one"))
        other.execute("ROLLBACK")
        await writer.run(line("two"))
    other.close()

    assert isinstance(raised.value.__cause__, apsw.BusyError)
    assert lines(database) == ["two"]


async def test_a_reader_that_keeps_the_log_from_beginning_anew_harms_nothing(database: Database, path: Path) -> None:
    database.writes.connection.set_busy_timeout(10)
    wal = path.with_name(f"{path.name}-wal")
    reader = database.readers[0].connection
    reader.execute("BEGIN; SELECT count(*) FROM lines")
    with closing(Writer(database.writes, checkpoint_pages=20, restart_pages=60)) as writer:
        for n in range(40):
            await writer.run(line(f"{n:03}" + "x" * 10_000))
        grown = wal.stat().st_size
        reader.execute("COMMIT")
        for n in range(40, 200):
            await writer.run(line(f"{n:03}" + "x" * 10_000))

    assert grown > 100 * 4096
    assert wal.stat().st_size < 3 * grown
    assert [text[:3] for text in lines(database)] == [f"{n:03}" for n in range(200)]


async def test_no_write_waits_for_a_reader_that_reads_on_and_on(database: Database) -> None:
    reader = database.readers[0].connection
    reader.execute("BEGIN; SELECT count(*) FROM lines")
    took = []
    with closing(Writer(database.writes, checkpoint_pages=20, restart_pages=60)) as writer:
        for n in range(40):
            began = time.monotonic()
            await writer.run(line(f"{n:03}" + "x" * 10_000))
            took.append(time.monotonic() - began)
    reader.execute("COMMIT")

    # SQLite's own patience is 5 s.
    assert max(took) < 2.0
    assert database.writes.connection.pragma("busy_timeout") == 5_000

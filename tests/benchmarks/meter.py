"""What processes use: processor time and memory, as Linux tells it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path

_CPU_CLOCK = 2
"""The low bits of the clock that counts a process's own time; the others are its id, as Linux has them."""
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_IDLE_COLUMNS = (3, 4)
"""Of /proc/stat: idle, and idle while the disk works."""
_LAST_COLUMN = 8
"""Behind ``steal`` come times that are in the first columns too."""
_MOST_LOOKS = 20


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for process in found:
        for task in Path(f"/proc/{process}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process with all its threads and descendants.

    It is what /proc/PID/stat tells in steps of 10 ms, in nanoseconds.
    """
    return sum(time.clock_gettime(~process << 3 | _CPU_CLOCK) for process in family(pid))


def busy_seconds(processors: Collection[int]) -> float:
    """How long these processors worked since the machine was started, for whomever, in steps of 10 ms."""
    names = {f"cpu{number}" for number in processors}
    ticks = 0
    for name, *columns in map(str.split, Path("/proc/stat").read_text().splitlines()):
        if name in names:
            ticks += sum(int(each) for at, each in enumerate(columns[:_LAST_COLUMN]) if at not in _IDLE_COLUMNS)
    return ticks * _TICK_SECONDS


def waited_seconds() -> float:
    """How long the main thread of this process has been ready to run while something else had its processor."""
    try:
        waited = Path("/proc/self/schedstat").read_text().split()[1]
    except FileNotFoundError:  # a kernel that does not count it
        return 0.0
    return int(waited) / 1e9


def resident_bytes(pid: int) -> int:
    """Memory of the process and its descendants that is in RAM."""
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Open files and sockets of the process and its descendants."""
    return sum(len(list(Path(f"/proc/{process}/fd").iterdir())) for process in family(pid))


async def settled(figure: Callable[[int], int], pid: int, *, every: float) -> int:
    """``figure`` of the process once two looks, so many seconds apart, find the same; or the last of twenty."""
    found = figure(pid)
    for _ in range(_MOST_LOOKS):
        await asyncio.sleep(every)
        before, found = found, figure(pid)
        if found == before:
            break
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used between two moments."""

    wall_seconds: float
    server_seconds: float
    generator_seconds: float
    generator_waited_seconds: float
    """The generator was ready to run, but something else had its processor."""
    others_seconds: float
    """The server's processor worked for neither of them. It is counted in steps: for a short time it may be below 0."""

    def __add__(self, more: Used) -> Used:
        return Used(**{field.name: getattr(self, field.name) + getattr(more, field.name) for field in fields(self)})

    @property
    def generator_share(self) -> float:
        """How busy the generator was; near 1, it was what limited the load."""
        return (self.generator_seconds + self.generator_waited_seconds) / self.wall_seconds

    @property
    def others_share(self) -> float:
        """How much of the server's processor something else took; far from 0, all that is a time is too long."""
        return max(0.0, self.others_seconds / self.wall_seconds)

    @property
    def server_share(self) -> float:
        """How many processors the server kept busy."""
        return self.server_seconds / self.wall_seconds


class Window:
    """Measures from its making on, inside the generator's process."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._processors = os.sched_getaffinity(server)
        self._shared = bool(self._processors & os.sched_getaffinity(0))
        self._busy_began = busy_seconds(self._processors)
        self._waited_began = waited_seconds()
        self._server_began = cpu_seconds(server)
        self._generator_began = time.process_time()
        self._began = time.perf_counter()

    def close(self) -> Used:
        wall = time.perf_counter() - self._began
        server = cpu_seconds(self._server) - self._server_began
        generator = time.process_time() - self._generator_began
        waited = waited_seconds() - self._waited_began
        busy = busy_seconds(self._processors) - self._busy_began
        own = server + generator if self._shared else server
        return Used(
            wall_seconds=wall,
            server_seconds=server,
            generator_seconds=generator,
            generator_waited_seconds=waited,
            others_seconds=busy - own,
        )

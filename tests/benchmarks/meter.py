"""What processes use: processor time and memory, as Linux tells it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CPU_CLOCK = 2
"""The low bits of the clock that counts a process's own time; the others are its id, as Linux has them."""
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

    @property
    def generator_share(self) -> float:
        """How busy the generator was; near 1, it was what limited the load."""
        return self.generator_seconds / self.wall_seconds

    @property
    def server_share(self) -> float:
        """How many processors the server kept busy."""
        return self.server_seconds / self.wall_seconds


class Window:
    """Measures from its making on, inside the generator's process."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._server_began = cpu_seconds(server)
        self._generator_began = time.process_time()
        self._began = time.perf_counter()

    def close(self) -> Used:
        return Used(
            wall_seconds=time.perf_counter() - self._began,
            server_seconds=cpu_seconds(self._server) - self._server_began,
            generator_seconds=time.process_time() - self._generator_began,
        )

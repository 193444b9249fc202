"""What processes use: processor time and memory, as Linux tells it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_AFTER_NAME = 2
"""The first field of /proc/PID/stat behind the process's name, which is in brackets and may have blanks."""
_UTIME, _STIME = 14, 15


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for process in found:
        for task in Path(f"/proc/{process}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process with all its threads and descendants, in steps of 10 ms."""
    ticks = 0
    for process in family(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[_UTIME - _AFTER_NAME - 1]) + int(fields[_STIME - _AFTER_NAME - 1])
    return ticks / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Memory of the process and its descendants that is in RAM."""
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE")


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

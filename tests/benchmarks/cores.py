"""Which processors the server and the load generator run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CoreSet = frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """One processor for the server, the others for the generator; all for both if there is only one."""

    server: CoreSet
    generator: CoreSet

    @classmethod
    def here(cls) -> Cores:
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            return cls(server=CoreSet(usable), generator=CoreSet(usable))
        return cls(server=CoreSet(usable[:1]), generator=CoreSet(usable[1:]))

    @property
    def apart(self) -> bool:
        return not self.server & self.generator


@contextmanager
def running_on(cores: CoreSet) -> Iterator[None]:
    """Meanwhile this thread, and the processes it starts, run there; those stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

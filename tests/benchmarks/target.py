"""What a load generator needs to know of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running server, and tokens that it accepts: ``(identity, device)`` leads to one."""

    address: str
    port: int
    pid: int
    tokens: Mapping[tuple[str, str], str]

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

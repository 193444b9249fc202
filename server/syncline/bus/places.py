"""Where the channels of the bus are: on one server, on the primary that Sentinels name, or across a cluster."""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from syncline.bus.link import TAGS, Dialect
from syncline.bus.resp import Access, Address, Unreachable, dial

Layout = Mapping[Address, frozenset[int]]
"""For each server the tags whose channels it has."""

ALL_TAGS: Final = frozenset(range(TAGS))
_SLOTS: Final = 16_384
_ANSWER_SECONDS: Final = 2.0
_MOST_SERVERS_ASKED: Final = 5
_T = TypeVar("_T")


class Places(Protocol):
    """Knows the servers of the bus."""

    @property
    def sharded(self) -> bool:
        """Whether the channels are those of a cluster's shards."""
        ...

    @property
    def elected(self) -> bool:
        """Whether a server can lose its rank without a word, so that it must be asked for its role."""
        ...

    async def find(self) -> Layout:
        """Where the channels are now; those that are nowhere are left out. Raises Unreachable. Cancelling is safe."""
        ...


@dataclass(frozen=True, slots=True)
class OneServer:
    """Always the same server."""

    address: Address
    sharded = False
    elected = False

    async def find(self) -> Layout:
        return {self.address: ALL_TAGS}


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The primary of a service, which Sentinels watch over."""

    addresses: tuple[Address, ...]
    service: str
    access: Access
    """To the Sentinels."""
    sharded = False
    elected = True

    async def find(self) -> Layout:
        return {await _first(self._named_by(address) for address in self.addresses): ALL_TAGS}

    async def _named_by(self, sentinel: Address) -> Address:
        answer = await _asked(sentinel, self.access, b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self.service.encode())
        if answer is None:
            raise Unreachable(f"{sentinel} knows no service {self.service!r}")
        try:
            host, port = answer
            return Address(host.decode(), int(port))
        except (ValueError, AttributeError, TypeError) as error:
            raise Unreachable(f"{sentinel} is no Sentinel") from error


class Cluster:
    """The primaries of a cluster, each with the channels whose slots it has."""

    sharded = True
    elected = False

    def __init__(self, seeds: tuple[Address, ...], access: Access, dialect: Dialect) -> None:
        self._seeds = seeds
        self._access = access
        self._slot_of_tag = {tag: slot_of(dialect.channel(tag)) for tag in ALL_TAGS}
        self._known: set[Address] = set()

    async def find(self) -> Layout:
        # In any order, because one that the others have cut off would tell of a cluster that is no more.
        known = list(self._known)
        random.shuffle(known)
        candidates = dict.fromkeys([*known[:_MOST_SERVERS_ASKED], *self._seeds])
        owners = await _first(self._slots_told_by(address) for address in candidates)
        layout: dict[Address, set[int]] = {}
        for tag, slot in self._slot_of_tag.items():
            for first, last, owner in owners:
                if first <= slot <= last:
                    layout.setdefault(owner, set()).add(tag)
        self._known = set(layout)
        return {address: frozenset(tags) for address, tags in layout.items()}

    async def _slots_told_by(self, address: Address) -> list[tuple[int, int, Address]]:
        answer = await _asked(address, self._access, b"CLUSTER", b"SLOTS")
        found = []
        try:
            for first, last, (host, port, *_), *_replicas in answer:
                if host == b"?":
                    continue
                # None: where it was asked.
                found.append((int(first), int(last), Address(host.decode() if host else address.host, int(port))))
        except (ValueError, AttributeError, TypeError) as error:
            raise Unreachable(f"{address} is not part of a cluster") from error
        return found


def slot_of(channel: bytes) -> int:
    """The cluster's slot of a channel, which is that of the part in braces."""
    return crc_hqx(channel.partition(b"{")[2].partition(b"}")[0], 0) % _SLOTS


async def _asked(address: Address, access: Access, *words: bytes) -> Any:
    wire, _ = await dial(address, access, b"syncline-discovery")
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await wire.ask(*words)
    except TimeoutError as error:
        raise Unreachable(f"{address} does not answer") from error
    except Unreachable as error:
        raise Unreachable(f"{address}: {error}") from error
    finally:
        wire.fail("asked")


async def _first(asking: Iterable[Coroutine[Any, Any, _T]]) -> _T:
    """What the first to answer says. All are asked at once: some may hang."""
    tasks = [asyncio.create_task(each) for each in asking]
    reasons: list[str] = []
    try:
        for answer in asyncio.as_completed(tasks):
            try:
                return await answer
            except Unreachable as error:
                reasons.append(str(error))
        raise Unreachable("; ".join(reasons) or "no server is known")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

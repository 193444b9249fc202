"""What nodes count together, on the Redis of the bus: connections of a holder, and how often one tried something.

Each node has a hash of its own counts, and is listed among the nodes; both end by themselves a minute after it last
said that it lives. So what a killed node counted is forgotten, and a node has little to say however much it counts. A
claim reads the counts of all nodes and writes this node's in one script, so of two claims one is the first.

Redis knows no identity and no address: holders are hashed with a secret of the nodes.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import time
from typing import Any, Final, TypeVar

from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from syncline.bus.limits_storage import CONNECTIONS, let_go, storage_of
from syncline.bus.redis_url import target_of
from syncline.logs import get_logger

_log = get_logger(__name__)

T = TypeVar("T")

_SHARDS: Final = 16
"""Hashes of a node, for a cluster to spread."""
_LEASE_SECONDS: Final = 60
_RENEW_SECONDS: Final = 5.0
_TELL_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 0.25
"""How long anybody waits for Redis."""
_PAUSE_SECONDS: Final = 1.0
"""Between looks whether Redis is back."""
_PATIENCE_SECONDS: Final = 2.0
"""How long this task waits for it, for whom nobody else waits."""

_RENEW = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {redis.call('EXPIRE', KEYS[2], ARGV[2]), redis.call('ZRANGE', KEYS[1], 0, -1)}
"""
_CLAIM = """
local others = 0
for i = 2, #KEYS do
  others = others + tonumber(redis.call('HGET', KEYS[i], ARGV[1]) or 0)
end
if others + ARGV[2] <= tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return others
"""
_COUNT = """
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 0
"""
_AT_ONCE: Final = 1_000


class RedisSharedLimits:
    """The port ``SharedLimits``. Call ``start`` first, and ``close`` at the end."""

    def __init__(self, url: str, *, node: str, secret: bytes, renew_seconds: float = _RENEW_SECONDS) -> None:
        """``node`` names this process among all that count together; ``secret`` is the same for all.

        Every ``renew_seconds`` they look for each other. Raises StartRefused for a URL of no use.
        """
        target = target_of(url)
        self._renew_seconds = renew_seconds
        self._node = node
        self._secret = secret
        self._prefix = f"{target.dialect.prefix}:held"
        self._storage = storage_of(target)
        self._attempts = SlidingWindowCounterRateLimiter(self._storage)
        client: Any = self._storage.bridge.get_connection()  # type: ignore[attr-defined] # of redispy's bridge
        self._client = client
        self._renew_script = client.register_script(_RENEW)
        self._claim_script = client.register_script(_CLAIM)
        self._count_script = client.register_script(_COUNT)
        self._held: list[dict[str, int]] = [{} for _ in range(_SHARDS)]
        """What this node counts, by shard and hashed holder."""
        self._changed: list[set[str]] = [set() for _ in range(_SHARDS)]
        self._others: list[list[str]] = [[] for _ in range(_SHARDS)]
        self._up = True
        self._asking = asyncio.Semaphore(CONNECTIONS)
        self._stopping = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to tell the others. Waits 2 s for Redis at most, and never fails."""
        await self._tried(self._renew, _PATIENCE_SECONDS)
        self._keeping = asyncio.create_task(self._keep(), name="shared limits")

    async def close(self) -> None:
        """Take back what this node counts, if Redis answers, and let go of it."""
        self._stopping.set()
        if self._keeping is not None:
            # Not cancelled: redis-py can lose a connection by that.
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._up:
            await self._tried(self._leave, _PATIENCE_SECONDS)
        with suppress(Exception):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await let_go(self._storage)

    @property
    def others(self) -> Sequence[Sequence[str]]:
        """The nodes that this one knows of besides itself, for each shard."""
        return self._others

    @property
    def untold(self) -> bool:
        """Whether Redis does not have all yet that this node counts."""
        return any(self._changed)

    # --- the port ----------------------------------------------------------------------------------------------------

    async def claim(self, holder: str, *, mine: int, most: int) -> int | None:
        name, shard = self._hashed(holder)
        self._held[shard][name] = mine
        keys = [self._counts_key(shard, self._node), *(self._counts_key(shard, node) for node in self._others[shard])]

        async def ask() -> int:
            return int(await self._claim_script(keys=keys, args=[name, mine, most, _LEASE_SECONDS]))

        others = await self._asked(ask)
        if others is None or self._held[shard].get(name) != mine:
            # It is not there, or it may have come after a later one.
            self._changed[shard].add(name)
        return others

    def count(self, holder: str, mine: int) -> None:
        name, shard = self._hashed(holder)
        if mine:
            self._held[shard][name] = mine
        else:
            self._held[shard].pop(name, None)
        self._changed[shard].add(name)

    async def hit(self, holder: str, *, per_minute: int) -> float | None:
        name, _ = self._hashed(holder)
        item = RateLimitItemPerMinute(per_minute)

        async def ask() -> float:
            if await self._attempts.hit(item, name):
                return 0.0
            stats = await self._attempts.get_window_stats(item, name)
            return float(max(1, math.ceil(stats.reset_time - time())))

        return await self._asked(ask)

    # --- asking Redis ------------------------------------------------------------------------------------------------

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What Redis answers at once; None if it does not. Then nobody asks until it does."""
        return await self._tried(ask, _ANSWER_SECONDS) if self._up else None

    async def _tried(self, ask: Callable[[], Awaitable[T]], within: float) -> T | None:
        try:
            # There are only so many connections, and one too many is an error.
            async with asyncio.timeout(within), self._asking:
                answer = await ask()
        except Exception as error:
            # Of whatever kind: to count for others must never be why somebody is not served.
            if self._up:
                self._up = False
                _log.warning("shared_limits_down", reason=type(error).__name__)
            return None
        if not self._up:
            self._up = True
            _log.info("shared_limits_up")
        return answer

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_SECONDS):
                    await self._stopping.wait()
            if loop.time() - renewed_at >= (self._renew_seconds if self._up else _PAUSE_SECONDS):
                await self._tried(self._renew, _PATIENCE_SECONDS)
                renewed_at = loop.time()
            if self._up and self.untold:
                await self._tried(self._tell, _PATIENCE_SECONDS)

    async def _renew(self) -> None:
        """Say that this node lives, and learn which others do."""
        for shard in range(_SHARDS):
            keys = [f"{self._prefix}:{{{shard}}}:nodes", self._counts_key(shard, self._node)]
            there, nodes = await self._renew_script(keys=keys, args=[self._node, _LEASE_SECONDS])
            self._others[shard] = [node for each in nodes if (node := _text(each)) != self._node]
            if not there:
                # Nothing was counted, or Redis has lost it.
                self._changed[shard].update(self._held[shard])

    async def _tell(self) -> None:
        """Write what has changed."""
        for shard, changed in enumerate(self._changed):
            while changed:
                names = [changed.pop() for _ in range(min(len(changed), _AT_ONCE))]
                pairs = [each for name in names for each in (name, self._held[shard].get(name, 0))]
                try:
                    await self._count_script(keys=[self._counts_key(shard, self._node)], args=[_LEASE_SECONDS, *pairs])
                except BaseException:
                    changed.update(names)
                    raise

    async def _leave(self) -> None:
        for shard in range(_SHARDS):
            await self._client.delete(self._counts_key(shard, self._node))
            await self._client.zrem(f"{self._prefix}:{{{shard}}}:nodes", self._node)

    def _counts_key(self, shard: int, node: str) -> str:
        return f"{self._prefix}:{{{shard}}}:counts:{node}"

    def _hashed(self, holder: str) -> tuple[str, int]:
        digest = hashlib.blake2b(holder.encode("utf-8", "surrogatepass"), digest_size=12, key=self._secret)
        return digest.hexdigest(), digest.digest()[0] % _SHARDS


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

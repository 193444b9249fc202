"""Events by Redis pub/sub: one connection for the process, a queue for each subscriber, as ``broadcaster`` does it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis


class RedisEvents:
    """Texts published to a topic reach all who are subscribed to it, in this process and others."""

    def __init__(self, port: int) -> None:
        self._redis: Redis = Redis(port=port)
        self._pubsub: Any = self._redis.pubsub()
        self._queues: dict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Meanwhile what is published is passed on."""
        await self._pubsub.connect()
        listener = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
            await self._pubsub.aclose()
            await self._redis.aclose()

    async def publish(self, topic: str, text: bytes) -> None:
        await self._redis.publish(topic, text)

    @asynccontextmanager
    async def subscribed(self, topic: str) -> AsyncIterator[asyncio.Queue[bytes]]:
        """The queue of a new subscriber."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues = self._queues[topic]
        queues.add(queue)
        if len(queues) == 1:
            await self._pubsub.subscribe(topic)
        try:
            yield queue
        finally:
            queues.discard(queue)
            if not queues:
                del self._queues[topic]
                await self._pubsub.unsubscribe(topic)

    async def _listen(self) -> None:
        while True:
            message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
            if message is not None:
                for queue in self._queues.get(message["channel"].decode(), ()):
                    queue.put_nowait(message["data"])

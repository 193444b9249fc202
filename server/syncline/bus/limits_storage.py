"""The storage of the library ``limits`` on the Redis of the bus."""

from __future__ import annotations

from typing import Any, Final

from limits.aio.storage import RedisClusterStorage, RedisSentinelStorage, RedisStorage
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from syncline.bus.redis_url import Spelling, Target
from syncline.bus.resp import Access

_ATTEMPT_SECONDS: Final = 2.0
"""What ends a connection nobody waits for any more: who asks waits less, see ``shared_limits``."""
CONNECTIONS: Final = 16
"""To each server, at most."""


def storage_of(target: Target) -> RedisStorage:
    """A storage that connects when it is first used. Its client is ``storage.bridge.get_connection()``."""
    spelling = target.spelling
    hosts = ",".join(str(address) for address in spelling.addresses)
    options: dict[str, Any] = {
        "implementation": "redispy",
        "key_prefix": f"{target.dialect.prefix}:limits",
        "socket_timeout": _ATTEMPT_SECONDS,
        "socket_connect_timeout": _ATTEMPT_SECONDS,
        "max_connections": CONNECTIONS,
        **_credentials(spelling.access),
        **_tls(spelling),
    }
    match spelling.kind:
        case "sentinel":
            sentinel = {
                "socket_timeout": _ATTEMPT_SECONDS,
                "socket_connect_timeout": _ATTEMPT_SECONDS,
                **_credentials(spelling.to_sentinels),
                **_tls(spelling),
            }
            return RedisSentinelStorage(
                f"async+redis+sentinel://{hosts}/{spelling.service}",
                use_replicas=False,
                sentinel_kwargs=sentinel,
                retry=_one_retry(),
                **options,
            )
        case "cluster":
            return RedisClusterStorage(f"async+redis+cluster://{hosts}", retry=_one_retry(), **options)
        case _:
            scheme = "redis" if spelling.tls_options is None else "rediss"
            # The scheme says it, and a connection that is told twice refuses.
            options.pop("ssl", None)
            return RedisStorage(f"async+{scheme}://{hosts}", retry=_one_retry(), **options)


async def let_go(storage: RedisStorage) -> None:
    """Close the storage's connections, those to Sentinels too."""
    bridge: Any = storage.bridge
    sentinel = getattr(bridge, "sentinel", None)
    for client in (bridge.get_connection(), *(() if sentinel is None else sentinel.sentinels)):
        await client.aclose()


def _one_retry() -> Any:
    # For a connection that the server closed while nobody needed it.
    return Retry(NoBackoff(), 1)


def _credentials(access: Access) -> dict[str, Any]:
    given = {"username": access.username, "password": access.password}
    return {name: value for name, value in given.items() if value is not None}


def _tls(spelling: Spelling) -> dict[str, Any]:
    if spelling.tls_options is None:
        return {}
    options: dict[str, Any] = {"ssl": True, **spelling.tls_options}
    required = options.get("ssl_cert_reqs", "required").lower() == "required"
    checked = options.get("ssl_check_hostname", "true").lower() in ("true", "1", "yes")
    return {**options, "ssl_cert_reqs": "required" if required else "none", "ssl_check_hostname": required and checked}

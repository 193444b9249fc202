"""How a server begins: alone, or as several processes, with a Valkey of its own if it is to have one."""

from __future__ import annotations

from pydantic import SecretStr

from syncline import logs
from syncline.addresses import is_loopback
from syncline.bus.embedded import private_valkey
from syncline.config import Settings
from syncline.errors import StartRefused
from syncline.serving import run_alone
from syncline.workers import run_workers


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain; the exit code. Raises StartRefused."""
    logs.configure(level=settings.log_level, format=settings.log_format)
    _check(settings)
    begin = run_workers if settings.workers > 1 else run_alone
    if not settings.embedded_redis:
        return begin(settings)
    with private_valkey() as url:
        return begin(settings.model_copy(update={"redis_url": SecretStr(url)}))


def _check(settings: Settings) -> None:
    if not is_loopback(settings.host) and not settings.allow_plain_text:
        raise StartRefused(
            f"host = {settings.host}: this server speaks no TLS; tokens and data would pass the network unencrypted. "
            "Listen on 127.0.0.1, behind a proxy that does; or, if that is on another machine, or the network is yours "
            "alone, say so with --allow-plain-text"
        )
    if settings.embedded_redis and settings.redis_url is not None:
        raise StartRefused("embedded_redis and redis_url are both set; one Redis is enough")
    if settings.workers > 1 and settings.redis_url is None and not settings.embedded_redis:
        raise StartRefused(
            f"workers = {settings.workers}: several processes need a Redis to tell each other of commits: set "
            "SYNCLINE_REDIS_URL, or add --embedded-redis"
        )

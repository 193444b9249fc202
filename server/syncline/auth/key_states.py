"""What this node knows of the API keys in use on it, never older than a moment.

One query every half second asks for all of them, as long as there are any. If the store does not answer, what is known
counts for five seconds more; then nobody can say whether a key was revoked, so its requests are answered UNAVAILABLE
and its WebSockets are closed with a code that lets them come back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from time import monotonic
from typing import Final

from syncline.auth.single_flight import SingleFlight
from syncline.auth.watches import UNWATCHED
from syncline.errors import CredentialExpired, CredentialUnavailable, StoreUnavailable, SynclineError, Unauthenticated
from syncline.logs import get_logger
from syncline.ports import ApiKey, ApiKeyId, ApiKeys, Clock, Ended, KeyUse, Watch

POLL_SECONDS: Final = 0.5
TRUSTED_SECONDS: Final = 5.0
"""How long what is known counts while the store cannot be asked."""
_FRESH_SECONDS: Final = 0.75
_KEPT_SECONDS: Final = 30.0
"""How long a key that nobody uses is still asked for."""
_NOTED_SECONDS: Final = 60.0
"""How often it is written down that a key is used."""
_PATIENCE_SECONDS: Final = 2.0

_log = get_logger(__name__)


def check(key: ApiKey | None, use: KeyUse, now: datetime) -> ApiKey:
    """The key, if it is good with this secret. Raises Unauthenticated."""
    if key is None:
        raise Unauthenticated("the API key is not known")
    good = compare_digest(key.secret_hash, use.secret_hash)
    if not good and key.old_hash is not None and key.old_until is not None and now < key.old_until:
        good = compare_digest(key.old_hash, use.secret_hash)
    if not good:
        raise Unauthenticated("the API key's secret is not the one it has now")
    if key.revoked_at is not None:
        raise Unauthenticated("the API key was revoked")
    if now >= key.expires_at:
        raise CredentialExpired("the API key")
    return key


@dataclass(eq=False, slots=True)
class _KeyWatch:
    held: _Held
    use: KeyUse
    ended: Ended

    def close(self) -> None:
        self.held.watches.discard(self)


@dataclass(slots=True)
class _Held:
    key: ApiKey
    looked_at: float
    used_at: float
    watches: set[_KeyWatch] = field(default_factory=set)
    noted_at: float | None = None


class KeyStates:
    """Asks for keys, keeps what it was told, and tells those who watch one."""

    def __init__(self, keys: ApiKeys, clock: Clock, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._keys = keys
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._held: dict[ApiKeyId, _Held] = {}
        self._flights = SingleFlight[ApiKeyId, ApiKey | None]()
        self._polling: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._flights.close()

    @property
    def in_use(self) -> int:
        return len(self._held)

    async def good(self, use: KeyUse) -> ApiKey:
        """The key, if it counts with this secret. Raises Unauthenticated, StoreUnavailable."""
        held, now = self._held.get(use.key), monotonic()
        if held is not None and now - held.looked_at < _FRESH_SECONDS:
            held.used_at = now
            # What has just been made good, by a new secret say, must not be refused for what was known before.
            with suppress(Unauthenticated):
                return check(held.key, use, self._clock())
        try:
            key = await self._flights.run(use.key, lambda: self._look(use.key))
        except StoreUnavailable:
            if held is None or monotonic() - held.looked_at >= TRUSTED_SECONDS:
                raise
            key = held.key
        if (held := self._held.get(use.key)) is not None:
            held.used_at = now
        return check(key, use, self._clock())

    def watch(self, use: KeyUse, ended: Ended) -> Watch:
        """``ended`` is called once the key does not count any more with the secret of ``use``."""
        held = self._held.get(use.key)
        if held is None:
            # Whoever watches has just signed in with it, and meanwhile it was given up.
            gone = CredentialUnavailable("the API key must be looked up anew")
            asyncio.get_running_loop().call_soon(ended, gone)
            return UNWATCHED
        watch = _KeyWatch(held, use, ended)
        held.watches.add(watch)
        self._poll()
        return watch

    async def _look(self, id_: ApiKeyId) -> ApiKey | None:
        asked_at = monotonic()
        key = (await self._keys.found([id_])).get(id_)
        held = self._held.get(id_)
        if key is not None and held is None:
            self._held[id_] = _Held(key, asked_at, asked_at)
            self._poll()
        elif held is not None:
            self._take(held, key, asked_at)
        return key

    def _poll(self) -> None:
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_while_in_use(), name="poll API keys")

    async def _poll_while_in_use(self) -> None:
        while self._held:
            await asyncio.sleep(self._poll_seconds)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        now = monotonic()
        for id_, held in list(self._held.items()):
            if not held.watches and now - held.used_at > _KEPT_SECONDS:
                del self._held[id_]
        if not self._held:
            return
        ids = list(self._held)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                found = await self._keys.found(ids)
                for id_ in ids:
                    if id_ in self._held:
                        self._take(self._held[id_], found.get(id_), now)
                await self._note_use(now)
        except (SynclineError, TimeoutError) as error:
            _log.warning("keys_not_polled", reason=type(error).__name__, keys=len(ids))
        self._end_the_unknown()

    def _take(self, held: _Held, key: ApiKey | None, asked_at: float) -> None:
        """What the store said, when asked at ``asked_at``."""
        if asked_at < held.looked_at:
            return
        held.looked_at = asked_at
        if key is not None:
            held.key = key
        for watch in list(held.watches):
            try:
                check(key, watch.use, self._clock())
            except Unauthenticated as error:
                _end(watch, error)
        if key is None:
            self._held.pop(held.key.id, None)

    def _end_the_unknown(self) -> None:
        now = monotonic()
        for id_, held in list(self._held.items()):
            if now - held.looked_at >= TRUSTED_SECONDS:
                for watch in list(held.watches):
                    _end(watch, CredentialUnavailable("whether the API key was revoked cannot be looked up"))
                del self._held[id_]

    async def _note_use(self, now: float) -> None:
        due = {
            id_: held
            for id_, held in self._held.items()
            if (held.noted_at is None or now - held.noted_at >= _NOTED_SECONDS)
            and (held.watches or held.noted_at is None or held.used_at > held.noted_at)
        }
        if due:
            await self._keys.used(dict.fromkeys(due, self._clock()))
            for held in due.values():
                held.noted_at = now


def _end(watch: _KeyWatch, error: SynclineError) -> None:
    watch.close()
    watch.ended(error)

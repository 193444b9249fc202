"""Which identities are refused though their credentials are good: those that were erased.

Every node knows all of them, and looks half a second at the longest after it looked last whether there are others. So
whoever erased an identity, by a command or on another node, need not reach this one. To look is one query that counts a
small table. What is known counts as long as the store cannot be asked: nothing of a refused identity can be read or
written then either, and the stores themselves take nothing back that was erased.
"""

from __future__ import annotations

import asyncio
from typing import Final

from syncline.core.ids import IdentityId, erased_hash
from syncline.errors import IdentityErased, SynclineError
from syncline.logs import get_logger
from syncline.ports import Authenticator, Credential, Ended, Erased, Erasures, Presented, Watch

LOOK_SECONDS: Final = 0.5

_log = get_logger(__name__)


class _RefusalWatch:
    __slots__ = ("_refusals", "ended", "hash")

    def __init__(self, refusals: Refusals, hash_: bytes, ended: Ended) -> None:
        self._refusals = refusals
        self.hash = hash_
        self.ended = ended

    def close(self) -> None:
        self._refusals.forget(self)


class Refusals:
    """Says of an identity whether it is refused, from memory, and tells whom it concerns when that begins."""

    def __init__(self, store: Erased) -> None:
        self._store = store
        self._known: Erasures | None = None
        self._watching: dict[bytes, set[_RefusalWatch]] = {}

    async def check(self, identity: IdentityId) -> None:
        """Raises IdentityErased; StoreUnavailable if it could not be asked yet."""
        if self._known is None:
            await self.look()
        if self._known is not None and self._known.hashes and erased_hash(identity) in self._known.hashes:
            raise IdentityErased

    def watch(self, identity: IdentityId, ended: Ended) -> Watch:
        """``ended`` is called, once, when the identity is refused; at the next turn of the loop if it is already."""
        watch = _RefusalWatch(self, erased_hash(identity), ended)
        self._watching.setdefault(watch.hash, set()).add(watch)
        if self._known is not None and watch.hash in self._known.hashes:
            asyncio.get_running_loop().call_soon(self._end, watch)
        return watch

    def forget(self, watch: _RefusalWatch) -> None:
        watching = self._watching.get(watch.hash)
        if watching is not None:
            watching.discard(watch)
            if not watching:
                del self._watching[watch.hash]

    async def look(self) -> None:
        """Find out who is refused by now. Raises StoreUnavailable."""
        found = await self._store.erasures(None if self._known is None else self._known.mark)
        if found is None:
            return
        self._known = found
        for hash_ in found.hashes & self._watching.keys():
            for watch in list(self._watching[hash_]):
                self._end(watch)

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            try:
                await self.look()
            except SynclineError as error:
                _log.warning("refusals_not_looked_up", code=error.code)
            await asyncio.sleep(LOOK_SECONDS)

    def _end(self, watch: _RefusalWatch) -> None:
        if watch in self._watching.get(watch.hash, ()):
            watch.close()
            watch.ended(IdentityErased())


class RefusingAuthenticator:
    """Accepts what another one accepts, but for identities that are refused."""

    def __init__(self, authenticator: Authenticator, refusals: Refusals) -> None:
        self._authenticator = authenticator
        self._refusals = refusals

    async def authenticate(self, presented: Presented) -> Credential:
        """Raises IdentityErased, and what the other one raises."""
        credential = await self._authenticator.authenticate(presented)
        await self._refusals.check(credential.viewer.identity)
        return credential

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        return _Both(
            self._authenticator.watch(credential, ended), self._refusals.watch(credential.viewer.identity, ended)
        )


class _Both:
    __slots__ = ("_first", "_second")

    def __init__(self, first: Watch, second: Watch) -> None:
        self._first = first
        self._second = second

    def close(self) -> None:
        self._first.close()
        self._second.close()

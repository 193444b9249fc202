"""Which identity a login is: asked of the store once, and remembered for a while."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from time import monotonic
from typing import Final

from syncline.auth.remembered import Remembered, hash_of
from syncline.auth.single_flight import SingleFlight
from syncline.core.ids import IdentityId, identity_id
from syncline.ports import Clock, Identities, Login

REMEMBERED_SECONDS: Final = 30.0
"""How long a node may not know that a login was linked to another identity."""


def new_identity_text() -> str:
    """Opaque: it says nothing about the login, and nobody guesses it."""
    return f"id-{secrets.token_hex(16)}"


class Logins:
    """A login that comes for the first time gets a new identity; all nodes give it the same."""

    def __init__(self, identities: Identities, clock: Clock, new_text: Callable[[], str] = new_identity_text) -> None:
        self._identities = identities
        self._clock = clock
        self._new_text = new_text
        self._known = Remembered[tuple[IdentityId, float]](20_000)
        self._flights = SingleFlight[bytes, IdentityId]()

    async def identity_of(self, login: Login) -> IdentityId:
        """Raises StoreUnavailable."""
        name = _name(login)
        known = self._known.get(name)
        if known is not None and monotonic() < known[1]:
            return known[0]
        return await self._flights.run(name, lambda: self._look(name, login))

    def forget(self, login: Login) -> None:
        """It has another identity from now on."""
        known = self._known.get(_name(login))
        if known is not None:
            self._known.keep(_name(login), (known[0], 0.0))

    async def close(self) -> None:
        await self._flights.close()

    async def _look(self, name: bytes, login: Login) -> IdentityId:
        identity = await self._identities.identity_of(
            login, new_identity=identity_id(self._new_text(), login.tenant), now=self._clock()
        )
        self._known.keep(name, (identity, monotonic() + REMEMBERED_SECONDS))
        return identity


def _name(login: Login) -> bytes:
    return hash_of(login.issuer, login.subject, login.tenant)

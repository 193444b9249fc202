"""How many sockets an identity and an address may have, and how often an address may come without a credential.

This node counts by itself, and together with others where it can: what it counts alone is over the limit already is
refused without asking them, and while they cannot be asked it alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, NewType

from syncline.addresses import Network
from syncline.core.ids import IdentityId
from syncline.errors import RateLimited
from syncline.logs import get_logger
from syncline.metrics import Metrics
from syncline.ports import SharedLimits
from syncline.web.attempts import Attempts
from syncline.web.callers import caller_of, is_forwarded
from syncline.web.limits import WebLimits

_log = get_logger(__name__)

_CONNECTION_RETRY_SECONDS = 5.0
"""When a connection may have ended: somebody else's sleeping device is noticed after 40 s, a closed one at once."""

Place = NewType("Place", str)
"""A socket that is counted, by whom it is counted for. To be given back by ``leave``."""


class Admission:
    """Counts callers. Invariant: ``_held`` has each holder with as many as entered and did not leave, and no zero."""

    def __init__(
        self,
        limits: WebLimits,
        metrics: Metrics,
        *,
        trusted: tuple[Network, ...] = (),
        shared: SharedLimits | None = None,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._trusted = trusted
        self._shared = shared
        self._held: dict[Place, int] = {}
        self._attempts = Attempts()
        self._guests = Attempts()
        self._told_of_proxy = False

    async def enter_from(self, scope: Mapping[str, Any]) -> Place | None:
        """Count a socket of this request's address, until it leaves; None: it has none that counts.

        Raises RateLimited.
        """
        caller = caller_of(scope, self._trusted)
        if caller is None:
            return None
        place, maximum = Place(f"address {caller}"), self._limits.connections_per_address
        if not await self._has_entered(place, maximum):
            self._tell_of_proxy(scope)
            raise self._counted(
                RateLimited(
                    limit="connectionsPerAddress", maximum=maximum, retry_after_seconds=_CONNECTION_RETRY_SECONDS
                )
            )
        return place

    async def enter(self, identity: IdentityId) -> Place:
        """Count a socket of the identity, until it leaves. Raises RateLimited."""
        place, maximum = Place(f"identity {identity}"), self._limits.connections_per_identity
        if not await self._has_entered(place, maximum):
            raise self._counted(
                RateLimited(
                    limit="connectionsPerIdentity", maximum=maximum, retry_after_seconds=_CONNECTION_RETRY_SECONDS
                )
            )
        return place

    def leave(self, place: Place | None) -> None:
        """The socket is closed."""
        if place is None:
            return
        left = self._held[place] - 1
        if left:
            self._held[place] = left
        else:
            del self._held[place]
        if self._shared is not None:
            self._shared.count(place, left)

    async def without_credential(self, scope: Mapping[str, Any]) -> None:
        """The request has no credential, or none that is valid. Raises RateLimited if its address did that too often.

        So nobody with a valid credential is ever refused for the address that they share.
        """
        caller = caller_of(scope, self._trusted)
        if caller is None:
            return
        maximum = self._limits.unauthenticated_per_minute
        wait = self._attempts.hit(caller, most=maximum, now=monotonic())
        if not wait and self._shared is not None:
            wait = await self._shared.hit(f"attempts {caller}", per_minute=maximum) or 0
        if wait:
            self._tell_of_proxy(scope)
            raise self._counted(
                RateLimited(limit="unauthenticatedPerMinute", maximum=maximum, retry_after_seconds=wait)
            )

    def caller(self, scope: Mapping[str, Any]) -> str | None:
        """Whom the limits of an address are for, if this request is anybody's in particular."""
        return caller_of(scope, self._trusted)

    async def new_guest(self, caller: str | None) -> None:
        """What ``ports.GuestAdmission`` promises."""
        if caller is None:
            return
        maximum = self._limits.guests_per_minute
        wait = self._guests.hit(caller, most=maximum, now=monotonic())
        if not wait and self._shared is not None:
            wait = await self._shared.hit(f"guests {caller}", per_minute=maximum) or 0
        if wait:
            raise self._counted(RateLimited(limit="guestsPerMinute", maximum=maximum, retry_after_seconds=wait))

    async def _has_entered(self, place: Place, maximum: int) -> bool:
        mine = self._held[place] = self._held.get(place, 0) + 1
        others: int | None = 0
        if mine <= maximum and self._shared is not None:
            try:
                others = await self._shared.claim(place, mine=mine, most=maximum)
            except BaseException:
                self.leave(place)
                raise
        if mine + (others or 0) > maximum:
            self.leave(place)
            return False
        return True

    def _counted(self, error: RateLimited) -> RateLimited:
        self._metrics.over_limit(error.limit)
        return error

    def _tell_of_proxy(self, scope: Mapping[str, Any]) -> None:
        # A proxy that is not trusted looks like one caller with very many devices.
        if not self._told_of_proxy and not self._trusted and is_forwarded(scope):
            self._told_of_proxy = True
            _log.warning("proxy_not_trusted", peer=scope["client"][0], setting="trusted_proxies")

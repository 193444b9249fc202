"""Guests: made, renewed, and linked to the account that they sign in to."""

from __future__ import annotations

import secrets
from contextlib import suppress

from syncline.core.feed import Hint
from syncline.core.guests import guest_id
from syncline.core.ids import DatasetId, DeviceId, IdentityId, Version, tenant_of
from syncline.core.linking import Linked, LinkRequest, LinkRule
from syncline.core.model import Viewer
from syncline.errors import Forbidden, LimitExceeded, StoreUnavailable
from syncline.metrics import Metrics
from syncline.ports import Bus, Clock, GuestAdmission, GuestLink, GuestToken, GuestTokens, Store
from syncline.service.datasets import Datasets
from syncline.service.guest_standings import GuestStandings
from syncline.service.refusals import Refusals
from syncline.topics import identity_topic


class Guests:
    """What guests can do, and what an account can do with the guest that it was."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Clock,
        datasets: Datasets,
        standings: GuestStandings,
        refusals: Refusals,
        metrics: Metrics,
        *,
        tokens: GuestTokens,
        admission: GuestAdmission | None,
    ) -> None:
        """Without ``admission`` there are no new guests."""
        self._store = store
        self._bus = bus
        self._clock = clock
        self._datasets = datasets
        self._metrics = metrics
        self._tokens = tokens
        self._admission = admission
        self._refusals = refusals
        self.standings = standings

    async def create(self, device: DeviceId | None, *, caller: str | None) -> GuestToken:
        """A new identity, which is durable when this returns, and a token for its device.

        Raises Forbidden where there are no guests, RateLimited.
        """
        if self._admission is None:
            raise Forbidden("this server takes no guests; the setting guests lets it")
        await self._admission.new_guest(caller)
        identity = guest_id(secrets.randbits(128))
        await self._store.create_guest(identity, now=self._clock())
        return self._tokens.mint(Viewer(identity=identity, device=device or _new_device()))

    async def renew(self, token: str, device: DeviceId | None = None) -> GuestToken:
        """A fresh token for the same guest and device; or for ``device``, another one of the guest's.

        Guests that are there go on where new ones are not taken any more.
        Raises Unauthenticated, GuestLinked, IdentityErased.
        """
        viewer = self._tokens.read(token)
        await self.standings.look(viewer.identity)
        await self._refusals.check(viewer.identity)
        return self._tokens.mint(Viewer(identity=viewer.identity, device=device or viewer.device))

    async def link(self, viewer: Viewer, token: str, rule: LinkRule) -> Linked:
        """Move all that the guest has to the viewer's identity. It is durable when this returns; a retry is harmless.

        Raises Unauthenticated for the guest's token, and what ``Store.link_guest`` raises.
        """
        guest = self._tokens.read(token).identity
        request = LinkRequest(guest=guest, viewer=viewer, rule=rule, limits=self._datasets.limits, now=self._clock())
        request.check()
        try:
            link = await self._store.link_guest(request)
        except LimitExceeded as error:
            self._metrics.over_limit(error.limit)
            raise
        self.standings.remember(guest)
        await self._announce(link, guest, viewer.identity)
        return link.linked

    async def _announce(self, link: GuestLink, guest: IdentityId, account: IdentityId) -> None:
        """Ring for all who are to know. Whom nobody rings for, the sweep tells."""
        for head in link.heads:
            concerned = {guest, account}
            with suppress(StoreUnavailable):
                access = await self._store.access(tenant_of(head.owner), head.id)
                concerned.update(access.roles if access is not None else ())
            await self._datasets.announce(head, concerned)
        # Also a guest that had nothing is to be told, and one whose link was announced by a node that ended then.
        self._bus.publish(identity_topic(guest), Hint(dataset=DatasetId(""), epoch=link.epoch, version=Version(0)))


def _new_device() -> DeviceId:
    return DeviceId(f"device-{secrets.token_hex(8)}")

"""What a request's resolvers are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import strawberry

from syncline.core.model import Viewer
from syncline.errors import ScopeMissing, Unauthenticated
from syncline.ports import Credential, Scope
from syncline.service.datasets import Datasets
from syncline.service.guests import Guests
from syncline.service.logins import Logins
from syncline.service.presence import Presence
from syncline.service.sharing import Sharing
from syncline.service.subscriptions import Subscriptions
from syncline.service.sync import Syncs


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that resolvers may call. ``logins`` None: there is no issuer, so there are no logins."""

    datasets: Datasets
    guests: Guests
    sharing: Sharing
    syncs: Syncs
    subscriptions: Subscriptions
    presence: Presence
    logins: Logins | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request: who asks, and what may be asked. ``credential`` None: nobody who could be verified."""

    credential: Credential | None
    services: Services
    request_id: str
    caller: str | None = None
    """Whom limits are for that need no credential; None: nobody in particular."""

    @property
    def viewer(self) -> Viewer:
        """Raises Unauthenticated."""
        if self.credential is None:
            raise Unauthenticated("send a token as Authorization: Bearer …")
        return self.credential.viewer

    def require(self, scope: Scope) -> None:
        """Raises ScopeMissing for a caller who is known, and may not do what needs ``scope``."""
        if self.credential is not None and scope not in self.credential.scopes:
            raise ScopeMissing(scope)


Info: TypeAlias = strawberry.Info[Context, None]

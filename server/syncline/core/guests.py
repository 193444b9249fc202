"""Guests: identities that were never signed in, and what a server remembers of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from syncline.core.ids import NO_TENANT, IdentityId, Tenant, identity_id, shown

_GUEST: Final = re.compile(r"guest-[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """``linked_to``: the identity that it signed in as, to which all that it had belongs now. Then it is disabled."""

    identity: IdentityId
    created_at: datetime
    linked_to: IdentityId | None = None
    linked_at: datetime | None = None


def guest_id(number: int, tenant: Tenant = NO_TENANT) -> IdentityId:
    """The identity of a guest, from 128 random bits: knowing it opens nothing, and nobody has it twice."""
    return identity_id(f"guest-{number:032x}", tenant)


def may_be_guest(identity: IdentityId) -> bool:
    """Whether the identity looks like a guest's. All others need not be looked for among the guests."""
    return _GUEST.match(shown(identity)) is not None

"""Sharing: who else may see a dataset and write to it."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncline.core.ids import DatasetId, Epoch, IdentityId, InvitationId
from syncline.core.model import DatasetRef, Role, Viewer
from syncline.core.sharing import (
    AcceptInvitation,
    Act,
    Invitation,
    Invite,
    Member,
    SharingDecision,
    SharingRequest,
)
from syncline.errors import InvalidInput, InvitationNotFound, LimitExceeded
from syncline.metrics import Metrics
from syncline.ports import Clock, Store
from syncline.service.datasets import Datasets, Slice

DEFAULT_INVITATION_LIFETIME = timedelta(days=7)
LONGEST_INVITATION_LIFETIME = timedelta(days=365)
MOST_USES = 1_000

_CODE_BYTES = 18
_MOST_CODE_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A new invitation, and the code that opens it, which nobody can look up again."""

    code: str
    invitation: Invitation


class Sharing:
    """What members can do about each other. Everybody concerned is told through their feeds."""

    def __init__(self, store: Store, datasets: Datasets, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._datasets = datasets
        self._clock = clock
        self._metrics = metrics

    async def do(self, viewer: Viewer, ref: DatasetRef | None, act: Act) -> tuple[SharingDecision, Epoch]:
        """What became of the act, which is durable when this returns. Raises what ``core.sharing.decide`` raises."""
        request = SharingRequest(viewer=viewer, ref=ref, act=act, limits=self._datasets.limits, now=self._clock())
        try:
            shared = await self._store.share(request)
        except LimitExceeded as error:
            self._metrics.over_limit(error.limit)
            raise
        if shared.decision.affected:
            await self._datasets.announce(shared.decision.head, shared.decision.affected)
        return shared.decision, shared.epoch

    async def invite(
        self, viewer: Viewer, ref: DatasetRef, role: Role, *, uses: int, expires_at: datetime | None
    ) -> Invited:
        """Make an invitation that is good ``uses`` times until ``expires_at`` (None: for a week).

        Raises InvalidInput, and what ``do`` raises.
        """
        now = self._clock()
        if not 1 <= uses <= MOST_USES:
            raise InvalidInput("uses", f"must be 1 to {MOST_USES}")
        if expires_at is None:
            expires_at = now + DEFAULT_INVITATION_LIFETIME
        if not now < expires_at <= now + LONGEST_INVITATION_LIFETIME:
            raise InvalidInput("expiresAt", f"must be in the next {LONGEST_INVITATION_LIFETIME.days} days")
        code = secrets.token_urlsafe(_CODE_BYTES)
        act = Invite(
            id=InvitationId(secrets.token_hex(16)),
            code_hash=_hash(code),
            role=role,
            uses=uses,
            expires_at=expires_at,
        )
        decision, _ = await self.do(viewer, ref, act)
        if decision.invitation is None:
            raise RuntimeError("an invitation was made, and is not there")
        return Invited(code=code, invitation=decision.invitation)

    async def accept(self, viewer: Viewer, code: str) -> tuple[SharingDecision, Epoch]:
        """Become a member by an invitation's code. Raises InvitationNotFound, LimitExceeded."""
        if len(code) > _MOST_CODE_CHARACTERS or not code.isascii():
            raise InvitationNotFound
        return await self.do(viewer, None, AcceptInvitation(code_hash=_hash(code)))

    async def members(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None
    ) -> Slice[Member]:
        """The owner first."""
        members = await self._store.members(viewer, dataset, first=first + 1, after=after)
        return Slice(items=members[:first], has_more=len(members) > first)

    async def invitations(self, viewer: Viewer, dataset: DatasetId) -> list[Invitation]:
        """Those that are good now; nobody but the owner sees any."""
        return list(await self._store.invitations(viewer, dataset, now=self._clock()))


def _hash(code: str) -> bytes:
    # The code is as long as it is random: there is nothing to guess, so nothing to make slow.
    return hashlib.sha256(code.encode()).digest()

"""Acts of sharing with defaults, so that a test names only what it is about."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from syncline.core.ids import DatasetId, InvitationId
from syncline.core.limits import Limits
from syncline.core.model import DatasetRef, Role, Viewer
from syncline.core.sharing import Act, Invite, Share, SharingRequest
from syncline.ports import Shared, Store
from tests.support.builders import ALICE, NOW, a_viewer, named

CAROL = a_viewer("carol")
DAVE = a_viewer("dave")
IN_A_DAY = NOW + timedelta(days=1)


def code_hash(code: str) -> bytes:
    return sha256(code.encode()).digest()


def an_invitation_id() -> InvitationId:
    """One that no other call returned."""
    return InvitationId(uuid4().hex)


def an_invitation(
    code: str = "code", *, role: Role = Role.VIEWER, uses: int = 1, expires_at: datetime = IN_A_DAY
) -> Invite:
    """One with an id of its own."""
    return Invite(id=an_invitation_id(), code_hash=code_hash(code), role=role, uses=uses, expires_at=expires_at)


NOTES = named()


def an_act(
    act: Act,
    *,
    viewer: Viewer = ALICE,
    ref: DatasetRef | None = NOTES,
    limits: Limits | None = None,
    now: datetime = NOW,
) -> SharingRequest:
    """Alice's, on her dataset ``notes``, unless said otherwise."""
    return SharingRequest(viewer=viewer, ref=ref, act=act, limits=limits or Limits(), now=now)


async def share(
    store: Store,
    act: Act,
    *,
    viewer: Viewer = ALICE,
    ref: DatasetRef | None = NOTES,
    limits: Limits | None = None,
    now: datetime = NOW,
) -> Shared:
    return await store.share(an_act(act, viewer=viewer, ref=ref, limits=limits, now=now))


async def add_member(store: Store, dataset: DatasetId, member: Viewer, role: Role, *, owner: Viewer = ALICE) -> Shared:
    return await share(store, Share(identity=member.identity, role=role), viewer=owner, ref=DatasetRef(id=dataset))

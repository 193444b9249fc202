"""What the services need from outside, each as a small protocol that states the guarantee, not the mechanism."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType, Protocol

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.feed import Hint
from syncline.core.ids import NO_TENANT, DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Tenant, Version
from syncline.core.limits import Limits
from syncline.core.model import Commit, ConflictPolicy, DatasetHead, DatasetRef, Record, Viewer
from syncline.core.pages import LogRead, Page, PageRequest
from syncline.core.receipts import ChangeOutcome
from syncline.errors import SynclineError

# --- store ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A sync that was decided, now or (``replayed``) when its ``mutationId`` came first.

    ``records`` holds the touched records as they are now. ``page`` is None if the device pulls nothing.
    """

    epoch: Epoch
    head: DatasetHead
    created: bool
    replayed: bool
    commit: Commit | None
    conflicted: bool
    outcomes: tuple[ChangeOutcome, ...]
    records: Mapping[RecordKey, Record]
    page: Page | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMark:
    """Where a dataset stands, for the sweep."""

    version: Version
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an identity's own datasets take up."""

    datasets: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What one batch of housekeeping removed. ``more``: another batch is worth while."""

    tombstones: int
    receipts: int
    datasets: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Oldest:
    """When the oldest of what is kept for a time only was made; None: there is nothing."""

    tombstone: datetime | None
    receipt: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is no longer live is remembered."""

    tombstones: timedelta
    tombstones_per_dataset: int
    receipts: timedelta
    deleted_datasets: timedelta


class Store(Protocol):
    """Keeps datasets, their log and receipts.

    Every method is one transaction on a consistent snapshot. What a method acknowledged by returning is durable; what
    it raised for was not done at all. Reads that begin after a write returned reflect it. Cancelling a waiting caller
    never leaves a write half done: it happens wholly or not at all. All methods raise StoreUnavailable when the store
    cannot be reached.
    """

    async def epoch(self) -> Epoch:
        """The identity of the log."""
        ...

    async def sync(self, request: SyncRequest, page: PageRequest) -> Synced | Resync:
        """Load, ``core.commit.decide``, write and, unless ``request.since`` is None, read a page, as one step.

        Commits of one dataset are decided one after the other, each on the state that the one before left. Raises what
        ``decide`` raises.
        """
        ...

    async def create_dataset(
        self,
        viewer: Viewer,
        name: DatasetName,
        policy: ConflictPolicy,
        *,
        new_id: DatasetId,
        limits: Limits,
        now: datetime,
    ) -> DatasetHead:
        """Raises DatasetExists, LimitExceeded."""
        ...

    async def update_dataset(
        self, viewer: Viewer, ref: DatasetRef, policy: ConflictPolicy, *, now: datetime
    ) -> DatasetHead:
        """Raises DatasetNotFound, DatasetIsDeleted."""
        ...

    async def delete_dataset(self, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
        """Mark the dataset deleted, free its name and drop its records. Raises DatasetNotFound, DatasetIsDeleted."""
        ...

    async def dataset(self, viewer: Viewer, ref: DatasetRef) -> DatasetHead | None:
        """The dataset, by id also a deleted one; None if the viewer has none."""
        ...

    async def datasets(
        self, owner: IdentityId, *, first: int, after: DatasetName | None = None
    ) -> Sequence[DatasetHead]:
        """Live datasets by name, at most ``first``, those named behind ``after``."""
        ...

    async def deleted_datasets(self, owner: IdentityId, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        """Of the datasets named, those that the owner had and deleted and that are still remembered."""
        ...

    async def record(self, dataset: DatasetId, key: RecordKey) -> Record | None:
        """The record, or its tombstone."""
        ...

    async def records(
        self, dataset: DatasetId, *, first: int, after: RecordKey | None = None, prefix: str = ""
    ) -> Sequence[Record]:
        """Live records by key (in the order of its code points), at most ``first``, those behind ``after``."""
        ...

    async def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        """A page of what changed since ``since``; None: since now, so an empty one."""
        ...

    async def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        """Where these datasets stand, in one trip; those never heard of are left out."""
        ...

    async def owned(self, owners: Sequence[IdentityId]) -> Mapping[IdentityId, frozenset[DatasetId]]:
        """The live datasets of each of these identities, in one trip."""
        ...

    async def usage(self, owner: IdentityId) -> Usage: ...

    async def prune(self, retention: Retention, *, now: datetime, batch: int) -> Pruned:
        """Forget at most ``batch`` of each kind of what is past its retention."""
        ...

    async def oldest(self) -> Oldest:
        """Tells whether pruning keeps up."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go of the store."""
        ...


# --- bus --------------------------------------------------------------------------------------------------------------

Topic = NewType("Topic", str)
"""Where hints are published; spelled in ``syncline.topics`` only."""

Listener = Callable[[Hint], None]


class Watch(Protocol):
    """A listener's registration."""

    def close(self) -> None:
        """No hint is delivered after this returns. Closing twice is harmless."""
        ...


class Bus(Protocol):
    """Carries hints between services and nodes. A doorbell: nothing is correct only because a hint arrived."""

    @property
    def up(self) -> bool:
        """Whether hints travel to and from all nodes, as far as this one knows. If not, the sweep is all there is."""
        ...

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called, on the event loop, whenever ``up`` has changed, and when hints may have been lost.

        Each time is a reason to sweep.
        """
        ...

    def publish(self, topic: Topic, hint: Hint) -> None:
        """Ring, without waiting and without raising: a sync that is committed never fails for its hint."""
        ...

    async def watch(self, topic: Topic, listener: Listener) -> Watch:
        """Once this returns, every hint published from now on reaches ``listener``, on the event loop, in order.

        Unless it is lost: then the sweep finds out.
        """
        ...

    async def close(self) -> None: ...


# --- who is calling ---------------------------------------------------------------------------------------------------

Issuer = NewType("Issuer", str)
"""Who made a token and answers for its subject."""
Subject = NewType("Subject", str)
ApiKeyId = NewType("ApiKeyId", str)


class Scope(StrEnum):
    """What a credential may be used for. Tokens may be used for all but acting as others."""

    READ = "read"
    WRITE = "write"
    ACT_AS = "act-as"


USUAL_SCOPES = frozenset({Scope.READ, Scope.WRITE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a caller sent to say who it is; nothing of it is verified. ``headers`` are all of its request's.

    Secrets show in no representation.
    """

    token: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    device: str | None = None
    act_as: str | None = None
    act_as_device: str | None = None
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """With which secret of an API key somebody signed in."""

    key: ApiKeyId
    secret_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A verified credential: whom it stands for, until when, and for what. ``key``: it is an API key."""

    viewer: Viewer
    expires_at: datetime
    scopes: frozenset[Scope] = USUAL_SCOPES
    key: KeyUse | None = None


Ended = Callable[[SynclineError], None]
"""Called, at most once, when a credential does not count any more: Unauthenticated, or what keeps us from knowing."""


class Authenticator(Protocol):
    """Turns what a caller sent into whom it stands for."""

    async def authenticate(self, presented: Presented) -> Credential:
        """Raises Unauthenticated, with a reason that is safe to tell; CredentialUnavailable, StoreUnavailable."""
        ...

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        """Have ``ended`` called, on the event loop, within a second of the credential's being taken back.

        That it expires is for the caller to see: ``expires_at`` says when.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How somebody signs in: at an issuer, as one of its subjects, in a tenant."""

    issuer: Issuer
    subject: Subject
    tenant: Tenant = NO_TENANT


class LoginVerifier(Protocol):
    """Tells whose login a token is."""

    async def login_of(self, token: str) -> Login:
        """Raises Unauthenticated, CredentialUnavailable; InvalidInput for a good token that is no issuer's."""
        ...

    def forget(self, login: Login) -> None:
        """The login has another identity from now on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedLogin:
    """A login and since when it has its identity."""

    login: Login
    identity: IdentityId
    created_at: datetime


class Identities(Protocol):
    """Keeps which login is which identity. Each method is one transaction; all raise StoreUnavailable."""

    async def identity_of(self, login: Login, *, new_identity: IdentityId, now: datetime) -> IdentityId:
        """The login's identity, for ever the same one; ``new_identity`` if it comes for the first time.

        Nodes that ask at the same moment get the same answer.
        """
        ...

    async def link(self, login: Login, identity: IdentityId, *, now: datetime) -> bool:
        """Let the login be ``identity`` from now on; False: it was so already.

        Raises LoginInUse if it is another identity now that owns a dataset, or is a member of one.
        """
        ...

    async def unlink(self, login: Login) -> bool:
        """Forget the login: when it comes again it is a new identity. False: it was not known."""
        ...

    async def logins(self, identity: IdentityId) -> Sequence[LinkedLogin]:
        """All logins of the identity."""
        ...

    async def login(self, login: Login) -> LinkedLogin | None:
        """The login, if it is known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key as it is kept: of its secret only the hash. ``old_hash`` counts until ``old_until``."""

    id: ApiKeyId
    tenant: Tenant
    name: str
    secret_hash: bytes
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime
    old_hash: bytes | None = None
    old_until: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class ApiKeys(Protocol):
    """Keeps API keys. Each method is one transaction; all raise StoreUnavailable."""

    async def add(self, key: ApiKey) -> None: ...

    async def found(self, ids: Sequence[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        """Those of the keys that exist, revoked and expired ones too."""
        ...

    async def all(self) -> Sequence[ApiKey]:
        """Every key, the oldest first."""
        ...

    async def revoke(self, key: ApiKeyId, *, now: datetime) -> ApiKey:
        """Revoke it, if that was not done before. Raises ApiKeyNotFound."""
        ...

    async def rotate(self, key: ApiKeyId, secret_hash: bytes, *, old_until: datetime, expires_at: datetime) -> ApiKey:
        """Give it a new secret; the one before counts until ``old_until``. Raises ApiKeyNotFound for one that is
        not there, or revoked."""
        ...

    async def used(self, keys: Mapping[ApiKeyId, datetime]) -> None:
        """Note when keys were used last."""
        ...


class CompleteStore(Store, Protocol):
    """All that a server keeps."""

    @property
    def identities(self) -> Identities: ...

    @property
    def api_keys(self) -> ApiKeys: ...


Clock = Callable[[], datetime]
"""Now, aware and in UTC."""

"""What the services need from outside, each as a small protocol that states the guarantee, not the mechanism."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NewType, Protocol

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.feed import Hint
from syncline.core.ids import NO_TENANT, DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Tenant, Version
from syncline.core.limits import Limits
from syncline.core.linking import Linked, LinkRequest
from syncline.core.model import (
    Commit,
    ConflictPolicy,
    DatasetHead,
    DatasetRef,
    DatasetScope,
    Record,
    Role,
    Standing,
    Viewer,
)
from syncline.core.pages import LogRead, Page, PageRequest
from syncline.core.receipts import ChangeOutcome
from syncline.core.sharing import Invitation, Member, SharingDecision, SharingRequest
from syncline.errors import SynclineError

# --- store ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A sync that was decided, now or (``replayed``) when its ``mutationId`` came first.

    ``records`` holds the touched records as they are now. ``page`` is None if the device pulls nothing.
    """

    epoch: Epoch
    head: DatasetHead
    role: Role
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
    scope: int
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who sees a dataset, as of a scope."""

    scope: int
    roles: Mapping[IdentityId, Role]
    """Its owner's and its members'; of a deleted dataset, those that were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What became of an act of sharing."""

    epoch: Epoch
    decision: SharingDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestLink:
    """What became of a link. ``heads``: the datasets that are others than before; ``replayed``: it was done before."""

    epoch: Epoch
    linked: Linked
    heads: tuple[DatasetHead, ...]
    replayed: bool


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
    audit: int = 0


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
    audit: timedelta = timedelta(days=365)
    erasures: timedelta = timedelta(days=400)
    """How long an erased identity is refused; longer than any credential is good."""


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
        """Raises DatasetNotFound, DatasetIsDeleted, Forbidden."""
        ...

    async def delete_dataset(self, viewer: Viewer, ref: DatasetRef, *, now: datetime) -> DatasetHead:
        """Mark the dataset deleted, free its name and drop its records.

        Who its members were is remembered as long as it is. Raises DatasetNotFound, DatasetIsDeleted, Forbidden.
        """
        ...

    async def share(self, request: SharingRequest) -> Shared:
        """Load, ``core.sharing.decide`` and write, as one step. Raises what ``decide`` raises.

        A sync of the same dataset is decided wholly before, or wholly after.
        """
        ...

    # Guests. What is written in the name of one that was linked, and what one looks for and does not find, raises
    # GuestLinked: whatever a guest does is done wholly before its link, and moves with it, or not at all.

    async def create_guest(self, guest: IdentityId, *, now: datetime) -> None:
        """Remember that there is this guest."""
        ...

    async def link_guest(self, request: LinkRequest) -> GuestLink:
        """Load, ``core.linking.plan`` and write, as one step.

        The same again by the same identity gives the first outcome, whatever the rule, as long as receipts are kept.
        Raises GuestLinked (another identity was first, or it is longer ago than that), LimitExceeded.
        """
        ...

    async def linked_guests(self, guests: Sequence[IdentityId]) -> frozenset[IdentityId]:
        """Those of the guests that were linked, in one trip."""
        ...

    # What a viewer may read. Nobody else's datasets are ever found.

    async def dataset(self, viewer: Viewer, ref: DatasetRef) -> Standing | None:
        """The dataset, by id also a deleted one; None if the viewer sees none."""
        ...

    async def datasets(
        self, viewer: Viewer, scope: DatasetScope, *, first: int, after: tuple[DatasetName, DatasetId] | None = None
    ) -> Sequence[Standing]:
        """Live datasets by name and id, at most ``first``, those behind ``after``."""
        ...

    async def deleted_datasets(self, viewer: Viewer, ids: Sequence[DatasetId]) -> Sequence[DatasetHead]:
        """Of the datasets named, those that the viewer saw, that were deleted and that are still remembered."""
        ...

    async def record(self, viewer: Viewer, dataset: DatasetId, key: RecordKey) -> Record | None:
        """The record, or its tombstone; None if there is none, or the viewer does not see the dataset."""
        ...

    async def records(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: RecordKey | None = None, prefix: str = ""
    ) -> Sequence[Record]:
        """Live records by key (in the order of its code points), at most ``first``, those behind ``after``."""
        ...

    async def read_log(self, viewer: Viewer, ref: DatasetRef, since: Since | None, page: PageRequest) -> LogRead:
        """A page of what changed since ``since``; None: since now, so an empty one."""
        ...

    async def members(
        self, viewer: Viewer, dataset: DatasetId, *, first: int, after: IdentityId | None = None
    ) -> Sequence[Member]:
        """The owner first, then the others by identity, at most ``first``, those behind ``after``."""
        ...

    async def invitations(self, viewer: Viewer, dataset: DatasetId, *, now: datetime) -> Sequence[Invitation]:
        """Those that are good at ``now``, the oldest first. Only its owner sees any."""
        ...

    # What the node reads for itself, to deliver to those who may see it.

    async def node_log(self, tenant: Tenant, dataset: DatasetId, since: Since | None, page: PageRequest) -> LogRead:
        """As ``read_log``, whoever the dataset belongs to within the tenant."""
        ...

    async def access(self, tenant: Tenant, dataset: DatasetId) -> Access | None:
        """Who sees the dataset; None if there never was one."""
        ...

    async def heads(self, datasets: Sequence[DatasetId]) -> Mapping[DatasetId, HeadMark]:
        """Where these datasets stand, in one trip; those never heard of are left out."""
        ...

    async def visible(self, identities: Sequence[IdentityId]) -> Mapping[IdentityId, Mapping[DatasetId, Role]]:
        """The live datasets that each of these identities sees, in one trip."""
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


# --- what was erased --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureMark:
    """Another one whenever an identity was erased, or is no longer refused."""

    count: int
    numbers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures:
    """The identities that are refused because they were erased, by ``core.ids.erased_hash``."""

    mark: ErasureMark
    hashes: frozenset[bytes]


class Erased(Protocol):
    """Knows which identities were erased."""

    async def erasures(self, known: ErasureMark | None) -> Erasures | None:
        """All of them; None if they are those of the mark ``known``. Raises StoreUnavailable."""
        ...


Held = tuple[str, Mapping[str, Any]]
"""A row that is held about an identity: of which kind it is, and what is in it, ready to be told as JSON."""


# --- bus --------------------------------------------------------------------------------------------------------------

Topic = NewType("Topic", str)
"""Where hints are published; spelled in ``syncline.topics`` only."""

Listener = Callable[[Hint], None]
Ear = Callable[[bytes], None]
"""Listens for letters."""

MAX_LETTER_BYTES: Final = 8 * 1024
"""So that letters can be written in a moment, and no hint waits long behind one."""


class Watch(Protocol):
    """A listener's registration."""

    def close(self) -> None:
        """No hint or letter is delivered after this returns. Closing twice is harmless."""
        ...


class Bus(Protocol):
    """Carries hints between services and nodes. A doorbell: nothing is correct only because a hint arrived.

    Beside them it carries letters, for what is in no log and may be lost: bytes that mean something to who wrote them.
    """

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

    def tell(self, topic: Topic, letter: bytes) -> None:
        """Send a letter, without waiting. Nobody finds out if it is lost, and it never takes the place of a hint.

        Raises ValueError for one of more than MAX_LETTER_BYTES.
        """
        ...

    async def listen(self, topic: Topic, ear: Ear) -> Watch:
        """Once this returns, the letters on the topic reach ``ear`` on the event loop, in order, each once at most.

        Those of this node too. What is damaged, is no letter, or was not written by a node of ours, is left out.
        """
        ...

    async def close(self) -> None: ...


# --- how much of it ---------------------------------------------------------------------------------------------------


class GuestAdmission(Protocol):
    """Says whether one more may become a guest, which needs no credential and costs a row for good."""

    async def new_guest(self, caller: str | None) -> None:
        """``caller``: whom the limit is for; None: nobody in particular. Raises RateLimited."""
        ...


class SharedLimits(Protocol):
    """What nodes count together, so that a limit holds over all of them.

    It helps, and is never needed: no method raises, each answers within a moment, and None means that nothing is known
    of the others now. Holders are whom a limit is for. A node that ends without a word is counted on for a minute.
    """

    async def claim(self, holder: str, *, mine: int, most: int) -> int | None:
        """Have this node count ``mine`` for the holder from now on, unless that and the others' are over ``most``.

        Returns what the others count. One after the other of concurrent claims is decided, on whatever node.
        """
        ...

    def count(self, holder: str, mine: int) -> None:
        """This node counts ``mine`` from now on; the others learn of it soon."""
        ...

    async def hit(self, holder: str, *, per_minute: int) -> float | None:
        """One more of what may be done ``per_minute``; the seconds to wait if that is too often, else 0."""
        ...


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
    PRIVACY = "privacy"


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
    guest: bool = False
    """The identity was never signed in."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedData:
    """What was removed, by what it is. ``left``: where something is yet; ``in_files``: None, they are not ours."""

    counts: Mapping[str, int]
    left: Sequence[str]
    in_files: int | None


class IdentityData(Protocol):
    """All that is held about an identity, whoever sees it. All methods raise StoreUnavailable."""

    async def note_export(self, identity: IdentityId, *, operator: str, now: datetime) -> None:
        """Have the audit log say that there is an export."""
        ...

    def held(self, identity: IdentityId) -> AsyncGenerator[Sequence[Held], None]:
        """All of it as of one moment, in batches."""
        ...

    async def erase(self, identity: IdentityId, *, operator: str, now: datetime) -> ErasedData:
        """Remove all of it, and look whether that is so. Cut short, it is ended by another call."""
        ...


class CompleteStore(Store, Erased, Protocol):
    """All that a server keeps."""

    @property
    def identities(self) -> Identities: ...

    @property
    def api_keys(self) -> ApiKeys: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestToken:
    """What a guest's device shows from now on, until it expires or is renewed."""

    text: str
    viewer: Viewer
    expires_at: datetime
    renewable_until: datetime


class GuestTokens(Protocol):
    """Makes guests' tokens, and knows them again."""

    def mint(self, viewer: Viewer) -> GuestToken: ...

    def read(self, text: str) -> Viewer:
        """Whose the token is; it may have expired, as long as it can be renewed yet. Raises Unauthenticated."""
        ...


Clock = Callable[[], datetime]
"""Now, aware and in UTC."""

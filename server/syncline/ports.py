"""What the services need from outside, each as a small protocol that states the guarantee, not the mechanism."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NewType, Protocol

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync, SyncRequest
from syncline.core.feed import Hint
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Version
from syncline.core.limits import Limits
from syncline.core.model import Commit, ConflictPolicy, DatasetHead, DatasetRef, Record, Viewer
from syncline.core.pages import LogRead, Page, PageRequest
from syncline.core.receipts import ChangeOutcome

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


# --- who is calling ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A verified credential: whom it stands for, and until when."""

    viewer: Viewer
    expires_at: datetime


class Authenticator(Protocol):
    """Turns what a caller sent into whom it stands for."""

    async def authenticate(self, token: str) -> Credential:
        """Raises Unauthenticated, with a reason that is safe to tell."""
        ...


Clock = Callable[[], datetime]
"""Now, aware and in UTC."""

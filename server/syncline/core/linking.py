"""Linking: a guest signs in, and what it had becomes the account's.

A store loads a ``LinkState``, asks ``plan``, and writes what it answers, all in one transaction. As with syncs, the
decision is pure. What no name stands in the way of just changes hands: it keeps its id, version and checkpoints. The
rule says what happens to a dataset of the guest's whose name the account has, too:

* ``KEEP_BOTH``: the guest's gets a free name, and keeps all else.
* ``MERGE``: one commit puts the guest's live records into the account's dataset; then the guest's is deleted. What only
  the guest has is written, also if the account removed it once; fields that only the guest's object has are added to
  the account's. What both have and differs is a conflict: the account's stays, and both are reported.
* ``PREFER_ACCOUNT``: the guest's is deleted.
* ``PREFER_GUEST``: the account's is deleted, and the guest's takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import assert_never

from syncline.core.guests import may_be_guest
from syncline.core.ids import DatasetId, DatasetName, Epoch, IdentityId, RecordKey, Version, tenant_of
from syncline.core.json_values import JsonText, parsed, same, same_value, unparsed
from syncline.core.limits import Limits
from syncline.core.model import Author, Commit, DatasetHead, Position, Record, Role, Viewer
from syncline.core.sharing import Member
from syncline.errors import Forbidden, InvalidInput

_MOST_NAME_CHARACTERS = 128


class LinkRule(StrEnum):
    """What becomes of a guest's dataset whose name the account has, too."""

    KEEP_BOTH = "KEEP_BOTH"
    MERGE = "MERGE"
    PREFER_ACCOUNT = "PREFER_ACCOUNT"
    PREFER_GUEST = "PREFER_GUEST"


class LinkFate(StrEnum):
    """What became of a guest's dataset."""

    MOVED = "MOVED"
    RENAMED = "RENAMED"
    MERGED = "MERGED"
    DROPPED = "DROPPED"
    REPLACED = "REPLACED"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest:
    """A viewer takes over what the guest has."""

    guest: IdentityId
    viewer: Viewer
    rule: LinkRule
    limits: Limits
    now: datetime

    def check(self) -> None:
        """Raises Forbidden, InvalidInput for those who cannot be linked, whatever they have."""
        if self.guest == self.viewer.identity:
            raise InvalidInput("guestToken", "is of the viewer itself: sign in, then link the guest that it was before")
        if may_be_guest(self.viewer.identity):
            raise Forbidden("a guest cannot take over what another guest has: sign in first")
        if tenant_of(self.guest) != tenant_of(self.viewer.identity):
            raise Forbidden("the guest is not of the viewer's tenant")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestMembership:
    """A live dataset of somebody else's, the account's maybe, in which the guest is a member."""

    head: DatasetHead
    guest: Member
    account: Role | None
    """The account's standing there before; None: it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """What a store knows that bears on a link. All datasets are live ones."""

    epoch: Epoch
    guests: Sequence[DatasetHead]
    accounts: Sequence[DatasetHead]
    shared: Sequence[GuestMembership]
    records: Mapping[DatasetId, Mapping[RecordKey, Record]]
    """Of the datasets that ``to_merge`` names, tombstones included."""


# --- outcomes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedDataset:
    """A dataset that was the guest's. ``accounts``: the account's of the same name, if there was one."""

    id: DatasetId
    name: DatasetName
    """As it is now; of one that is gone, as it was."""
    former_name: DatasetName
    fate: LinkFate
    accounts: DatasetId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedMembership:
    """A dataset of somebody else's that the guest was a member of, with the account's role there now."""

    id: DatasetId
    name: DatasetName
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConflict:
    """A record that both had, with different values. The account's stayed."""

    dataset: DatasetId
    """The account's."""
    name: DatasetName
    key: RecordKey
    account_value: JsonText
    guest_value: JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What became of all that the guest had: the answer, now and whenever the same is asked again."""

    guest: IdentityId
    rule: LinkRule
    linked_at: datetime
    datasets: tuple[LinkedDataset, ...]
    memberships: tuple[LinkedMembership, ...]
    conflicts: tuple[LinkConflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """What the store has to write, in this order; then all else of the guest's becomes the account's."""

    deleted: tuple[DatasetHead, ...]
    """As they are from now on."""
    heads: tuple[DatasetHead, ...]
    """Live datasets that have another owner, name, scope or content than before, as they are from now on."""
    commits: tuple[Commit, ...]
    put_members: tuple[tuple[DatasetId, Member], ...]
    dropped_members: tuple[tuple[DatasetId, IdentityId], ...]
    linked: Linked


# --- decisions --------------------------------------------------------------------------------------------------------


def to_merge(rule: LinkRule, guests: Iterable[DatasetHead], accounts: Iterable[DatasetHead]) -> frozenset[DatasetId]:
    """The datasets whose records the plan needs."""
    if rule is not LinkRule.MERGE:
        return frozenset()
    named = {head.name: head for head in accounts}
    return frozenset(each.id for head in guests if head.name in named for each in (head, named[head.name]))


def plan(request: LinkRequest, state: LinkState) -> LinkPlan:
    """Decide what becomes of everything that the guest has. Raises LimitExceeded; then nothing is to be written."""
    drafts = _Draft(request, state)
    for head in sorted(state.guests, key=lambda head: head.name):
        drafts.take(head)
    for membership in sorted(state.shared, key=lambda membership: membership.head.id):
        drafts.take_membership(membership)
    owned = len(drafts.names)
    if owned > len(state.accounts):
        request.limits.check_datasets(owned)
    return drafts.plan()


class _Draft:
    """The plan in the making. ``names``: the account's live datasets as they will be."""

    def __init__(self, request: LinkRequest, state: LinkState) -> None:
        self._request = request
        self._state = state
        self._account = request.viewer.identity
        self.names = {head.name: head for head in state.accounts}
        self._guests_names = {head.name for head in state.guests}
        self._heads: dict[DatasetId, DatasetHead] = {}
        self._deleted: list[DatasetHead] = []
        self._commits: list[Commit] = []
        self._put: list[tuple[DatasetId, Member]] = []
        self._dropped: list[tuple[DatasetId, IdentityId]] = []
        self._datasets: list[LinkedDataset] = []
        self._memberships: list[LinkedMembership] = []
        self._conflicts: list[LinkConflict] = []

    def plan(self) -> LinkPlan:
        return LinkPlan(
            deleted=tuple(self._deleted),
            heads=tuple(self._heads.values()),
            commits=tuple(self._commits),
            put_members=tuple(self._put),
            dropped_members=tuple(self._dropped),
            linked=Linked(
                guest=self._request.guest,
                rule=self._request.rule,
                linked_at=self._request.now,
                datasets=tuple(self._datasets),
                memberships=tuple(self._memberships),
                conflicts=tuple(self._conflicts),
            ),
        )

    def take(self, head: DatasetHead) -> None:
        """A dataset of the guest's."""
        namesake = self.names.get(head.name)
        if namesake is None:
            self._move(head, head.name, LinkFate.MOVED, None)
            return
        match self._request.rule:
            case LinkRule.KEEP_BOTH:
                self._move(head, self._free_name(head.name), LinkFate.RENAMED, namesake)
            case LinkRule.MERGE:
                self._merge(head, namesake)
                self._delete(head)
                self._report(head, head.name, LinkFate.MERGED, namesake)
            case LinkRule.PREFER_ACCOUNT:
                self._delete(head)
                self._report(head, head.name, LinkFate.DROPPED, namesake)
            case LinkRule.PREFER_GUEST:
                self._delete(namesake)
                self._move(head, head.name, LinkFate.REPLACED, namesake)
            case _:
                assert_never(self._request.rule)

    def take_membership(self, membership: GuestMembership) -> None:
        """The account stands where the guest stood, unless it stands higher already."""
        head, role = membership.head, membership.guest.role
        if any(head.id == deleted.id for deleted in self._deleted):
            # It was the account's own, which was replaced.
            return
        head = self._heads.get(head.id, head)
        self._heads[head.id] = replace(head, scope=membership.head.scope + 1)
        self._dropped.append((head.id, self._request.guest))
        before = membership.account
        if before is None or (role.writes and not before.writes):
            self._put.append((head.id, replace(membership.guest, identity=self._account)))
        else:
            role = before
        if role is not Role.OWNER:
            self._memberships.append(LinkedMembership(id=head.id, name=head.name, role=role))

    def _move(self, head: DatasetHead, name: DatasetName, fate: LinkFate, namesake: DatasetHead | None) -> None:
        moved = replace(
            head, owner=self._account, name=name, scope=head.scope + 1, updated_by=self._author(head.updated_by)
        )
        self._heads[head.id] = self.names[name] = moved
        # An owner is no member: it may have been one.
        self._dropped.append((head.id, self._account))
        self._report(head, name, fate, namesake)

    def _author(self, author: Author | None) -> Author | None:
        if author is None or author.identity != self._request.guest:
            return author
        return replace(author, identity=self._account)

    def _delete(self, head: DatasetHead) -> None:
        """It becomes the account's, too, which is how the account's devices are told that it is gone."""
        request = self._request
        self._deleted.append(
            replace(
                head,
                owner=self._account,
                record_count=0,
                size_bytes=0,
                scope=head.scope + 1,
                updated_at=request.now,
                updated_by=request.viewer.author,
                deleted_at=request.now,
            )
        )

    def _report(self, head: DatasetHead, name: DatasetName, fate: LinkFate, namesake: DatasetHead | None) -> None:
        self._datasets.append(
            LinkedDataset(
                id=head.id,
                name=name,
                former_name=head.name,
                fate=fate,
                accounts=None if namesake is None else namesake.id,
            )
        )

    def _free_name(self, name: DatasetName) -> DatasetName:
        for number in count(2):
            end = f"-{number}"
            free = DatasetName(name[: _MOST_NAME_CHARACTERS - len(end)] + end)
            if free not in self.names and free not in self._guests_names:
                return free
        raise AssertionError("numbers do not end")

    # --- merging ------------------------------------------------------------------------------------------------------

    def _merge(self, guests: DatasetHead, accounts: DatasetHead) -> None:
        theirs, ours = self._state.records[guests.id], self._state.records[accounts.id]
        written: list[Record] = []
        records, size = accounts.record_count, accounts.size_bytes
        for key in sorted(theirs):
            theirs_now, ours_now = theirs[key], ours.get(key)
            if theirs_now.value is None:
                continue
            value = theirs_now.value
            if ours_now is not None and ours_now.value is not None:
                value, differ = merged(ours_now.value, theirs_now.value)
                if differ:
                    self._conflicts.append(
                        LinkConflict(
                            dataset=accounts.id,
                            name=accounts.name,
                            key=key,
                            account_value=ours_now.value,
                            guest_value=theirs_now.value,
                        )
                    )
                if value == ours_now.value:
                    continue
            record = Record(
                key=key,
                value=value,
                version=Version(accounts.version + 1),
                ordinal=len(written),
                updated_at=self._request.now,
                updated_by=self._request.viewer.author,
                device_time=theirs_now.device_time,
            )
            written.append(record)
            records += ours_now is None or ours_now.deleted
            size += record.size_bytes - (0 if ours_now is None else ours_now.size_bytes)
        if not written:
            return
        self._request.limits.check_growth(
            records=records, records_before=accounts.record_count, size=size, size_before=accounts.size_bytes
        )
        self._commit(accounts, written, records=records, size=size)

    def _commit(self, head: DatasetHead, written: Sequence[Record], *, records: int, size: int) -> None:
        after = replace(
            head,
            version=Version(head.version + 1),
            record_count=records,
            size_bytes=size,
            updated_at=self._request.now,
            updated_by=self._request.viewer.author,
        )
        self._heads[head.id] = self.names[head.name] = after
        self._commits.append(
            Commit(
                dataset=head.id,
                epoch=self._state.epoch,
                previous=Position(head.version),
                position=Position(after.version),
                author=self._request.viewer.author,
                records=tuple(written),
                scope=head.scope,
            )
        )


def merged(accounts: JsonText, guests: JsonText) -> tuple[JsonText, bool]:
    """What stands for both, and whether they differ in what both have: then the account's stands.

    Objects are joined field by field, at the top only.
    """
    if same(accounts, guests):
        return accounts, False
    ours, theirs = parsed(accounts), parsed(guests)
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return accounts, True
    differ = any(not same_value(ours[name], value) for name, value in theirs.items() if name in ours)
    added = {name: value for name, value in theirs.items() if name not in ours}
    return (unparsed({**ours, **added}) if added else accounts), differ

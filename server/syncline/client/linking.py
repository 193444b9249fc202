"""A guest's device goes on as a device of the account that the guest signed in to, with what it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from syncline.client.database import Database
from syncline.client.dataset import Connection, Dataset
from syncline.client.local import LocalDataset
from syncline.core.checkpoint import ResyncReason
from syncline.core.ids import DatasetName, MutationId
from syncline.core.linking import LinkFate, LinkRule

RENEW = "mutation Renew($guest: String!) { renewGuest(guestToken: $guest) { token } }"

LINK = """mutation Link($guest: String!, $rule: LinkRule!) {
  linkGuest(guestToken: $guest, rule: $rule) {
    guestId rule
    datasets { datasetId name formerName fate }
    memberships { datasetId name role }
    conflicts { datasetId name key accountValue guestValue }
  }
}"""


class _Struct(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    pass


class LinkedDataset(_Struct, frozen=True):
    """A dataset that was the guest's, and what became of it."""

    dataset_id: str
    name: str
    former_name: str
    fate: LinkFate


class LinkedMembership(_Struct, frozen=True):
    """Somebody else's dataset that the guest was a member of."""

    dataset_id: str
    name: str
    role: str


class LinkConflict(_Struct, frozen=True):
    """A record that both had, and not alike. The account's stayed."""

    dataset_id: str
    name: str
    key: str
    account_value: Any
    guest_value: Any


class LinkedGuest(_Struct, frozen=True):
    """What became of all that the guest had."""

    guest_id: str
    rule: LinkRule
    datasets: list[LinkedDataset]
    memberships: list[LinkedMembership]
    conflicts: list[LinkConflict]


class LinkData(_Struct, frozen=True):
    link_guest: LinkedGuest


class _Token(_Struct, frozen=True):
    token: str


class RenewData(_Struct, frozen=True):
    renew_guest: _Token


async def settle_as_guest(database: Database, dataset: Callable[[DatasetName], Dataset]) -> None:
    """Find out what became of each push that was begun and never answered, while the guest may still ask.

    Raises GuestLinked: it may not any more.
    """
    for (name,) in database.rows("SELECT dataset FROM batches"):
        await dataset(DatasetName(name)).settle()


def adopt(database: Database, linked: LinkedGuest, connection: Connection) -> None:
    """Make the cache one of the account's, as far as it holds what was the guest's. Doing it twice changes nothing."""
    with database.transaction():
        for each in linked.datasets:
            former = DatasetName(each.former_name)
            if database.value("SELECT id FROM datasets WHERE name = ?", former) != each.dataset_id:
                continue
            match each.fate:
                case LinkFate.RENAMED:
                    _rename(database, former, DatasetName(each.name))
                case LinkFate.MERGED | LinkFate.DROPPED:
                    # The name stands for the account's dataset now, in which versions are other ones.
                    local = LocalDataset(database, former, now=connection.now, new_mutation_id=_none_is_made)
                    local.resync(ResyncReason.EPOCH_CHANGED, since=local.cache.standing().checkpoint)
                case LinkFate.MOVED | LinkFate.REPLACED:
                    pass


def _none_is_made() -> MutationId:
    raise AssertionError("starting over sends nothing")


def _rename(database: Database, former: DatasetName, name: DatasetName) -> None:
    if database.row("SELECT 1 FROM datasets WHERE name = ?", name) is not None:
        # This device made one of that name offline, which the server never heard of. It becomes the one that is there.
        return
    database.execute("UPDATE datasets SET name = ? WHERE name = ?", name, former)
    for table in ("records", "edits", "batches"):
        database.execute(f"UPDATE {table} SET dataset = ? WHERE dataset = ?", name, former)  # noqa: S608 (our own text)

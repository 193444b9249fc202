"""Databases to copy: one with everything that can be stored, and one that is large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from syncline.core.changes import Absent, AddToSet, AnyState, Increment, Merge
from syncline.core.commit import SyncRequest
from syncline.core.guests import guest_id
from syncline.core.ids import DatasetId, IdentityId, RecordKey
from syncline.core.limits import Limits
from syncline.core.linking import LinkRequest, LinkRule
from syncline.core.model import ConflictPolicy, Role
from syncline.core.sharing import AcceptInvitation, Share, TransferOwnership
from syncline.ports import CompleteStore, Retention
from syncline.storage.sqlite_database import open_database
from tests.support.builders import ALICE, ALICES_LAPTOP, BOB, NOW, a_request, a_viewer, named, put, remove, text
from tests.support.logins import a_login, an_api_key
from tests.support.sharing import an_invitation, code_hash, share
from tests.support.stores import create, synced, write

OTHER_SCRIPTS = a_viewer("Ünï😀-identity", device="📱")
NEW_GUEST = guest_id(1)
"""Has not signed in."""
NO_DEVICE = a_viewer("carol", device=None)
VIEWERS = (ALICE, BOB, OTHER_SCRIPTS, NO_DEVICE)
KEYS = ("plain", "ключ", "鍵", "👩‍👩‍👧‍👦", "z̈", "'; --", "\\N", "tab\tline\n", "\U0010ffff", "\ue000", "a" * 256)
VALUES: Sequence[object] = (
    *(None, True, -0.5, 2**53, "\\ \x01 \u2028 😀", [], {}, {"ä": [1, {"😀": None}]}),
    "x" * 200_000,
)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """What there is to look for."""

    datasets: Sequence[DatasetId]
    requests: Sequence[SyncRequest]
    """Each left a receipt that is still there."""
    link: LinkRequest
    """Of a guest that has signed in."""


async def fill(store: CompleteStore) -> Full:
    """Write everything that can be stored."""
    requests: list[SyncRequest] = []
    datasets: set[DatasetId] = set()

    async def sync(request: SyncRequest) -> None:
        datasets.add((await synced(store, request)).head.id)
        requests.append(request)

    # What is pruned from here on: a tombstone, a receipt, and a dataset that was deleted long ago.
    await write(store, put("kept"), put("pruned"), viewer=ALICE, now=NOW - 200 * _DAY)
    await write(store, remove("pruned"), viewer=ALICE, now=NOW - 199 * _DAY)
    await store.prune(
        Retention(tombstones=_DAY, tombstones_per_dataset=10, receipts=_DAY, deleted_datasets=_DAY), now=NOW, batch=100
    )
    for viewer in VIEWERS:
        for number, value in enumerate(VALUES):
            await sync(a_request(*(put(key, [value, key]) for key in KEYS[number : number + 3]), viewer=viewer))
        await sync(a_request(*(remove(key) for key in KEYS[:2]), viewer=viewer, ref=named()))
        await sync(a_request(put("when", 1, device_time=NOW - _DAY), viewer=viewer, ref=named("other:Dataset")))
    key = RecordKey("merged")
    await sync(a_request(put("merged", {"a": 1}), viewer=ALICE))
    await sync(a_request(Merge(key=key, patch=text({"b": 2, "ü😀": 3}), base=AnyState()), viewer=ALICES_LAPTOP))
    await sync(a_request(Increment(key=RecordKey("count"), by=2), viewer=ALICE))
    tags = RecordKey("tags")
    await sync(a_request(put("tags", []), viewer=ALICE))
    await sync(a_request(AddToSet(key=tags, members=(text("theirs"),)), viewer=ALICES_LAPTOP))
    await sync(a_request(AddToSet(key=tags, members=(text("mine"),)), viewer=ALICE))
    # Receipts of conflicts, of a change that cannot be applied, and of both beside one that was.
    conflict = put("merged", 0, base=Absent())
    await sync(a_request(conflict, viewer=ALICE))
    await sync(a_request(conflict, Increment(key=key, by=1), put("other", 1), viewer=ALICE, atomic=False))
    # Deleted, once with a new one of the same name; and one that is empty.
    for again in (True, False):
        ref = named(f"deleted-{again}")
        await sync(a_request(put("gone"), viewer=BOB, ref=ref))
        datasets.add((await store.delete_dataset(BOB, ref, now=NOW + _DAY)).id)
        if again:
            await sync(a_request(put("anew"), viewer=BOB, ref=ref))
    datasets.add((await create(store, named("empty"), viewer=BOB)).id)
    await store.update_dataset(BOB, named("empty"), ConflictPolicy.MERGE, now=NOW + _DAY)
    await _sign_in(store)
    datasets |= await _share(store)
    link = LinkRequest(guest=guest_id(2), viewer=BOB, rule=LinkRule.MERGE, limits=Limits(), now=NOW)
    await store.create_guest(NEW_GUEST, now=NOW)
    await store.link_guest(link)
    return Full(datasets=sorted(datasets), requests=requests, link=link)


async def _share(store: CompleteStore) -> set[DatasetId]:
    """Members and invitations of a live dataset, what is left of those of a deleted one, and one that changed hands."""
    for act in (
        Share(identity=BOB.identity, role=Role.EDITOR),
        Share(identity=OTHER_SCRIPTS.identity, role=Role.VIEWER),
        an_invitation("used"),
        an_invitation("unused", uses=7, role=Role.EDITOR),
        an_invitation("expired", expires_at=NOW),
    ):
        await share(store, act)
    await share(store, AcceptInvitation(code_hash=code_hash("used")), viewer=NO_DEVICE, ref=None)
    gone = named("shared-and-deleted")
    deleted = await create(store, gone, viewer=BOB)
    await share(store, Share(identity=ALICE.identity, role=Role.EDITOR), viewer=BOB, ref=gone)
    await store.delete_dataset(BOB, gone, now=NOW)
    handed = named("handed-over")
    alices = await write(store, put("a"), remove("b"), viewer=BOB, ref=handed)
    await share(store, Share(identity=ALICE.identity, role=Role.VIEWER), viewer=BOB, ref=handed)
    await share(store, TransferOwnership(identity=ALICE.identity), viewer=BOB, ref=handed)
    return {deleted.id, alices.head.id}


async def _sign_in(store: CompleteStore) -> None:
    """Logins, two of one identity, and keys of every state."""
    for subject in ("plain", "Ünï😀", "other"):
        await store.identities.identity_of(a_login(subject), new_identity=OTHER_SCRIPTS.identity, now=NOW)
    used, rotated, revoked = an_api_key("used"), an_api_key("rotated"), an_api_key("revoked")
    for key in (used, rotated, revoked):
        await store.api_keys.add(key)
    await store.api_keys.used({used.id: NOW})
    await store.api_keys.rotate(rotated.id, b"n" * 32, old_until=NOW, expires_at=NOW + _DAY)
    await store.api_keys.revoke(revoked.id, now=NOW)


def fill_large(path: Path, *, records: int) -> None:
    """So many records, half as many receipts, and for each 500 records a dataset and one row of all else."""
    database = open_database(path, None)
    connection = database.writes.connection
    per_dataset = 500
    connection.execute("BEGIN")
    for number in range(1, records // per_dataset + 1):
        connection.execute(
            "INSERT INTO datasets VALUES"
            " (?1, randomblob(16), ?2, 'notes', ?3, ?3, 1, 'REJECT', 1, 1, NULL, NULL, 0, 0, NULL, 1)",
            (number, f"owner-{number}", per_dataset),
        )
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
            " INSERT INTO records SELECT ?1, 'key-' || i, '\"' || hex(randomblob(30)) || '\"', i, 0, 1, 'a', 'p',"
            " NULL, NULL, NULL FROM n",
            (number, per_dataset),
        )
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
            " INSERT INTO receipts SELECT 'owner-' || ?1, 'phone', 'm-' || i, randomblob(16), randomblob(16), i,"
            " '[\"APPLIED\"]', 1 FROM n",
            (number, per_dataset // 2),
        )
        connection.execute("INSERT INTO guests VALUES (?1, 1, NULL, NULL, NULL)", (guest_id(number),))
        connection.execute("INSERT INTO members VALUES (?1, 'a-member', 'EDITOR', 1)", (number,))
        connection.execute(
            "INSERT INTO invitations VALUES (randomblob(16), randomblob(32), ?1, 'VIEWER', 1, 1, 2)", (number,)
        )
        connection.execute("INSERT INTO logins VALUES ('issuer', 'subject-' || ?1, '', 'owner-' || ?1, 1)", (number,))
        connection.execute(
            "INSERT INTO api_keys VALUES"
            " ('key-' || ?1, '', 'a key', randomblob(32), NULL, NULL, 'read', 1, 2, NULL, NULL)",
            (number,),
        )
        connection.execute(
            "INSERT INTO audit VALUES (?1, 1, '', 'owner-' || ?1, 'phone', NULL, 'SHARE', NULL, 'a-member', '{}')",
            (number,),
        )
        connection.execute(
            "INSERT INTO erased_identities VALUES (?1, randomblob(32), 'erased-' || ?1, 1, 2)", (number,)
        )
    connection.execute("COMMIT")
    database.close()


OWNERS = [IdentityId(viewer.identity) for viewer in VIEWERS]

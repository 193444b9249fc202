"""A guest signs in, as one transaction: lock, load, plan, write.

Locks are taken in the order in which all others take them: guests, then datasets by their ids, then owners by theirs.
Whoever writes in a guest's name shares its row, so the link comes before or after. Syncs lock nothing when they are
decided; they find by the stamps that a dataset, or the number of datasets of an owner, is another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg

from syncline.core.audit import audited_link
from syncline.core.guests import may_be_guest
from syncline.core.ids import Epoch, IdentityId
from syncline.core.linking import GuestMembership, LinkPlan, LinkRequest, LinkState, plan, to_merge
from syncline.core.model import DatasetHead, Record, Role
from syncline.errors import GuestLinked
from syncline.ports import GuestLink
from syncline.storage.postgres_erased import check_not_erased
from syncline.storage.postgres_migrations import Connection
from syncline.storage.rows import (
    audit_bindings,
    guest_of,
    head_of,
    linked_text,
    member_bindings,
    member_of,
    micros,
    record_bindings,
    record_of,
)

Sql = Mapping[str, str]


class _OthersWereFaster(asyncpg.SerializationError):
    """What was there before it was locked is another than what is locked now. Nothing was done: begin anew."""


async def create_guest(connection: Connection, sql: Sql, guest: IdentityId, *, now: datetime) -> None:
    """What ``Store.create_guest`` promises."""
    await connection.execute(sql["put_guest"], guest, micros(now))


async def linked_among(connection: Connection, sql: Sql, *identities: IdentityId) -> Sequence[IdentityId]:
    """Those that are guests and have signed in; the others will not until the transaction ends."""
    return [
        identity
        for identity in sorted(set(identities))
        if may_be_guest(identity) and await connection.fetchval(sql["lock_guest"], identity) is not None
    ]


async def check_not_linked(connection: Connection, sql: Sql, identity: IdentityId) -> None:
    """Raises GuestLinked for a guest that has signed in; one that has not will not until the transaction ends."""
    if await linked_among(connection, sql, identity):
        raise GuestLinked


async def link(connection: Connection, sql: Sql, epoch: Epoch, request: LinkRequest) -> GuestLink:
    """What ``Store.link_guest`` promises. Nothing is written if it raises."""
    account = request.viewer.identity
    await check_not_erased(connection, sql, request.guest, account)
    await connection.execute(sql["put_guest"], request.guest, micros(request.now))
    row = await connection.fetchrow(sql["lock_guest_to_link"], request.guest)
    if row is None:
        raise _OthersWereFaster
    known = guest_of(row)
    if known.guest.linked_to is not None:
        if known.guest.linked_to != account or known.outcome is None:
            raise GuestLinked
        return GuestLink(epoch=epoch, linked=known.outcome, heads=(), replayed=True)
    await _lock(connection, sql, request.guest, account)
    state = await _load(connection, sql, epoch, request)
    decision = plan(request, state)
    await _write(connection, sql, request, state, decision)
    await connection.execute(sql["insert_audit"], *audit_bindings(audited_link(request, decision.linked)).values())
    return GuestLink(epoch=epoch, linked=decision.linked, heads=(*decision.deleted, *decision.heads), replayed=False)


async def _lock(connection: Connection, sql: Sql, guest: IdentityId, account: IdentityId) -> None:
    """From here on nobody else changes what the two have, or gives them more. Raises _OthersWereFaster."""
    ids = await _dataset_ids(connection, sql, guest, account)
    await connection.execute(sql["lock_heads"], sorted(ids))
    for owner in sorted((guest, account)):
        await connection.execute(sql["lock_owner"], owner)
    if not await _dataset_ids(connection, sql, guest, account) <= ids:
        raise _OthersWereFaster


async def _dataset_ids(connection: Connection, sql: Sql, guest: IdentityId, account: IdentityId) -> set[bytes]:
    return {row["id"] for row in await connection.fetch(sql["datasets_of_link"], guest, account)}


async def _load(connection: Connection, sql: Sql, epoch: Epoch, request: LinkRequest) -> LinkState:
    guest, account = request.guest, request.viewer.identity
    guests = [head_of(row) for row in await connection.fetch(sql["owned_heads"], guest)]
    accounts = [head_of(row) for row in await connection.fetch(sql["owned_heads"], account)]
    shared = [
        GuestMembership(
            head=head_of(row[:-4]),
            guest=member_of(row[-4:-1]),
            account=None if row["account_role"] is None else Role(row["account_role"]),
        )
        for row in await connection.fetch(sql["memberships"], guest, account)
    ]
    wanted = to_merge(request.rule, guests, accounts)
    records = {}
    for head in (*guests, *accounts):
        if head.id in wanted:
            rows = await connection.fetch(sql["all_records"], bytes.fromhex(head.id), head.owner)
            records[head.id] = {record.key: record for record in map(record_of, rows)}
    return LinkState(epoch=epoch, guests=guests, accounts=accounts, shared=shared, records=records)


async def _write(connection: Connection, sql: Sql, request: LinkRequest, state: LinkState, decision: LinkPlan) -> None:
    guest, account = request.guest, request.viewer.identity
    before = {head.id: head for head in (*state.guests, *state.accounts, *(each.head for each in state.shared))}
    owners = {head.id: head.owner for head in before.values()}
    for head in decision.deleted:
        await _delete(connection, sql, before[head.id], head)
    for head in decision.heads:
        await _hand_over(connection, sql, before[head.id], head)
        await connection.execute(sql["hand_over_authorship"], bytes.fromhex(head.id), head.owner, guest, account)
        owners[head.id] = head.owner
    for dataset, identity in decision.dropped_members:
        await connection.execute(sql["drop_member"], bytes.fromhex(dataset), owners[dataset], identity)
    for dataset, member in decision.put_members:
        values = member_bindings(member).values()
        await connection.execute(sql["put_member"], bytes.fromhex(dataset), owners[dataset], *values)
    after = {head.id: head for head in decision.heads}
    for commit in decision.commits:
        await _commit(connection, sql, after[commit.dataset], commit.records, state.records[commit.dataset].values())
    for query in ("hand_over_deleted", "hand_over_standings", "hand_over_receipts"):
        await connection.execute(sql[query], guest, account)
    for query in ("drop_memberships", "drop_receipts"):
        await connection.execute(sql[query], guest)
    linked = decision.linked
    await connection.execute(sql["link_guest"], guest, account, micros(linked.linked_at), linked_text(linked))


async def _delete(connection: Connection, sql: Sql, before: DatasetHead, head: DatasetHead) -> None:
    id_, author = bytes.fromhex(head.id), head.updated_by
    await connection.execute(
        sql["delete_head"],
        id_,
        before.owner,
        micros(head.updated_at),
        None if author is None else author.identity,
        None if author is None else author.device,
    )
    await connection.execute(sql["delete_records"], id_, before.owner)
    await connection.execute(sql["drop_invitations"], id_, before.owner)
    await _hand_over(connection, sql, before, head)


async def _hand_over(connection: Connection, sql: Sql, before: DatasetHead, head: DatasetHead) -> None:
    """The head with its owner, name and scope; and, if it has another owner, all that is kept by that."""
    id_ = bytes.fromhex(head.id)
    await connection.execute(
        sql["hand_over_head"],
        id_,
        before.owner,
        head.owner,
        head.name,
        head.scope,
        None if head.updated_by is None else head.updated_by.identity,
    )
    if head.owner != before.owner:
        for rows in ("hand_over_records", "hand_over_members", "hand_over_invitations"):
            await connection.execute(sql[rows], id_, before.owner, head.owner)


async def _commit(
    connection: Connection, sql: Sql, head: DatasetHead, written: Sequence[Record], before: Collection[Record]
) -> None:
    id_, author = bytes.fromhex(head.id), head.updated_by
    tombstones = {record.key for record in before if record.deleted}
    await connection.execute(
        sql["update_merged"],
        id_,
        head.owner,
        head.version,
        head.record_count,
        head.size_bytes,
        micros(head.updated_at),
        None if author is None else author.identity,
        None if author is None else author.device,
        sum(record.key in tombstones for record in written),
    )
    rows = [(id_, head.owner, *record_bindings(record).values()) for record in written]
    await connection.executemany(sql["write_record"], rows)

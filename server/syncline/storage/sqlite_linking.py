"""A guest signs in, as one transaction: load, plan, write."""

from __future__ import annotations

from syncline.core.audit import audited_link
from syncline.core.ids import DatasetId, Epoch
from syncline.core.linking import LinkPlan, LinkRequest, LinkState, plan, to_merge
from syncline.errors import GuestLinked
from syncline.ports import GuestLink
from syncline.storage.sqlite_lookups import StoredHead
from syncline.storage.sqlite_writes import Writes


def link(writes: Writes, epoch: Epoch, request: LinkRequest) -> GuestLink:
    """What ``Store.link_guest`` promises, inside a write transaction. Nothing is written if it raises."""
    account = request.viewer.identity
    known = writes.guest(request.guest)
    if known is not None and known.guest.linked_to is not None:
        if known.guest.linked_to != account or known.outcome is None:
            raise GuestLinked
        return GuestLink(epoch=epoch, linked=known.outcome, heads=(), replayed=True)
    for identity in (request.guest, account):
        writes.check_not_erased(identity)
    numbers, state = _load(writes, epoch, request)
    decision = plan(request, state)
    _write(writes, request, numbers, state, decision)
    writes.insert_audit(audited_link(request, decision.linked))
    return GuestLink(epoch=epoch, linked=decision.linked, heads=(*decision.deleted, *decision.heads), replayed=False)


def _load(writes: Writes, epoch: Epoch, request: LinkRequest) -> tuple[dict[DatasetId, int], LinkState]:
    account = request.viewer.identity
    guests, accounts = writes.owned_heads(request.guest), writes.owned_heads(account)
    shared = writes.memberships(request.guest, account)
    numbers = {stored.head.id: stored.number for stored in (*guests, *accounts)}
    wanted = to_merge(request.rule, (each.head for each in guests), (each.head for each in accounts))
    state = LinkState(
        epoch=epoch,
        guests=[stored.head for stored in guests],
        accounts=[stored.head for stored in accounts],
        shared=[membership for _, membership in shared],
        records={dataset: writes.all_records(numbers[dataset]) for dataset in wanted},
    )
    return numbers | {membership.head.id: number for number, membership in shared}, state


def _write(
    writes: Writes, request: LinkRequest, numbers: dict[DatasetId, int], state: LinkState, decision: LinkPlan
) -> None:
    guest, account = request.guest, request.viewer.identity
    for head in decision.deleted:
        stored = StoredHead(numbers[head.id], head)
        writes.delete_dataset(stored)
        writes.hand_over_head(stored)
    for dataset, identity in decision.dropped_members:
        writes.drop_member(numbers[dataset], identity)
    for dataset, member in decision.put_members:
        writes.put_member(numbers[dataset], member)
    commits = {commit.dataset: commit for commit in decision.commits}
    for head in decision.heads:
        stored = StoredHead(numbers[head.id], head)
        writes.hand_over_head(stored)
        writes.hand_over_records(stored.number, guest, account)
        commit = commits.get(head.id)
        if commit is not None:
            before = state.records[head.id]
            revived = sum(record.key in before and before[record.key].deleted for record in commit.records)
            writes.update_head(stored, more_tombstones=-revived)
            writes.write_records(stored.number, commit.records)
    writes.hand_over_the_rest(guest, account)
    writes.link_guest(decision.linked, account)

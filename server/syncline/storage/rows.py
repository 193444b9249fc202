"""How heads, records and receipts stand in a database's rows, in the order of the columns that the queries name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from syncline.core.audit import AuditEntry
from syncline.core.conflicts import ChangeStatus
from syncline.core.guests import Guest
from syncline.core.ids import DatasetId, DatasetName, DeviceId, IdentityId, InvitationId, MutationId, RecordKey, Version
from syncline.core.json_values import JsonText
from syncline.core.linking import Linked
from syncline.core.model import Author, ConflictPolicy, DatasetHead, FieldVersions, Record, Role
from syncline.core.receipts import ChangeOutcome, Receipt
from syncline.core.sharing import Invitation, Member

Row = tuple[Any, ...]
Values = Iterable[Any]
"""A row's values, in the order of the columns; drivers have rows of their own kinds."""
Bindings = dict[str, str | int | bytes | None]

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """An aware time as whole microseconds since 1970."""
    return (time - _UNIX_EPOCH) // _MICROSECOND


def time_of(micros: int) -> datetime:
    """The time, in UTC, that ``micros`` made."""
    return _UNIX_EPOCH + timedelta(microseconds=micros)


def _author(identity: str | None, device: str | None) -> Author | None:
    if identity is None:
        return None
    return Author(identity=IdentityId(identity), device=None if device is None else DeviceId(device))


# --- heads ------------------------------------------------------------------------------------------------------------


def head_of(row: Values) -> DatasetHead:
    (
        id_,
        owner,
        name,
        version,
        record_count,
        size_bytes,
        conflict_policy,
        created_at,
        updated_at,
        updated_by_identity,
        updated_by_device,
        pruned_through,
        scope,
        deleted_at,
    ) = row
    return DatasetHead(
        id=DatasetId(id_.hex()),
        owner=IdentityId(owner),
        name=DatasetName(name),
        version=Version(version),
        record_count=record_count,
        size_bytes=size_bytes,
        conflict_policy=ConflictPolicy(conflict_policy),
        created_at=time_of(created_at),
        updated_at=time_of(updated_at),
        updated_by=_author(updated_by_identity, updated_by_device),
        pruned_through=Version(pruned_through),
        scope=scope,
        deleted_at=None if deleted_at is None else time_of(deleted_at),
    )


def head_bindings(head: DatasetHead) -> Bindings:
    return {
        "id": bytes.fromhex(head.id),
        "owner": head.owner,
        "name": head.name,
        "version": head.version,
        "record_count": head.record_count,
        "size_bytes": head.size_bytes,
        "conflict_policy": head.conflict_policy.value,
        "created_at": micros(head.created_at),
        "updated_at": micros(head.updated_at),
        "updated_by_identity": None if head.updated_by is None else head.updated_by.identity,
        "updated_by_device": None if head.updated_by is None else head.updated_by.device,
        "pruned_through": head.pruned_through,
        "scope": head.scope,
        "deleted_at": None if head.deleted_at is None else micros(head.deleted_at),
    }


# --- members and invitations ------------------------------------------------------------------------------------------


def member_of(row: Values) -> Member:
    identity, role, since = row
    return Member(identity=IdentityId(identity), role=Role(role), since=time_of(since))


def member_bindings(member: Member) -> Bindings:
    return {"identity": member.identity, "role": member.role.value, "since": micros(member.since)}


def invitation_of(row: Values, dataset: DatasetId) -> Invitation:
    id_, code_hash, role, uses_left, created_at, expires_at = row
    return Invitation(
        id=InvitationId(id_.hex()),
        code_hash=code_hash,
        dataset=dataset,
        role=Role(role),
        uses_left=uses_left,
        created_at=time_of(created_at),
        expires_at=time_of(expires_at),
    )


def invitation_bindings(invitation: Invitation) -> Bindings:
    return {
        "id": bytes.fromhex(invitation.id),
        "code_hash": invitation.code_hash,
        "role": invitation.role.value,
        "uses_left": invitation.uses_left,
        "created_at": micros(invitation.created_at),
        "expires_at": micros(invitation.expires_at),
    }


# --- guests -----------------------------------------------------------------------------------------------------------

_decode_linked = msgspec.json.Decoder(Linked).decode


@dataclass(frozen=True, slots=True)
class StoredGuest:
    """``outcome`` None: it is not linked, or that was long ago."""

    guest: Guest
    outcome: Linked | None


def guest_of(row: Values) -> StoredGuest:
    identity, created_at, linked_to, linked_at, outcome = row
    guest = Guest(
        identity=IdentityId(identity),
        created_at=time_of(created_at),
        linked_to=None if linked_to is None else IdentityId(linked_to),
        linked_at=None if linked_at is None else time_of(linked_at),
    )
    return StoredGuest(guest, None if outcome is None else _decode_linked(outcome))


def linked_text(linked: Linked) -> str:
    return _encode(linked).decode()


# --- the audit log ----------------------------------------------------------------------------------------------------


def audit_bindings(entry: AuditEntry) -> Bindings:
    return {
        "at": micros(entry.at),
        "tenant": entry.tenant,
        "actor": entry.actor,
        "actor_device": entry.device,
        "operator": entry.operator,
        "act": entry.act.value,
        "dataset": None if entry.dataset is None else bytes.fromhex(entry.dataset),
        "subject": entry.subject,
        "details": _encode(entry.details).decode(),
    }


# --- records ----------------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode
_decode_field_versions = msgspec.json.Decoder(tuple[int, dict[str, int]]).decode


def record_of(row: Values) -> Record:
    key, value, version, ordinal, updated_at, identity, device, device_time, field_versions, unseen = row
    return Record(
        key=RecordKey(key),
        value=None if value is None else JsonText(value),
        version=Version(version),
        ordinal=ordinal,
        updated_at=time_of(updated_at),
        updated_by=Author(identity=IdentityId(identity), device=None if device is None else DeviceId(device)),
        device_time=None if device_time is None else time_of(device_time),
        field_versions=None if field_versions is None else _field_versions(field_versions),
        unseen=None if unseen is None else Version(unseen),
    )


def _field_versions(text: str) -> FieldVersions:
    rest, fields = _decode_field_versions(text)
    return FieldVersions(rest=Version(rest), fields={name: Version(version) for name, version in fields.items()})


def record_bindings(record: Record) -> Bindings:
    field_versions = record.field_versions
    return {
        "key": record.key,
        "value": record.value,
        "version": record.version,
        "ordinal": record.ordinal,
        "updated_at": micros(record.updated_at),
        "updated_by_identity": record.updated_by.identity,
        "updated_by_device": record.updated_by.device,
        "device_time": None if record.device_time is None else micros(record.device_time),
        "field_versions": None
        if field_versions is None
        else _encode((field_versions.rest, dict(field_versions.fields))).decode(),
        "unseen": record.unseen,
    }


# --- receipts ---------------------------------------------------------------------------------------------------------

# An outcome that is a status and no more, as most are, is kept as its name alone.
_decode_outcomes = msgspec.json.Decoder(list[ChangeStatus | ChangeOutcome]).decode


def receipt_key(author: Author, mutation_id: MutationId) -> Bindings:
    return {"identity": author.identity, "device": author.device or "", "mutation_id": mutation_id}


def receipt_of(row: Values, *, author: Author, mutation_id: MutationId) -> Receipt:
    request_hash, dataset, version, outcomes, created_at = row
    return Receipt(
        author=author,
        mutation_id=mutation_id,
        request_hash=request_hash,
        dataset=DatasetId(dataset.hex()),
        version=None if version is None else Version(version),
        outcomes=tuple(
            ChangeOutcome(status=outcome) if isinstance(outcome, ChangeStatus) else outcome
            for outcome in _decode_outcomes(outcomes)
        ),
        created_at=time_of(created_at),
    )


def receipt_bindings(receipt: Receipt) -> Bindings:
    return {
        **receipt_key(receipt.author, receipt.mutation_id),
        "request_hash": receipt.request_hash,
        "dataset": bytes.fromhex(receipt.dataset),
        "version": receipt.version,
        "outcomes": _outcomes_text(receipt.outcomes),
        "created_at": micros(receipt.created_at),
    }


def _outcomes_text(outcomes: Sequence[ChangeOutcome]) -> str:
    return _encode(
        [outcome.status if outcome.code is None and outcome.details is None else outcome for outcome in outcomes]
    ).decode()

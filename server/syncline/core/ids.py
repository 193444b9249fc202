"""Identifiers, each of its own type, and the rules they must keep."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from syncline.errors import InvalidInput

Tenant = NewType("Tenant", str)
"""Whose data it is where one server serves several customers; identities of different tenants never meet."""
IdentityId = NewType("IdentityId", str)
"""Qualified by its tenant: whatever is kept or looked up by identity is so by tenant. ``shown`` is for people."""
DeviceId = NewType("DeviceId", str)
DatasetId = NewType("DatasetId", str)
"""32 lower-case hex digits; never used again, so it also names the dataset's incarnation."""
DatasetName = NewType("DatasetName", str)
RecordKey = NewType("RecordKey", str)
MutationId = NewType("MutationId", str)
InvitationId = NewType("InvitationId", str)
"""32 lower-case hex digits. It names an invitation, and opens nothing: the code does."""
Epoch = NewType("Epoch", str)
"""16 lower-case hex digits; the identity of the log."""
Version = NewType("Version", int)
"""Count of commits of one dataset; 0 before the first."""

NO_TENANT = Tenant("")
"""The only one there is where tenants are not told apart."""

ERASED = "erased"
"""What is shown in place of an identity that was erased, and of the name of a dataset of its."""

_ERASED_PURPOSE = "syncline erased identity\x1f"
_ERASED_LOGIN_PURPOSE = "syncline erased login"
_TENANT_MARK = "\x1f"
"""No identity's own text has it: it is not printable."""
_TENANT = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_INVITATION_ID = re.compile(r"[0-9a-f]{32}\Z")
_DATASET_ID = re.compile(r"[0-9a-f]{32}\Z")
_DATASET_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
_MUTATION_ID_CHARACTERS = 128
_PRINCIPAL_BYTES = 256


def dataset_id(text: str) -> DatasetId:
    """The dataset id in ``text``. Raises InvalidInput."""
    if not _DATASET_ID.match(text):
        raise InvalidInput("dataset.id", "a dataset id has 32 lower-case hex digits")
    return DatasetId(text)


def invitation_id(text: str) -> InvitationId:
    """The invitation id in ``text``. Raises InvalidInput."""
    if not _INVITATION_ID.match(text):
        raise InvalidInput("invitationId", "an invitation id has 32 lower-case hex digits")
    return InvitationId(text)


def dataset_name(text: str) -> DatasetName:
    """The dataset name in ``text``. Raises InvalidInput."""
    if not _DATASET_NAME.match(text):
        raise InvalidInput("dataset.name", "a dataset name has 1 to 128 characters of A-Z a-z 0-9 _ . : -")
    return DatasetName(text)


def mutation_id(text: str) -> MutationId:
    """The mutation id in ``text``. Raises InvalidInput."""
    if not 1 <= len(text) <= _MUTATION_ID_CHARACTERS or not text.isprintable():
        raise InvalidInput("mutationId", f"a mutationId has 1 to {_MUTATION_ID_CHARACTERS} printable characters")
    return MutationId(text)


def _principal(text: str, field: str) -> str:
    if not text or not text.isprintable() or len(text.encode("utf-8", "surrogatepass")) > _PRINCIPAL_BYTES:
        raise InvalidInput(field, f"must be 1 to {_PRINCIPAL_BYTES} bytes of printable characters")
    return text


def tenant(text: str) -> Tenant:
    """The tenant named ``text``. Raises InvalidInput."""
    if not _TENANT.match(text):
        raise InvalidInput("tenant", "a tenant has 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return Tenant(text)


def identity_id(text: str, tenant: Tenant = NO_TENANT) -> IdentityId:
    """The identity id in ``text``, of ``tenant``. Raises InvalidInput."""
    name = _principal(text, "identity")
    return IdentityId(f"{tenant}{_TENANT_MARK}{name}" if tenant else name)


def tenant_of(identity: IdentityId) -> Tenant:
    """The tenant that the identity belongs to."""
    before, mark, _ = identity.partition(_TENANT_MARK)
    return Tenant(before) if mark else NO_TENANT


def erased_in(tenant: Tenant) -> IdentityId:
    """Who stands for the erased identities of a tenant: shown as ``erased``, and no credential can name it."""
    return IdentityId(f"{tenant}{_TENANT_MARK}{_TENANT_MARK}{ERASED}")


def erased_hash(identity: IdentityId) -> bytes:
    """By what an erased identity is known again, though it is kept nowhere."""
    return hashlib.sha256(f"{_ERASED_PURPOSE}{identity}".encode("utf-8", "surrogatepass")).digest()


def erased_login_hash(tenant: Tenant, issuer: str, subject: str) -> bytes:
    """By what a login of an erased identity is known again."""
    login = "\x1f".join((_ERASED_LOGIN_PURPOSE, tenant, issuer, subject))
    return hashlib.sha256(login.encode("utf-8", "surrogatepass")).digest()


def shown(identity: IdentityId) -> str:
    """The identity's id as those of its own tenant know it."""
    return identity.rpartition(_TENANT_MARK)[2]


def device_id(text: str) -> DeviceId:
    """The device id in ``text``. Raises InvalidInput."""
    return DeviceId(_principal(text, "device"))


def record_key(text: str) -> RecordKey:
    """The record key in ``text``; its greatest length is a limit and checked with the limits. Raises InvalidInput."""
    if not text:
        raise InvalidInput("key", "a key has at least 1 byte")
    if "\x00" in text:
        raise InvalidInput("key", "a key has no U+0000")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput("key", "a key has no lone surrogate") from None
    return RecordKey(text)

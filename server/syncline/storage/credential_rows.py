"""Logins and API keys as rows, the same in every store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from syncline.core.ids import IdentityId, Tenant, erased_hash, erased_login_hash
from syncline.ports import ApiKey, ApiKeyId, Issuer, LinkedLogin, Login, Scope, Subject
from syncline.storage.rows import Values, micros, time_of


def linked_login_of(row: Values) -> LinkedLogin:
    issuer, subject, tenant, identity, created_at = row
    return LinkedLogin(
        login=Login(issuer=Issuer(issuer), subject=Subject(subject), tenant=Tenant(tenant)),
        identity=IdentityId(identity),
        created_at=time_of(created_at),
    )


def api_key_of(row: Values) -> ApiKey:
    id_, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at = row
    return ApiKey(
        id=ApiKeyId(id_),
        tenant=Tenant(tenant),
        name=name,
        secret_hash=bytes(secret_hash),
        old_hash=None if old_hash is None else bytes(old_hash),
        old_until=_time(old_until),
        scopes=frozenset(map(Scope, scopes.split())),
        created_at=time_of(created_at),
        expires_at=time_of(expires_at),
        revoked_at=_time(revoked_at),
        last_used_at=_time(last_used_at),
    )


def api_key_bindings(key: ApiKey) -> dict[str, Any]:
    """By name, in the order of the columns."""
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "old_hash": key.old_hash,
        "old_until": _micros(key.old_until),
        "scopes": " ".join(sorted(key.scopes)),
        "created_at": micros(key.created_at),
        "expires_at": micros(key.expires_at),
        "revoked_at": _micros(key.revoked_at),
        "last_used_at": _micros(key.last_used_at),
    }


def _time(micros_: int | None) -> datetime | None:
    return None if micros_ is None else time_of(micros_)


def _micros(time: datetime | None) -> int | None:
    return None if time is None else micros(time)


def erased_hashes(login: Login, identity: IdentityId) -> list[bytes]:
    """By what it is known that either was erased."""
    return [erased_hash(identity), erased_login_hash(login.tenant, login.issuer, login.subject)]

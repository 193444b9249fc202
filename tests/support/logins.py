"""Logins and API keys, made short."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from syncline.core.ids import NO_TENANT, Tenant
from syncline.ports import USUAL_SCOPES, ApiKey, ApiKeyId, Issuer, Login, Scope, Subject
from tests.support.builders import NOW


def a_login(subject: str = "ada", issuer: str = "https://issuer.example", tenant: Tenant = NO_TENANT) -> Login:
    return Login(issuer=Issuer(issuer), subject=Subject(subject), tenant=tenant)


def an_api_key(
    name: str = "backend",
    *,
    scopes: frozenset[Scope] = USUAL_SCOPES,
    now: datetime = NOW,
    tenant: Tenant = NO_TENANT,
) -> ApiKey:
    """With an id and a hash that are made from the name."""
    digest = hashlib.sha256(name.encode())
    return ApiKey(
        id=ApiKeyId(digest.hexdigest()[:16]),
        tenant=tenant,
        name=name,
        secret_hash=digest.digest(),
        scopes=scopes,
        created_at=now,
        expires_at=now + timedelta(days=30),
    )

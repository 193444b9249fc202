"""API keys as their holders have them: ``slk_<id>_<secret>``."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from syncline.core.ids import IdentityId, Tenant, identity_id
from syncline.errors import Unauthenticated
from syncline.ports import ApiKeyId, KeyUse

PREFIX: Final = "slk_"
_TEXT: Final = re.compile(r"slk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")


def new_key_id() -> ApiKeyId:
    return ApiKeyId(secrets.token_hex(8))


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """What is kept of a secret.

    SHA-256, and no slow hash of passwords: there is nothing to guess in 256 random bits, however fast one can try, so
    slowness would cost us much at each request and whoever stole the table nothing.
    """
    return hashlib.sha256(secret.encode()).digest()


def key_text(key: ApiKeyId, secret: str) -> str:
    return f"{PREFIX}{key}_{secret}"


def use_of(text: str) -> KeyUse:
    """Which key it is, with which secret. Raises Unauthenticated for what is none."""
    found = _TEXT.match(text)
    if found is None:
        raise Unauthenticated(f"the API key is not of the form {PREFIX}<id>_<secret>")
    return KeyUse(key=ApiKeyId(found[1]), secret_hash=secret_hash(found[2]))


def own_identity(key: ApiKeyId, tenant: Tenant) -> IdentityId:
    """Whom a key stands for that acts for nobody else."""
    return identity_id(f"key:{key}", tenant)

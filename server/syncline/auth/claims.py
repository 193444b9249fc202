"""Reading claims, each of which may be missing, of another type, or full of tricks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from syncline.core.ids import NO_TENANT, DeviceId, Tenant, device_id, identity_id, tenant
from syncline.errors import InvalidInput, Unauthenticated

Claims = Mapping[str, Any]


def text(claims: Claims, claim: str) -> str | None:
    """None: the claim is not there. Raises Unauthenticated."""
    value = claims.get(claim)
    if value is not None and not isinstance(value, str):
        raise Unauthenticated(f"the token's {claim} is no string")
    return value


def name(claims: Claims, claim: str) -> str:
    """The text of a claim that must be there, fit to name somebody: 1 to 256 printable bytes."""
    value = text(claims, claim)
    if value is None:
        raise Unauthenticated(f"the token has no {claim}")
    try:
        return identity_id(value)
    except InvalidInput as error:
        raise Unauthenticated(f"the token's {claim} {error.facts['reason']}") from error


def device(claims: Claims, claim: str) -> DeviceId | None:
    value = text(claims, claim)
    try:
        return None if value is None else device_id(value)
    except InvalidInput as error:
        raise Unauthenticated(f"the token's {claim} {error.facts['reason']}") from error


def tenant_in(claims: Claims, claim: str | None) -> Tenant:
    """The tenant; where tenants are told apart a token must name one. ``claim`` None: they are not."""
    if claim is None:
        return NO_TENANT
    value = text(claims, claim)
    if value is None:
        raise Unauthenticated(f"the token has no {claim}")
    try:
        return tenant(value)
    except InvalidInput as error:
        raise Unauthenticated(f"the token's {claim}: {error.facts['reason']}") from error


def time(claims: Claims, claim: str) -> datetime | None:
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated(f"the token's {claim} is no number")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unauthenticated(f"the token's {claim} is no time in seconds since 1970") from None


def needed_time(claims: Claims, claim: str) -> datetime:
    found = time(claims, claim)
    if found is None:
        raise Unauthenticated(f"the token has no {claim}")
    return found


def is_for(claims: Claims, claim: str, audience: frozenset[str]) -> bool:
    """Whether one of ``audience`` is in the claim, which is a text or a list of texts."""
    value = claims.get(claim)
    named = [value] if isinstance(value, str) else value
    return isinstance(named, list) and any(isinstance(each, str) and each in audience for each in named)

"""Signed tokens (JWT, HS256): ``sub`` is the identity, ``did`` the device, ``exp`` the end."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from syncline.auth.watches import UNWATCHED
from syncline.core.ids import device_id, identity_id
from syncline.core.model import Viewer
from syncline.errors import CredentialExpired, InvalidInput, Unauthenticated
from syncline.ports import Clock, Credential, Ended, Watch

ALGORITHM: Final = "HS256"
MOST_BYTES: Final = 8 * 1024

_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z")
# Times are looked at by our own clock, below; the rest is of no concern here. ``aud`` stays checked: a token made for
# somebody else must be refused (RFC 7519, 4.1.3).
_OPTIONS: Final[Any] = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "iss", "sub", "jti")}
_CLOCK_SKEW: Final = timedelta(seconds=10)
_REMEMBERED: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    credential: Credential
    not_before: datetime | None


class TokenAuthenticator:
    """Accepts what was signed with ``secret``, from ``nbf`` (give or take a clock's skew) until ``exp``, to the second.

    Verified tokens are remembered, at most a few thousand and by their hash: verifying one costs about 25 µs, a tenth
    of a small request. Whether it is valid now is looked at every time.
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._remembered: dict[bytes, _Verified] = {}

    async def authenticate(self, token: str) -> Credential:
        """Raises Unauthenticated, with a reason that is safe to tell."""
        if len(token) > MOST_BYTES:
            raise Unauthenticated(f"the token is longer than {MOST_BYTES} bytes")
        verified = self._verified(token)
        now = self._clock()
        if now >= verified.credential.expires_at:
            raise CredentialExpired
        if verified.not_before is not None and now < verified.not_before - _CLOCK_SKEW:
            raise Unauthenticated("the token is not valid yet")
        return verified.credential

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        return UNWATCHED

    def _verified(self, token: str) -> _Verified:
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        verified = self._remembered.pop(name, None)
        if verified is None:
            verified = _read(_verify(token, self._secret))
            if len(self._remembered) >= _REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        self._remembered[name] = verified  # at the end: what was not used for longest goes first
        return verified


def mint(secret: bytes, viewer: Viewer, lifetime: timedelta, now: datetime) -> str:
    """A token for ``viewer`` that is valid from ``now`` on for ``lifetime``."""
    claims: dict[str, Any] = {"sub": viewer.identity, "iat": int(now.timestamp())}
    if viewer.device is not None:
        claims["did"] = viewer.device
    claims["exp"] = math.ceil((now + lifetime).timestamp())
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def _verify(token: str, secret: bytes) -> Mapping[str, Any]:
    if not _SEGMENTS.match(token):
        raise Unauthenticated("the token is no JWT")
    try:
        return jwt.decode(token, secret, algorithms=[ALGORITHM], options=_OPTIONS)
    except jwt.InvalidSignatureError as error:
        raise Unauthenticated("the token's signature is not ours") from error
    except jwt.InvalidAlgorithmError as error:
        raise Unauthenticated(f"the token's alg is not {ALGORITHM}") from error
    except jwt.InvalidAudienceError as error:
        raise Unauthenticated("the token is for another audience") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated("the token is no valid JWT") from error


def _read(claims: Mapping[str, Any]) -> _Verified:
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise Unauthenticated("the token has no exp")
    identity, device = _text(claims, "sub"), _text(claims, "did")
    if identity is None:
        raise Unauthenticated("the token has no sub")
    try:
        viewer = Viewer(identity=identity_id(identity), device=None if device is None else device_id(device))
    except InvalidInput as error:
        claim = "sub" if error.facts["field"] == "identity" else "did"
        raise Unauthenticated(f"the token's {claim} {error.facts['reason']}") from error
    return _Verified(credential=Credential(viewer=viewer, expires_at=expires_at), not_before=_time(claims, "nbf"))


def _text(claims: Mapping[str, Any], claim: str) -> str | None:
    value = claims.get(claim)
    if value is not None and not isinstance(value, str):
        raise Unauthenticated(f"the token's {claim} is no string")
    return value


def _time(claims: Mapping[str, Any], claim: str) -> datetime | None:
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated(f"the token's {claim} is no number")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unauthenticated(f"the token's {claim} is no time in seconds since 1970") from None

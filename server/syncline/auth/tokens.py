"""Signed tokens (JWT, HS256): ``sub`` is the identity, ``did`` the device, ``exp`` the end.

They are the server's own, or those of another backend of the operator's, which has a secret of its own: whoever has one
of the secrets is trusted to name identities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

from syncline.auth import claims as reading
from syncline.auth.devices import with_device
from syncline.auth.remembered import Remembered, hash_of
from syncline.auth.watches import UNWATCHED
from syncline.core.ids import identity_id, shown, tenant_of
from syncline.core.model import Viewer
from syncline.errors import CredentialExpired, InvalidInput, Unauthenticated
from syncline.ports import Clock, Credential, Ended, Presented, Watch

ALGORITHM: Final = "HS256"
MOST_BYTES: Final = 8 * 1024

_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z")
# Claims are looked at below, times by our own clock.
_OPTIONS: Final[Any] = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "iss", "sub", "jti", "aud")}
_CLOCK_SKEW: Final = timedelta(seconds=10)
_REMEMBERED: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs with ``secret``, and what else must be in its tokens. Without ``audience`` there must be no ``aud``."""

    secret: bytes
    issuer: str | None = None
    audience: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Signer(issuer={self.issuer!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    credential: Credential
    not_before: datetime | None


class TokenAuthenticator:
    """Accepts what was signed with ``secret``, from ``nbf`` (give or take a clock's skew) until ``exp``, to the second.

    Verified tokens are remembered, at most a few thousand and by their hash: verifying one costs about 25 µs, a tenth
    of a small request. Whether it is valid now is looked at every time.
    """

    def __init__(
        self, secret: bytes, clock: Clock, *, shared: Sequence[Signer] = (), tenant_claim: str | None = None
    ) -> None:
        """``shared``: others whose tokens count as well. ``tenant_claim``: each token must have it."""
        self._signers = (Signer(secret=secret), *shared)
        self._clock = clock
        self._tenant_claim = tenant_claim
        self._remembered = Remembered[_Verified](_REMEMBERED)

    async def authenticate(self, presented: Presented) -> Credential:
        """Raises Unauthenticated, with a reason that is safe to tell."""
        token = presented.token
        if token is None:
            raise Unauthenticated("there is no token")
        if len(token) > MOST_BYTES:
            raise Unauthenticated(f"the token is longer than {MOST_BYTES} bytes")
        verified = self._verified(token)
        now = self._clock()
        if now >= verified.credential.expires_at:
            raise CredentialExpired
        if verified.not_before is not None and now < verified.not_before - _CLOCK_SKEW:
            raise Unauthenticated("the token is not valid yet")
        return with_device(verified.credential, presented)

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        """A token cannot be taken back before it expires."""
        return UNWATCHED

    def remembers(self, token: str) -> bool:
        """Whether the token was good before, and so is one of ours."""
        return hash_of(token) in self._remembered

    def _verified(self, token: str) -> _Verified:
        name = hash_of(token)
        verified = self._remembered.get(name)
        if verified is None:
            claims, signer = _verify(token, self._signers)
            verified = self._read(claims, signer)
            self._remembered.keep(name, verified)
        return verified

    def _read(self, claims: Mapping[str, Any], signer: Signer) -> _Verified:
        expires_at = reading.needed_time(claims, "exp")
        identity = reading.name(claims, "sub")
        if signer.issuer is not None and claims.get("iss") != signer.issuer:
            raise Unauthenticated("the token's iss is not that of whoever signed it")
        if not reading.is_for(claims, "aud", signer.audience) and (signer.audience or claims.get("aud") is not None):
            raise Unauthenticated("the token is for another audience")
        viewer = Viewer(
            identity=identity_id(identity, reading.tenant_in(claims, self._tenant_claim)),
            device=reading.device(claims, "did"),
        )
        return _Verified(
            credential=Credential(viewer=viewer, expires_at=expires_at), not_before=reading.time(claims, "nbf")
        )


def mint(secret: bytes, viewer: Viewer, lifetime: timedelta, now: datetime, *, tenant_claim: str | None = None) -> str:
    """A token for ``viewer`` that is valid from ``now`` on for ``lifetime``.

    Raises InvalidInput if the viewer has a tenant and there is no claim for it, or the other way round.
    """
    claims: dict[str, Any] = {"sub": shown(viewer.identity), "iat": int(now.timestamp())}
    if viewer.device is not None:
        claims["did"] = viewer.device
    tenant = tenant_of(viewer.identity)
    if bool(tenant) is not bool(tenant_claim):
        raise InvalidInput("tenant", "is needed if, and only if, SYNCLINE_TENANT_CLAIM is set")
    if tenant_claim:
        claims[tenant_claim] = tenant
    claims["exp"] = math.ceil((now + lifetime).timestamp())
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def _verify(token: str, signers: Sequence[Signer]) -> tuple[Mapping[str, Any], Signer]:
    if not _SEGMENTS.match(token):
        raise Unauthenticated("the token is no JWT")
    try:
        for signer in signers:
            try:
                return jwt.decode(token, signer.secret, algorithms=[ALGORITHM], options=_OPTIONS), signer
            except jwt.InvalidSignatureError:
                # All that differs is who of those we trust alike has signed.
                continue
    except jwt.InvalidAlgorithmError as error:
        raise Unauthenticated(f"the token's alg is not {ALGORITHM}") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated("the token is no valid JWT") from error
    raise Unauthenticated("the token's signature is not ours")

"""Guests' tokens: JWTs that this server signs with a key of their own, made from the secret of all tokens.

So no other token passes for a guest's, and no guest's for another. ``typ`` in the header tells them apart.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import jwt

from syncline.auth.tokens import ALGORITHM, MOST_BYTES
from syncline.core.guests import may_be_guest
from syncline.core.ids import NO_TENANT, IdentityId, device_id, identity_id, shown, tenant, tenant_of
from syncline.core.model import Viewer
from syncline.errors import CredentialExpired, InvalidInput, Unauthenticated
from syncline.ports import Authenticator, Clock, Credential, Ended, GuestToken, Presented, Watch

TYPE: Final = "guest+jwt"

_REQUIRED: Final = ("sub", "did", "exp")
_OPTIONS: Final[Any] = {"require": list(_REQUIRED), "verify_exp": False, "verify_iat": False, "verify_aud": False}


class JwtGuestTokens:
    """Tokens that are valid for ``lifetime``, and can be renewed or linked until ``renewal`` after that."""

    def __init__(self, secret: bytes, clock: Clock, *, lifetime: timedelta, renewal: timedelta) -> None:
        self._key = hashlib.blake2b(key=hashlib.sha256(secret).digest(), person=b"syncline guests").digest()
        self._clock = clock
        self._lifetime = lifetime
        self._renewal = renewal

    def mint(self, viewer: Viewer) -> GuestToken:
        now = self._clock()
        expires_at = datetime.fromtimestamp(math.ceil((now + self._lifetime).timestamp()), UTC)
        claims: dict[str, Any] = {
            "sub": shown(viewer.identity),
            "did": viewer.device,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        if tenant_of(viewer.identity) != NO_TENANT:
            claims["tenant"] = tenant_of(viewer.identity)
        text = jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"typ": TYPE})
        return GuestToken(text=text, viewer=viewer, expires_at=expires_at, renewable_until=expires_at + self._renewal)

    def read(self, text: str) -> Viewer:
        """What ``ports.GuestTokens`` promises."""
        viewer, expires_at = self.verified(text)
        if self._clock() >= expires_at + self._renewal:
            raise CredentialExpired
        return viewer

    def verified(self, text: str) -> tuple[Viewer, datetime]:
        """Whose it is, and until when; that may be past. Raises Unauthenticated."""
        if len(text) > MOST_BYTES:
            raise Unauthenticated(f"the token is longer than {MOST_BYTES} bytes")
        if not is_guest_token(text):
            raise Unauthenticated("the token is no guest's")
        try:
            claims: Mapping[str, Any] = jwt.decode(text, self._key, algorithms=[ALGORITHM], options=_OPTIONS)
            return _viewer(claims), datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.InvalidTokenError, InvalidInput, TypeError, ValueError, OverflowError, OSError) as error:
            raise Unauthenticated("the guest's token is not one of ours") from error


def is_guest_token(text: str) -> bool:
    """Whether it says that it is a guest's; nothing is verified."""
    return _type_of(text.partition(".")[0]) == TYPE


@lru_cache(maxsize=64)
def _type_of(header: str) -> object:
    """What a token's first part says it is. All tokens of a kind have the same one, and each request brings one."""
    try:
        return jwt.get_unverified_header(f"{header}..").get("typ")
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return None


def _viewer(claims: Mapping[str, Any]) -> Viewer:
    named = claims.get("tenant")
    identity = identity_id(claims["sub"], NO_TENANT if named is None else tenant(named))
    if not may_be_guest(identity):
        raise InvalidInput("identity", "is no guest's")
    return Viewer(identity=identity, device=device_id(claims["did"]))


class GuestAuthenticator:
    """Accepts guests' tokens, and leaves all others to another authenticator."""

    def __init__(
        self,
        tokens: JwtGuestTokens,
        clock: Clock,
        check: Callable[[IdentityId], Awaitable[None]],
        otherwise: Authenticator,
    ) -> None:
        """``check`` raises GuestLinked for a guest that has signed in."""
        self._tokens = tokens
        self._clock = clock
        self._check = check
        self._otherwise = otherwise

    async def authenticate(self, presented: Presented) -> Credential:
        """Raises Unauthenticated, with a reason that is safe to tell; of guests also StoreUnavailable."""
        token = presented.token
        if token is None or presented.api_key is not None or len(token) > MOST_BYTES or not is_guest_token(token):
            return await self._otherwise.authenticate(presented)
        viewer, expires_at = self._tokens.verified(token)
        # Also with an expired token: renewing it would lead nowhere.
        await self._check(viewer.identity)
        if self._clock() >= expires_at:
            raise CredentialExpired
        return Credential(viewer=viewer, expires_at=expires_at, guest=True)

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        """A guest's may end because it signed in; who has a socket watches for that by itself."""
        return self._otherwise.watch(credential, ended)

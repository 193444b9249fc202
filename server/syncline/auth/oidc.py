"""Tokens of issuers of others, as OpenID Connect and OAuth have them: verified by the issuer's public keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import jwt

from syncline.auth import claims as reading
from syncline.auth.claims import Claims
from syncline.auth.jwks import ALGORITHMS, COOLDOWN_SECONDS, FETCH_SECONDS, KeySet
from syncline.auth.jws import Unverified, check_header
from syncline.auth.remembered import Remembered, hash_of
from syncline.core.ids import DeviceId
from syncline.errors import CredentialExpired, Unauthenticated
from syncline.ports import Clock, Issuer, Login, Subject
from syncline.sign_in import OidcIssuer

LEEWAY: Final = timedelta(seconds=30)
"""By how much an issuer's clock and ours may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a good token says."""

    login: Login
    device: DeviceId | None
    expires_at: datetime
    """With the leeway."""
    not_before: datetime


class OidcVerifier:
    """Verifies the tokens of the issuers of ``settings``; keeps their keys up to date between ``start`` and ``close``.

    Of one issuer there may be several settings: tokens of one kind have other claims than those of another.
    """

    def __init__(
        self,
        settings: Sequence[OidcIssuer],
        clock: Clock,
        *,
        tenant_claim: str | None = None,
        cooldown_seconds: float = COOLDOWN_SECONDS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._clock = clock
        self._tenant_claim = tenant_claim
        self._rules: dict[str, list[OidcIssuer]] = {}
        for each in settings:
            self._rules.setdefault(each.issuer, []).append(each)
        self._remembered = Remembered[SignedIn]()
        self._keys: Mapping[str, KeySet] = {
            issuer: KeySet(
                issuer,
                jwks_url=rules[0].jwks_url,
                refresh_seconds=min(rule.refresh_seconds for rule in rules),
                # What was verified with a key that is gone must not be believed any more.
                changed=self._remembered.clear,
                cooldown_seconds=cooldown_seconds,
                fetch_seconds=fetch_seconds,
            )
            for issuer, rules in self._rules.items()
        }

    def start(self) -> None:
        for keys in self._keys.values():
            keys.start()

    async def close(self) -> None:
        for keys in self._keys.values():
            await keys.close()

    def knows(self, issuer: str | None) -> bool:
        """Whether tokens of this issuer are verified here."""
        return issuer is not None and issuer in self._rules

    async def verify(self, token: str, unverified: Unverified) -> SignedIn:
        """What the token says, if it is good. Raises Unauthenticated, CredentialUnavailable."""
        name = hash_of(token)
        signed_in = self._remembered.get(name)
        if signed_in is None:
            claims, issuer = await self._signed(token, unverified)
            signed_in = self._read(claims, issuer)
            self._remembered.keep(name, signed_in)
        now = self._clock()
        if now >= signed_in.expires_at:
            raise CredentialExpired
        if now < signed_in.not_before:
            raise Unauthenticated("the token is not valid yet")
        return signed_in

    async def _signed(self, token: str, unverified: Unverified) -> tuple[Claims, str]:
        """The claims, and the issuer by whose key they are signed."""
        issuer, algorithm = unverified.issuer, unverified.algorithm
        if issuer is None or issuer not in self._rules:
            raise Unauthenticated("the token's issuer is not one that is trusted here")
        if algorithm not in ALGORITHMS:
            raise Unauthenticated("the token's alg is not one that its issuer may use here")
        check_header(unverified)
        for key in await self._keys[issuer].candidates(unverified.key, algorithm):
            try:
                # All about the claims is looked at by us. PyJWT checks once more that the key fits the algorithm.
                jwt.api_jws.decode(token, key.key, algorithms=[algorithm])
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                raise Unauthenticated("the token is no valid JWT") from error
            return unverified.claims, issuer
        raise Unauthenticated("the token is not signed by a key that its issuer has now")

    def _read(self, claims: Claims, issuer: str) -> SignedIn:
        rules = self._rules[issuer]
        rule = next((rule for rule in rules if _fits(claims, rule)), None)
        if rule is None:
            raise Unauthenticated("the token is for another audience, or of another kind")
        expires_at, issued_at = reading.needed_time(claims, "exp"), reading.needed_time(claims, "iat")
        begins_at = max(issued_at, reading.time(claims, "nbf") or issued_at)
        reading.name(claims, "sub")
        try:
            expires_at, begins_at = expires_at + LEEWAY, begins_at - LEEWAY
        except OverflowError:
            raise Unauthenticated("the token's times are out of range") from None
        return SignedIn(
            login=Login(
                issuer=Issuer(issuer),
                subject=Subject(reading.name(claims, rule.identity_claim)),
                tenant=reading.tenant_in(claims, self._tenant_claim),
            ),
            device=reading.device(claims, rule.device_claim),
            expires_at=expires_at,
            not_before=begins_at,
        )


def _fits(claims: Claims, rule: OidcIssuer) -> bool:
    return reading.is_for(claims, rule.audience_claim, frozenset(rule.audience)) and all(
        claims.get(claim) == value for claim, value in rule.required.items()
    )

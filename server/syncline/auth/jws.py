"""What a token says of itself, before anything of it is verified: enough to choose who is to verify it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from syncline.errors import Unauthenticated

MOST_BYTES: Final = 16 * 1024
"""Providers put roles and groups into their tokens."""
_MOST_KEY_NAME_CHARACTERS: Final = 512
_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
_TYPES: Final = frozenset({"jwt", "at+jwt"})
"""``typ`` of tokens that let somebody in. A logout token, say, or a security event has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """A token's header and claims, as whoever sent it wants them to be believed."""

    algorithm: str
    key: str | None
    type: str | None
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def issuer(self) -> str | None:
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else None


def unverified(token: str) -> Unverified | None:
    """What the token says; None if it is no JWT at all: an opaque token, maybe. Costs no cryptography."""
    if len(token) > MOST_BYTES or not _SEGMENTS.match(token):
        return None
    header, claims, _ = token.split(".")
    read_header, read_claims = _object(header), _object(claims)
    if read_header is None or read_claims is None:
        return None
    algorithm, key, kind = read_header.get("alg"), read_header.get("kid"), read_header.get("typ")
    return Unverified(
        algorithm=algorithm if isinstance(algorithm, str) else "",
        key=key if isinstance(key, str) else None,
        type=kind if isinstance(kind, str) else None,
        header=read_header,
        claims=read_claims,
    )


def check_header(token: Unverified) -> None:
    """Raises Unauthenticated for a header that a token of an issuer must not have."""
    header = token.header
    # Whoever does not understand an extension that is critical must refuse (RFC 7515, 4.1.11); we understand none.
    if "crit" in header or "b64" in header:
        raise Unauthenticated("the token's header has extensions that are not supported here")
    if "kid" in header and (token.key is None or not 0 < len(token.key) <= _MOST_KEY_NAME_CHARACTERS):
        raise Unauthenticated("the token's kid is no text of a usual length")
    if "typ" in header:
        kind = "" if token.type is None else token.type.lower().removeprefix("application/")
        if kind not in _TYPES:
            raise Unauthenticated("the token's typ is not that of a token to sign in with")


def _object(segment: str) -> Mapping[str, Any] | None:
    try:
        read = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None

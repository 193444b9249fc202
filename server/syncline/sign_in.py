"""How people sign in at issuers of others: settings, and what is wrong with them, in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from syncline.addresses import is_loopback

LEAST_SECRET_BYTES: Final = 32
"""What HS256 asks for (RFC 7518, 3.2)."""
_LEAST_REFRESH_SECONDS: Final = 30

Text = Annotated[str, Field(min_length=1, max_length=2_048)]


class OidcIssuer(BaseModel):
    """An issuer whose tokens count, and which of its claims say what. Names are those of the JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    issuer: Text
    audience: tuple[Text, ...] = Field(min_length=1)
    """One of these must be in the token."""
    jwks_url: Text | None = Field(None, alias="jwksUrl")
    """Where its keys are; None: its discovery document says so."""
    audience_claim: Text = Field("aud", alias="audienceClaim")
    identity_claim: Text = Field("sub", alias="identityClaim")
    device_claim: Text = Field("did", alias="deviceClaim")
    required: dict[Text, Text] = Field(default_factory=dict)
    """Claims that must be there with exactly this text."""
    refresh_seconds: float = Field(600, ge=_LEAST_REFRESH_SECONDS, le=86_400, alias="refreshSeconds")
    """How often its keys are looked at anew."""


def issuers_of(text: str) -> tuple[OidcIssuer, ...]:
    """The issuers in a JSON list, or of one object. Raises ValueError with a sentence."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    entries = given if isinstance(given, list) else [given]
    if not entries:
        raise ValueError("names no issuer")
    found = tuple(_issuer(entry, number) for number, entry in enumerate(entries))
    _check_together(found)
    return found


def _issuer(entry: object, number: int) -> OidcIssuer:
    if not isinstance(entry, dict):
        raise ValueError(f"entry {number} is no object")
    audience = entry.get("audience")
    if isinstance(audience, str):
        entry = {**entry, "audience": [audience]}
    try:
        issuer = OidcIssuer.model_validate(entry)
    except ValidationError as error:
        raise ValueError("; ".join(_sentences(error, number))) from None
    for name, url in (("issuer", issuer.issuer), ("jwksUrl", issuer.jwks_url)):
        if url is not None and (wrong := wrong_url(url)):
            raise ValueError(f"entry {number}: {name} {wrong}")
    return issuer


def _sentences(error: ValidationError, number: int) -> Iterator[str]:
    for detail in error.errors():
        place = ".".join(map(str, detail["loc"]))
        what = {
            "missing": "is missing",
            "extra_forbidden": "is no setting of an issuer",
        }.get(detail["type"], detail["msg"].replace("Input should be", "must be"))
        yield f"entry {number}: {place} {what}"


def _check_together(issuers: tuple[OidcIssuer, ...]) -> None:
    places: dict[str, str | None] = {}
    for each in issuers:
        if places.setdefault(each.issuer, each.jwks_url) != each.jwks_url:
            raise ValueError(f"the entries of issuer {each.issuer} have different jwksUrl")


def wrong_url(url: str) -> str | None:
    """Why keys must not be fetched from there, or tokens sent there; None: they may."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("https", "http") or not host or parts.username is not None or parts.fragment:
        return "must be an https:// URL, without credentials and fragment"
    if parts.scheme == "http" and not is_loopback(host):
        return "must be https://; plain http:// is for loopback addresses only"
    return None


def secrets_of(text: str) -> tuple[bytes, ...]:
    """Secrets that stand in ``text`` with blanks between them. Raises ValueError with a sentence that has none."""
    found = tuple(each.encode("utf-8", "surrogateescape") for each in text.split())
    for number, secret in enumerate(found, start=1):
        if len(secret) < LEAST_SECRET_BYTES:
            raise ValueError(f"secret {number} has {len(secret)} bytes and needs at least {LEAST_SECRET_BYTES}")
    if not found:
        raise ValueError("has no secret")
    return found

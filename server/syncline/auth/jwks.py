"""An issuer's public keys: fetched over HTTP, kept, and fetched anew by age or for a key that is not known yet.

Whoever brings a known key never waits for a fetch. There is one fetch at a time, and what it finds replaces the keys
as a whole; if it fails, they stay.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from syncline.addresses import is_loopback
from syncline.errors import CredentialUnavailable
from syncline.logs import get_logger
from syncline.sign_in import wrong_url

COOLDOWN_SECONDS: Final = 30.0
"""Between a fetch and the next one for a key that is not known."""
FETCH_SECONDS: Final = 5.0
MOST_DOCUMENT_BYTES: Final = 512 * 1024
_MOST_KEYS: Final = 100
_LEAST_RSA_BITS: Final = 2_048
_DISCOVERY: Final = "/.well-known/openid-configuration"

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""By type and curve of a key, what it may sign with. Nothing symmetric: these keys are public."""
ALGORITHMS: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)

_log = get_logger(__name__)


class _Unusable(Exception):
    """What was fetched is not what it should be."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may verify signatures of ``algorithms``."""

    name: str | None
    algorithms: frozenset[str]
    key: Any


class KeySet:
    """The keys of one issuer."""

    def __init__(
        self,
        issuer: str,
        *,
        jwks_url: str | None,
        refresh_seconds: float,
        changed: Callable[[], None],
        cooldown_seconds: float = COOLDOWN_SECONDS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        """``changed`` is called when a key is gone or another one has its name."""
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._refresh_seconds = refresh_seconds
        self._cooldown_seconds = cooldown_seconds
        self._fetch_seconds = fetch_seconds
        self._changed = changed
        self._keys: tuple[PublicKey, ...] = ()
        self._raw: frozenset[bytes] = frozenset()
        self._tried_at = -cooldown_seconds - refresh_seconds
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Fetch the keys now, and again by age, until ``close``. To be called on the event loop."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="refresh keys")

    async def close(self) -> None:
        tasks = [task for task in (self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def candidates(self, name: str | None, algorithm: str) -> tuple[PublicKey, ...]:
        """The keys that may have signed this; none: there is no such key. Raises CredentialUnavailable.

        Cancelling is safe. An unknown name causes a fetch, if the last one is not too recent.
        """
        found = self._matching(name, algorithm)
        if found:
            return found
        if self._may_fetch() or self._fetching is not None:
            await self._fetch()
            found = self._matching(name, algorithm)
        if not found and self._failed:
            raise CredentialUnavailable("the issuer's keys cannot be fetched", retry_after_seconds=5)
        return found

    def _matching(self, name: str | None, algorithm: str) -> tuple[PublicKey, ...]:
        fitting = tuple(key for key in self._keys if algorithm in key.algorithms)
        if name is None:
            # Where there is no choice, a name is not needed.
            return fitting if len(fitting) == 1 else ()
        return tuple(key for key in fitting if key.name == name)

    def _may_fetch(self) -> bool:
        return monotonic() >= self._tried_at + self._cooldown_seconds

    async def _refresh(self) -> None:
        while True:
            await self._fetch()
            pause = min(self._cooldown_seconds, self._refresh_seconds) if self._failed else self._refresh_seconds
            await asyncio.sleep(pause * random.uniform(0.9, 1.0))  # noqa: S311 # so that nodes spread

    async def _fetch(self) -> None:
        """One fetch for all who wait for it; whoever is cancelled leaves it to the others."""
        if self._fetching is None:
            self._tried_at = monotonic()
            self._fetching = asyncio.create_task(self._fetch_once(), name="fetch keys")
            self._fetching.add_done_callback(self._fetched)
        await asyncio.shield(self._fetching)

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        self._tried_at = monotonic()

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(self._fetch_seconds):
                keys = await self._download()
        except Exception as error:
            # Whatever others serve, or do not, the keys that are there stay.
            self._failed = True
            reason = str(error) if isinstance(error, _Unusable) else type(error).__name__
            _log.warning("keys_not_fetched", issuer=self._issuer, reason=reason, kept=len(self._keys))
            return
        self._failed = False
        raw = frozenset(msgspec.json.encode(each, order="sorted") for each in keys)
        if raw == self._raw:
            return
        replaced = bool(self._raw - raw)
        self._raw = raw
        self._keys = tuple(key for key in map(_public_key, keys) if key is not None)
        _log.info("keys_fetched", issuer=self._issuer, keys=len(self._keys))
        if replaced:
            self._changed()

    async def _download(self) -> list[Any]:
        loopback = is_loopback(urlsplit(self._jwks_url or self._issuer).hostname or "")
        # Redirects are not followed: what is trusted is what the settings and the issuer's own document name.
        async with httpx.AsyncClient(
            follow_redirects=False, timeout=self._fetch_seconds, trust_env=not loopback
        ) as http:
            url = self._jwks_url
            if url is None:
                document = await _document(http, self._issuer.rstrip("/") + _DISCOVERY)
                if document.get("issuer") != self._issuer:
                    raise _Unusable("the discovery document is another issuer's")
                url = document.get("jwks_uri")
                if not isinstance(url, str):
                    raise _Unusable("the discovery document names no jwks_uri")
                wrong = wrong_url(url)
                if wrong or (not loopback and is_loopback(urlsplit(url).hostname or "")):
                    raise _Unusable(f"the jwks_uri {wrong or 'is a loopback address'}")
            keys = (await _document(http, url)).get("keys")
        if not isinstance(keys, list):
            raise _Unusable("there is no list of keys")
        found = [key for key in keys[:_MOST_KEYS] if isinstance(key, dict)]
        if not any(_public_key(key) is not None for key in found):
            raise _Unusable("there is no key that can be used")
        return found


async def _document(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with http.stream("GET", url, headers={"accept": "application/json"}) as response:
        if response.status_code != httpx.codes.OK:
            raise _Unusable(f"status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_DOCUMENT_BYTES:
                raise _Unusable(f"more than {MOST_DOCUMENT_BYTES} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Unusable("it is no JSON object") from None


def _public_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    """The key, if it is one that may be used here."""
    kind, curve, name, operations = jwk.get("kty"), jwk.get("crv"), jwk.get("kid"), jwk.get("key_ops")
    algorithms = None
    if isinstance(kind, str) and (curve is None or isinstance(curve, str)):
        algorithms = _ALGORITHMS.get((kind, curve if kind != "RSA" else None))
    if algorithms is None or jwk.get("use", "sig") != "sig" or not (name is None or isinstance(name, str)):
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    bound = jwk.get("alg")
    if bound is not None and bound not in algorithms:
        return None
    try:
        # Without the private parts that a careless issuer may show.
        public = {part: jwk[part] for part in ("kty", "crv", "n", "e", "x", "y") if part in jwk}
        key = jwt.PyJWK(public, algorithm=bound or algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        return None
    return PublicKey(name, frozenset([bound] if bound else algorithms), key)

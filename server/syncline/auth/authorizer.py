"""The operator's own judge of tokens: a function in Python, or a webhook.

It is asked once for a question, which is token, headers of interest and address; a yes counts until it expires. What it
raises, and whatever it answers that is no answer, is a fault of its own and not the caller's: UNAVAILABLE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard

from syncline.auth.remembered import Remembered, hash_of
from syncline.auth.single_flight import SingleFlight
from syncline.auth.watches import UNWATCHED
from syncline.core.ids import NO_TENANT, device_id, identity_id, tenant
from syncline.core.model import Viewer
from syncline.errors import CredentialUnavailable, InvalidInput, Unauthenticated
from syncline.logs import get_logger
from syncline.ports import Clock, Credential, Ended, Presented, Watch

MOST_BYTES: Final = 16 * 1024
_LONGEST: Final = timedelta(days=365)
_UNAVAILABLE: Final = "the authorizer"

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who is this? ``headers`` are those of interest that were sent; of several with one name the last."""

    token: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    address: str | None


Answer = Mapping[str, Any] | None
Ask = Callable[[Question], Awaitable[Answer]]
"""None: refused. Else ``identity``, ``device``, ``tenant``, and ``expires_at`` or ``ttl_seconds``."""


class _Refused(Exception):
    """The authorizer says no."""


class _BadAnswer(Exception):
    """What was answered is no answer."""


class Authorizer:
    """Asks, with a time limit; those who ask the same thing at once wait for one answer."""

    def __init__(
        self, ask: Ask, clock: Clock, *, timeout_seconds: float, headers: Sequence[str], tenants: bool = False
    ) -> None:
        """``headers``: names of those to show it. ``tenants``: each answer must name a tenant."""
        self._ask = ask
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._names = frozenset(name.lower() for name in headers)
        self._tenants = tenants
        self._known = Remembered[Credential]()
        self._flights = SingleFlight[bytes, Credential]()

    async def authenticate(self, presented: Presented) -> Credential:
        """Raises Unauthenticated, CredentialUnavailable."""
        token = presented.token
        if token is None:
            raise Unauthenticated("there is no token")
        if len(token) > MOST_BYTES:
            raise Unauthenticated(f"the token is longer than {MOST_BYTES} bytes")
        question = Question(token=token, headers=self._shown(presented.headers), address=presented.address)
        name = hash_of(token, repr(sorted(question.headers.items())), presented.address or "")
        known = self._known.get(name)
        if known is None or self._clock() >= known.expires_at:
            known = await self._flights.run(name, lambda: self._judged(name, question))
        if self._clock() >= known.expires_at:
            raise Unauthenticated("the authorizer's answer has expired")
        return known

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        """What it said counts until it expires."""
        return UNWATCHED

    async def close(self) -> None:
        await self._flights.close()

    def _shown(self, headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
        named = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
        return {name: value for name, value in named if name in self._names}

    async def _judged(self, name: bytes, question: Question) -> Credential:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._ask(question)
            credential = self._credential(answer)
        except _Refused:
            raise Unauthenticated("the authorizer refuses the token") from None
        except TimeoutError:
            _log.warning("authorizer_failed", reason="no answer in time")
            raise CredentialUnavailable(f"{_UNAVAILABLE} does not answer in time") from None
        except Exception as error:
            # What it says may hold the token.
            reason = str(error) if isinstance(error, _BadAnswer) else type(error).__name__
            _log.warning("authorizer_failed", reason=reason)
            raise CredentialUnavailable(f"{_UNAVAILABLE} failed") from None
        self._known.keep(name, credential)
        return credential

    def _credential(self, answer: Answer) -> Credential:
        if answer is None:
            raise _Refused
        if not isinstance(answer, Mapping):
            raise _BadAnswer("the answer is neither a mapping nor None")
        try:
            named = _text(answer, "tenant")
            if self._tenants is not (named is not None):
                raise _BadAnswer(f"the answer has {'no' if self._tenants else 'a'} tenant")
            identity, device = _text(answer, "identity"), _text(answer, "device")
            if identity is None:
                raise _BadAnswer("the answer has no identity")
            viewer = Viewer(
                identity=identity_id(identity, NO_TENANT if named is None else tenant(named)),
                device=None if device is None else device_id(device),
            )
        except InvalidInput as error:
            raise _BadAnswer(f"the answer's {error.facts['field']} {error.facts['reason']}") from None
        return Credential(viewer=viewer, expires_at=self._expiry(answer))

    def _expiry(self, answer: Mapping[str, Any]) -> datetime:
        at, lifetime = answer.get("expires_at"), answer.get("ttl_seconds")
        now = self._clock()
        try:
            if isinstance(at, datetime) and at.tzinfo is not None:
                found = at.astimezone(UTC)
            elif _is_number(at):
                found = datetime.fromtimestamp(at, UTC)
            elif at is None and _is_number(lifetime):
                found = now + timedelta(seconds=lifetime)
            else:
                raise _BadAnswer("the answer needs ttl_seconds, or expires_at: seconds since 1970 or an aware datetime")
        except (ValueError, OverflowError, OSError):
            raise _BadAnswer("the answer's end is out of range") from None
        return min(found, now + _LONGEST)


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    value = answer.get(name)
    if value is not None and not isinstance(value, str):
        raise _BadAnswer(f"the answer's {name} is no text")
    return value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)

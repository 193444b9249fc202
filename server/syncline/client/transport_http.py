"""GraphQL over HTTP: one request, tried until there is an answer or the attempts are used up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import msgspec

from syncline.client.backoff import Backoff
from syncline.client.endpoints import Tokens
from syncline.client.errors import GuestLinked, NotSyncline, ServerRefused, ServerUnreachable, TokenRejected
from syncline.client.wire import WireError

_T = TypeVar("_T")
_LATER = frozenset({408, 425, 429})


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[WireError] = []


class _TryAgain(Exception):
    """This attempt has no outcome."""


class _Unauthenticated(Exception):
    """This attempt was turned away for its token."""


class HttpTransport:
    """Sends operations to one server as one viewer."""

    def __init__(
        self, url: str, tokens: Tokens, *, timeout_seconds: float, attempts: int, backoff: Callable[[], Backoff]
    ) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._tokens = tokens
        self._attempts = attempts
        self._backoff = backoff
        self.lost_answers = 0
        self._http = httpx.AsyncClient(timeout=timeout_seconds)

    def with_token(self, token: str) -> HttpTransport:
        """One of its own to the same server, for another viewer."""
        return HttpTransport(
            self._url,
            Tokens(token),
            timeout_seconds=self._timeout_seconds,
            attempts=self._attempts,
            backoff=self._backoff,
        )

    async def execute(
        self, query: str, variables: dict[str, Any], answer: type[_T], *, attempts: int | None = None
    ) -> _T:
        """The operation's data. Every attempt sends the same bytes.

        Raises ServerUnreachable, TokenRejected, ServerRefused, NotSyncline. Cancelling is safe; what was sent may have
        been applied.
        """
        body = msgspec.json.encode({"query": query, "variables": variables})
        backoff = self._backoff()
        last = ""
        for attempt in range(attempts or self._attempts):
            if attempt:
                await asyncio.sleep(backoff.next_delay().total_seconds())
            try:
                return await self._attempt(body, answer)
            except _TryAgain as error:
                last = str(error)
                self.lost_answers += 1
        raise ServerUnreachable(self._url, last)

    async def _attempt(self, body: bytes, answer: type[_T]) -> _T:
        try:
            return await self._post(body, answer)
        except _Unauthenticated as error:
            if not await self._tokens.renew():
                raise TokenRejected(str(error)) from None
        try:
            return await self._post(body, answer)
        except _Unauthenticated as error:
            raise TokenRejected(str(error)) from None

    async def _post(self, body: bytes, answer: type[_T]) -> _T:
        token = await self._tokens.current()
        try:
            response = await self._http.post(
                self._url,
                content=body,
                headers={
                    "content-type": "application/json",
                    "accept": "application/graphql-response+json, application/json;q=0.9",
                    "authorization": f"Bearer {token}",
                },
            )
        except httpx.TransportError as error:
            raise _TryAgain(str(error) or type(error).__name__) from error
        return self._data(response, answer)

    def _data(self, response: httpx.Response, answer: type[_T]) -> _T:
        try:
            envelope = msgspec.json.decode(response.content, type=_Answer)
        except msgspec.DecodeError:
            raise self._without_answer(response) from None
        for error in envelope.errors:
            if error.code == "UNAUTHENTICATED":
                raise _Unauthenticated(error.message)
            if error.code == GuestLinked.code:
                raise GuestLinked(error.message)
            if error.retryable:
                raise _TryAgain(error.message)
            raise ServerRefused(error.code, error.message, **error.facts)
        if response.status_code != httpx.codes.OK:
            raise self._without_answer(response)
        try:
            return msgspec.json.decode(envelope.data, type=answer)
        except msgspec.DecodeError as error:
            raise NotSyncline(self._url, str(error)) from error

    def _without_answer(self, response: httpx.Response) -> Exception:
        status = f"HTTP {response.status_code}"
        if response.status_code == httpx.codes.UNAUTHORIZED:
            return _Unauthenticated(status)
        if response.status_code in _LATER or response.is_server_error:
            return _TryAgain(status)
        return NotSyncline(self._url, status)

    async def close(self) -> None:
        await self._http.aclose()

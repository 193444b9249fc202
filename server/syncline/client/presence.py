"""Who is on a dataset right now. Nothing of it is in the cache, and without a server nobody is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final

import msgspec

from syncline.client.backoff import Backoff
from syncline.client.endpoints import Tokens
from syncline.client.errors import NotSyncline, ServerRefused, ServerUnreachable, TokenRejected
from syncline.client.exchange import Exchange
from syncline.client.models import Present
from syncline.client.references import reference
from syncline.client.transport_ws import Subscription
from syncline.client.wire import (
    BE_PRESENT,
    WATCH_PRESENCE,
    AccessEnded,
    PresenceChanges,
    PresenceData,
    PresenceEnded,
    PresenceList,
    WirePresent,
)
from syncline.core.ids import DatasetName
from syncline.core.json_values import JsonText, json_text

WATCH_ONLY: Final[Any] = object()
"""In the place of a state: not to be present oneself."""

_NOT_PRESENT: Final = "NOT_PRESENT"
_Known = dict[tuple[str, str | None], Present]


class Presence:
    """This device's presence on a dataset, for as long as ``everyone`` is iterated."""

    def __init__(
        self,
        name: DatasetName,
        state: Any,
        *,
        exchange: Exchange,
        socket_url: str,
        tokens: Tokens,
        backoff: Callable[[], Backoff],
    ) -> None:
        """Raises InvalidInput for a state that is no JSON."""
        self._name = name
        self._state: JsonText | None = None if state is WATCH_ONLY else json_text(state, field="state")
        self._exchange = exchange
        self._url = socket_url
        self._tokens = tokens
        self._backoff = backoff
        self._connected = False

    async def set_state(self, state: Any) -> None:
        """Say something else of oneself from now on, after a lost connection too. One that only watched is present
        from the next connection on. Raises InvalidInput, and what the server refuses: a state that is too large, say;
        ServerUnreachable if the connection is being lost right now: the next one brings the state with it.
        """
        before, self._state = self._state, json_text(state, field="state")
        if self._connected:
            try:
                await self._send_state()
            except ServerRefused:
                # The next connection must not be refused for it.
                self._state = before
                raise

    async def everyone(self) -> AsyncGenerator[tuple[Present, ...], None]:
        """All who are present, whenever that changes; nobody while there is no connection.

        Connects again by itself. Raises what that does not help. Close it with ``contextlib.aclosing`` if you leave the
        loop early: until then this device is present.
        """
        backoff = self._backoff()
        renewed = False
        while True:
            known: _Known = {}
            try:
                async with Subscription(self._url, await self._tokens.current(), *self._operation()) as subscription:
                    sent = self._state
                    while True:
                        known = _after(known, await self._next_event(subscription))
                        if not self._connected:
                            self._connected, renewed = True, False
                            backoff.reset()
                            if self._state != sent:
                                await self._send_state()
                        yield tuple(known.values())
            except TokenRejected:
                if renewed or not await self._tokens.renew():
                    raise
                renewed = True
            except ServerUnreachable:
                # Before anyone is told, who may answer with another state.
                self._connected = False
                if known:
                    yield ()
                await asyncio.sleep(backoff.next_delay().total_seconds())
            finally:
                self._connected = False

    def _operation(self) -> tuple[str, dict[str, Any]]:
        variables: dict[str, Any] = {"dataset": reference(self._name)}
        if self._state is None:
            return WATCH_PRESENCE, variables
        return BE_PRESENT, {**variables, "state": msgspec.Raw(self._state.encode())}

    async def _send_state(self) -> None:
        if self._state is None:
            return
        try:
            await self._exchange.set_presence(self._name, self._state)
        except ServerRefused as error:
            # The socket was lost meanwhile, or only watched: the next one brings the state with it.
            if error.refusal != _NOT_PRESENT:
                raise

    async def _next_event(self, subscription: Subscription) -> PresenceList | PresenceChanges | PresenceEnded:
        data = await subscription.next_event()
        try:
            event = msgspec.json.decode(data, type=PresenceData).presence
        except msgspec.DecodeError as error:
            raise NotSyncline(self._url, str(error)) from error
        if isinstance(event, AccessEnded):
            raise ServerRefused("ACCESS_ENDED", "this device may no longer see the dataset")
        return event


def _after(known: _Known, event: PresenceList | PresenceChanges | PresenceEnded) -> _Known:
    match event:
        case PresenceList():
            return _by_device(event.present)
        case PresenceChanges():
            left = _by_device(event.left)
            kept = {device: present for device, present in known.items() if device not in left}
            return kept | _by_device(event.joined) | _by_device(event.updated)
        case PresenceEnded():
            return {}


def _by_device(found: Iterable[WirePresent]) -> _Known:
    return {
        (each.identity_id, each.device_id): Present(
            identity=each.identity_id, device=each.device_id, state=each.state, since=each.since
        )
        for each in found
    }

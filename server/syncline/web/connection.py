"""One WebSocket that speaks graphql-transport-ws."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from syncline.api.context import Context, Services
from syncline.api.engine import Engine, OperationKind, Subscription
from syncline.api.errors import error_body
from syncline.core.ids import IdentityId
from syncline.errors import (
    CredentialExpired,
    CredentialUnavailable,
    GuestLinked,
    LimitExceeded,
    RateLimited,
    ScopeMissing,
    SynclineError,
    Unauthenticated,
)
from syncline.logs import get_logger
from syncline.metrics import Metrics
from syncline.ports import Authenticator, Clock, Credential, Watch
from syncline.service.guest_standings import GuestWatch
from syncline.service.sinks import SinkClosed
from syncline.web.admission import Admission, Place
from syncline.web.authentication import credential_of_init
from syncline.web.close_codes import CloseCode
from syncline.web.flush_tick import FlushTick
from syncline.web.heartbeat import Beat, Heartbeat
from syncline.web.limits import WebLimits
from syncline.web.message_pace import MessagePace
from syncline.web.mutations import Mutations
from syncline.web.operations import ActiveOperation
from syncline.web.outlets import Outlet, Receive, Scope, Send
from syncline.web.protocol import (
    AUTHORIZE_ACK,
    CONNECTION_ACK,
    PING,
    Authorize,
    Complete,
    ConnectionInit,
    Ping,
    Pong,
    ProtocolViolation,
    Subscribe,
    authorize_error,
    close_reason,
    decode,
    pong,
)
from syncline.web.renewal import renewed
from syncline.web.request_ids import request_id
from syncline.web.sender import Sender

_log = get_logger(__name__)

_FLUSH_SECONDS = 5.0
"""How long a closing that is no fault of the device waits for what is still to be sent."""
_AUTHENTICATION_SECONDS = 10.0

_CLOSES = {
    Beat.INIT_TIMEOUT: CloseCode.INIT_TIMEOUT,
    Beat.EXPIRED: CloseCode.FORBIDDEN,
    Beat.SILENT: CloseCode.TERMINATED,
    Beat.STALLED: CloseCode.TRY_AGAIN_LATER,
}
_PATIENT = {CloseCode.SERVICE_RESTART, CloseCode.FORBIDDEN}
"""Codes before which the device still gets what is queued for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What connections need of the server."""

    engine: Engine
    services: Services
    authenticator: Authenticator
    mutations: Mutations
    limits: WebLimits
    admission: Admission
    clock: Clock
    tick: FlushTick
    metrics: Metrics


class Connection:
    """One accepted socket, from its first message to its close.

    Messages are handled one after the other by ``run``, which reads no further while the device takes nothing. At rest
    a connection is that one task and one timer, however many subscriptions it has.
    """

    __slots__ = (
        "_backend",
        "_closing",
        "_credential",
        "_draining",
        "_guest",
        "_heartbeat",
        "_in_flight",
        "_loop",
        "_operations",
        "_outlet",
        "_pace",
        "_place",
        "_reading",
        "_receive",
        "_scope",
        "_send",
        "_sender",
        "_subscriptions",
        "_tasks",
        "_timer",
        "_watch",
    )

    def __init__(self, backend: Backend, scope: Scope, receive: Receive, send: Send, outlet: Outlet) -> None:
        self._backend = backend
        self._scope = scope
        self._receive = receive
        self._send = send
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._sender = Sender(outlet, backend.tick, limit=backend.limits.send_buffer_bytes, now=now)
        self._heartbeat = Heartbeat(limits=backend.limits, opened_at=now, heard_at=now)
        self._timer = self._loop.call_at(self._heartbeat.next_look(now), self._look)
        self._credential: Credential | None = None
        self._place: Place | None = None
        self._pace = MessagePace(backend.limits, now)
        self._guest: GuestWatch | None = None
        self._watch: Watch | None = None
        self._operations: dict[str, ActiveOperation] = {}
        self._subscriptions = self._in_flight = 0
        """Operations of which is known what they are, by that."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reading = True
        self._draining = False
        self._closing: CloseCode | None = None

    async def run(self) -> None:
        """Serve the socket until it is closed, and leave nothing behind."""
        try:
            while True:
                event = await self._receive()
                if event["type"] == "websocket.disconnect":
                    if event.get("code") == CloseCode.TOO_BIG:
                        self._backend.metrics.over_limit("messageBytes")
                    return
                if self._closing is None and not self._draining:
                    await self._handle(event.get("text"))
        finally:
            self._timer.cancel()
            if self._guest is not None:
                self._guest.close()
                self._guest = None
            self._unwatch()
            self._closing = self._closing or CloseCode.NORMAL
            for operation in list(self._operations.values()):
                operation.stop()
            await self._sender.close()
            await self._finish_tasks()
            self._backend.admission.leave(self._place)

    def drain(self, *, within: timedelta) -> None:
        """Take no more messages, finish what must be finished, and close at a random moment ``within`` that time."""
        if not self._draining:
            self._draining = True
            self._own(self._drain(within), "drain")

    # --- messages ----------------------------------------------------------------------------------------------------

    async def _handle(self, text: str | None) -> None:
        now = self._loop.time()
        self._heartbeat.heard(now)
        try:
            pause = self._paced(now)
            if text is None:
                raise ProtocolViolation(CloseCode.BAD_REQUEST, "a message is a text frame of valid UTF-8")
            await self._dispatch(text)
            await self._wait_for_room()
            if pause:
                await asyncio.sleep(pause)
        except ProtocolViolation as violation:
            self.close(violation.code, violation.reason)
        except SynclineError as error:
            self.fail(error)
        except Exception:
            name = request_id()
            _log.exception("connection_failed", request_id=name)
            self.close(CloseCode.TRY_AGAIN_LATER, f"internal error {name}")

    def _paced(self, now: float) -> float:
        held = self._pace.held
        pause = self._pace.take(now)
        if self._pace.held and not held:
            self._backend.metrics.over_limit("messagesPerSecond")
        return pause

    async def _dispatch(self, text: str) -> None:
        match decode(text):
            case ConnectionInit() as init:
                await self._initialise(init)
            case Authorize() as authorize:
                await self._renew(authorize)
            case Subscribe() as subscribe:
                self._subscribe(subscribe)
            case Complete() as complete:
                operation = self._operations.get(complete.id)
                if operation is not None:
                    operation.stop()
            case Ping() as ping:
                self._sender.put(pong(ping.payload))
            case Pong():
                pass

    async def _initialise(self, init: ConnectionInit) -> None:
        if self._heartbeat.initialised:
            raise ProtocolViolation(CloseCode.TOO_MANY_INITS, CloseCode.TOO_MANY_INITS.meaning)
        self._heartbeat.initialised = True
        try:
            async with asyncio.timeout(_AUTHENTICATION_SECONDS):
                credential = await credential_of_init(
                    self._backend.authenticator, init.payload, self._scope["headers"], self._address
                )
                if credential.guest:
                    standings = self._backend.services.guests.standings
                    self._guest = await standings.watch(credential.viewer.identity, self._look_at_guest)
        except (Unauthenticated, ScopeMissing) as error:
            await self._backend.admission.without_credential(self._scope)
            raise ProtocolViolation(_code_of(error), error.message) from None
        except TimeoutError:
            raise ProtocolViolation(CloseCode.TRY_AGAIN_LATER, "the credential could not be verified in time") from None
        self._place = await self._backend.admission.enter(credential.viewer.identity)
        # A socket is open for long, and nobody looks at them again.
        self._scope["headers"] = []
        self._adopt(credential)
        self._sender.put(CONNECTION_ACK)
        self._look()

    async def _renew(self, authorize: Authorize) -> None:
        """Take a fresh credential; one that is refused changes nothing."""
        if self._credential is None:
            raise ProtocolViolation(CloseCode.UNAUTHORIZED, CloseCode.UNAUTHORIZED.meaning)
        try:
            async with asyncio.timeout(_AUTHENTICATION_SECONDS):
                credential = await renewed(
                    self._backend.authenticator, self._credential, authorize.payload, self._address
                )
        except SynclineError as error:
            if isinstance(error, Unauthenticated):
                # On an open socket as on a new one, nobody may guess for long.
                await self._backend.admission.without_credential(self._scope)
            self._sender.put(authorize_error(error_body(error, request_id())))
        except TimeoutError:
            late = CredentialUnavailable("it could not be verified in time")
            self._sender.put(authorize_error(error_body(late, request_id())))
        else:
            self._adopt(credential)
            self._sender.put(AUTHORIZE_ACK)
            self._look()

    def _adopt(self, credential: Credential) -> None:
        self._unwatch()
        now = self._loop.time()
        self._heartbeat.expires_at = now + (credential.expires_at - self._backend.clock()).total_seconds()
        self._credential = credential
        self._watch = self._backend.authenticator.watch(credential, self._credential_ended)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _credential_ended(self, error: SynclineError) -> None:
        # What had been good is told as what has expired: the device may come back with another one.
        code = CloseCode.FORBIDDEN if isinstance(error, Unauthenticated) else CloseCode.TRY_AGAIN_LATER
        self.close(code, error.message)

    @property
    def _address(self) -> str | None:
        peer = self._scope.get("client")
        return None if peer is None else str(peer[0])

    def _subscribe(self, subscribe: Subscribe) -> None:
        if self._credential is None:
            raise ProtocolViolation(CloseCode.UNAUTHORIZED, CloseCode.UNAUTHORIZED.meaning)
        if subscribe.id in self._operations:
            raise ProtocolViolation(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {subscribe.id} already exists")
        backend, name = self._backend, request_id()
        operation = ActiveOperation(subscribe.id, self, self._sender)
        self._operations[subscribe.id] = operation
        context = Context(
            credential=self._credential,
            services=backend.services,
            request_id=name,
            caller=f"identity {self._credential.viewer.identity}",
        )
        operation.task = self._own(
            operation.run(subscribe.payload, backend.engine, backend.mutations, context, backend.metrics), "operation"
        )

    async def _wait_for_room(self) -> None:
        if not self._sender.overfull:
            return
        self._reading = False
        try:
            await self._sender.room()
        except SinkClosed:
            pass
        finally:
            self._reading = True

    # --- what is due -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._timer.cancel()
        if self._closing is not None:
            return
        now = self._loop.time()
        beat = self._heartbeat.due(now, stalled_for=self._sender.stalled_for(now), reading=self._reading)
        if beat is Beat.STALLED:
            self._backend.metrics.slow_consumers["stalled"].inc()
        if beat in _CLOSES:
            self.close(_CLOSES[beat], beat.value)
            return
        if beat is Beat.PING:
            self._sender.put(PING)
        self._timer = self._loop.call_at(self._heartbeat.next_look(now), self._look)

    def _look_at_guest(self) -> None:
        if self._guest is not None and self._closing is None:
            self._own(self._close_if_linked(self._guest.guest), "look at guest")

    async def _close_if_linked(self, guest: IdentityId) -> None:
        try:
            await self._backend.services.guests.standings.look(guest)
        except GuestLinked as error:
            self.fail(error)
        except SynclineError:
            # The store is away: the sweep will ask again.
            return

    async def _drain(self, within: timedelta) -> None:
        delay = random.uniform(0, within.total_seconds())  # noqa: S311 # no secret
        until = self._loop.time() + delay
        running = {
            operation.task
            for operation in self._operations.values()
            if operation.task is not None and operation.kind is not OperationKind.SUBSCRIPTION
        }
        if running:
            await asyncio.wait(running)
        await asyncio.sleep(until - self._loop.time())
        self.close(CloseCode.SERVICE_RESTART, "the server is restarting")

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket. Only the first call counts."""
        if self._closing is None:
            self._closing = code
            self._timer.cancel()
            self._own(self._close(code, close_reason(reason)), "close")

    async def _close(self, code: CloseCode, reason: str) -> None:
        for operation in list(self._operations.values()):
            operation.stop()
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                if code in _PATIENT:
                    await self._sender.flushed()
                await self._sender.close()
                await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
        except (TimeoutError, OSError, RuntimeError):
            self._outlet.abort()

    def fail(self, error: SynclineError) -> None:
        self.close(_code_of(error) if isinstance(error, Unauthenticated) else CloseCode.TRY_AGAIN_LATER, error.message)

    def admit(self, kind: OperationKind) -> None:
        limits = self._backend.limits
        if kind is OperationKind.SUBSCRIPTION:
            maximum = limits.subscriptions_per_connection
            if self._subscriptions >= maximum:
                raise LimitExceeded(limit="subscriptionsPerConnection", maximum=maximum, actual=maximum + 1)
            self._subscriptions += 1
        else:
            maximum = limits.operations_in_flight
            if self._in_flight >= maximum:
                self._backend.metrics.over_limit("operationsInFlight")
                raise RateLimited(limit="operationsInFlight", maximum=maximum, retry_after_seconds=1)
            self._in_flight += 1

    def forget(self, operation: ActiveOperation) -> None:
        if self._operations.get(operation.id) is operation:
            del self._operations[operation.id]
        if operation.kind is OperationKind.SUBSCRIPTION:
            self._subscriptions -= 1
        elif operation.kind is not None:
            self._in_flight -= 1

    def dispose(self, subscription: Subscription) -> None:
        self._own(subscription.close(), "close subscription")

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("connection_task_failed", task=task.get_name(), exc_info=task.exception())

    async def _finish_tasks(self) -> None:
        for task in self._tasks:
            if task.get_name() != "close subscription":
                task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)


def _code_of(error: SynclineError) -> CloseCode:
    """Whoever had a good credential may come back with another one."""
    return CloseCode.FORBIDDEN if isinstance(error, CredentialExpired | GuestLinked) else CloseCode.UNAUTHORIZED

"""One operation on a WebSocket, from ``subscribe`` to its last message."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from syncline.api.context import Context
from syncline.api.documents import RequestRejected
from syncline.api.engine import Engine, Operation, OperationKind, Response, Subscription
from syncline.api.errors import error_body
from syncline.errors import SynclineError
from syncline.metrics import Metrics
from syncline.service.sinks import SinkClosed
from syncline.web import protocol
from syncline.web.limits import count_refusal
from syncline.web.mutations import Mutations
from syncline.web.requests import GraphqlRequest
from syncline.web.sender import Sender


class _Refusal(msgspec.Struct, frozen=True):
    """A response that has no data."""

    errors: msgspec.Raw


_refusal = msgspec.json.Decoder(_Refusal)


class Owner(Protocol):
    """The connection, as its operations see it."""

    def admit(self, kind: OperationKind) -> None:
        """Count one more of the kind, until it is forgotten. Raises LimitExceeded, RateLimited."""
        ...

    def forget(self, operation: ActiveOperation) -> None:
        """Take the operation off the books: its id may be used again."""
        ...

    def dispose(self, subscription: Subscription) -> None:
        """Close the subscription, in a task that the connection owns."""
        ...

    def fail(self, error: SynclineError) -> None:
        """The connection cannot go on: close it with a code that lets the device come back."""
        ...


class ActiveOperation:
    """An operation under an id; for its subscription's feed it is the sink.

    While a request is executed it has a task; a subscription at rest has none. Once ``done`` it says nothing more.
    """

    __slots__ = ("_before_payload", "_owner", "_sender", "_subscription", "done", "id", "kind", "task")

    def __init__(self, operation_id: str, owner: Owner, sender: Sender) -> None:
        self.id = operation_id
        self.kind: OperationKind | None = None
        """None until it is known and the owner has admitted it."""
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self._owner = owner
        self._sender = sender
        self._before_payload = protocol.before_payload(operation_id)
        self._subscription: Subscription | None = None

    async def run(
        self, request: GraphqlRequest, engine: Engine, mutations: Mutations, context: Context, metrics: Metrics
    ) -> None:
        """Execute the request, or start its subscription, and say what came of it."""
        try:
            operation = engine.prepare(request.query, operation_name=request.operation_name)
            self._owner.admit(operation.kind)
            self.kind = operation.kind
            variables = request.variables or {}
            match operation.kind:
                case OperationKind.QUERY:
                    self._answer(await operation.execute(variables, context))
                case OperationKind.MUTATION:
                    self._answer(await mutations.run(lambda: operation.execute(variables, context)))
                case OperationKind.SUBSCRIPTION:
                    await self._subscribe(operation, request, context)
        except RequestRejected as rejected:
            count_refusal(rejected, metrics)
            self.refuse(rejected.errors)
        except Exception as error:
            count_refusal(error, metrics)
            self.refuse([error_body(error, context.request_id)])
        finally:
            self.task = None

    async def _subscribe(self, operation: Operation, request: GraphqlRequest, context: Context) -> None:
        subscription = await operation.subscribe(request.variables or {}, context)
        if isinstance(subscription, Response):
            self._answer(subscription)
        elif self.done:
            self._owner.dispose(subscription)
        else:
            self._subscription = subscription
            subscription.start(self)

    def refuse(self, errors: Sequence[object] | msgspec.Raw) -> None:
        """Say ``error``: there will be no results."""
        if self._leave():
            self._sender.put(protocol.error(self.id, errors))

    def _answer(self, response: Response) -> None:
        if not response.has_data:
            self.refuse(_refusal.decode(response.body).errors)
        elif self._leave():
            self._sender.put(self._next(response.body))
            self._sender.put(protocol.complete(self.id))

    def stop(self) -> None:
        """Say nothing more, and give up what is under way; a mutation goes on."""
        self._leave()
        if self.task is not None:
            # What a mutation's task does is wait for it: the mutation has a task of its own.
            self.task.cancel()
        if self._subscription is not None:
            self._owner.dispose(self._subscription)

    def _next(self, payload: bytes) -> bytes:
        return b"".join((self._before_payload, payload, b"}"))

    def _leave(self) -> bool:
        # Before the last message is sent: the device may use the id again as soon as it has that message.
        if self.done:
            return False
        self.done = True
        self._owner.forget(self)
        return True

    # --- the sink of a feed ------------------------------------------------------------------------------------------

    def push(self, payload: bytes) -> bool:
        return not self.done and self._sender.push(b"".join((self._before_payload, payload, b"}")))

    async def send(self, payload: bytes) -> None:
        if self.done:
            raise SinkClosed
        await self._sender.send(self._next(payload))

    def end(self, error: SynclineError | None) -> None:
        if error is not None:
            self._owner.fail(error)
        elif self._leave():
            self._sender.put(protocol.complete(self.id))
            if self._subscription is not None:
                self._owner.dispose(self._subscription)

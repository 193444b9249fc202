"""Executes operations: Strawberry's schema by graphql-core, each step done as seldom as possible.

A document is parsed, guarded and validated once (``api/documents.py``). A subscription's events are executed and
encoded once for all subscriptions of its cohort: same operation, same variables as far as they shape the payload.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from graphql import (
    ExecutionResult,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_root_selection_set,
    execute_subscription_event,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers

from syncline.api.context import Context
from syncline.api.documents import Documents, ParsedOperation
from syncline.api.errors import coercion_errors, field_errors
from syncline.api.events import CoreEvent, event_of
from syncline.api.projections import Projections
from syncline.api.subscriptions import EventSource
from syncline.logs import new_id
from syncline.ports import Scope
from syncline.service.sinks import Sink

_encode = msgspec.json.Encoder().encode


class OperationKind(StrEnum):
    """What an operation does."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


_KINDS = {
    OperationType.QUERY: OperationKind.QUERY,
    OperationType.MUTATION: OperationKind.MUTATION,
    OperationType.SUBSCRIPTION: OperationKind.SUBSCRIPTION,
}


_NEEDED = {
    OperationKind.QUERY: Scope.READ,
    OperationKind.MUTATION: Scope.WRITE,
    OperationKind.SUBSCRIPTION: Scope.READ,
}
"""What a credential must be good for. This is the one place that asks, for both transports."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as JSON. Without ``has_data`` the request was refused before anything was executed."""

    body: bytes
    has_data: bool


_Cohorts = WeakValueDictionary[Hashable, Executor[Context]]
"""The executors in use, one for each cohort, as long as one of its subscriptions is open."""


def _no_async_types(_awaited: object) -> Any:
    raise TypeError("no type of this schema is found asynchronously")


_HELPERS = GraphQLResolveInfoHelpers(gather=_no_async_types, track=_no_async_types)


class _Executor(Executor[Context]):
    """graphql-core's executor, which applies projections where it can.

    It goes with its last user, not only when the cyclic collector comes round: graphql-core's own refers to itself by
    these helpers, which no resolver here asks for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.async_helpers = _HELPERS
        self.projections: Projections | None = None

    def collect_and_execute_subfields(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        projections = self.projections
        project = None if projections is None else projections.get(self, return_type, field_details_list)
        if project is not None:
            # What goes wrong here goes wrong once more below, and there it becomes an error with its place.
            with suppress(Exception):
                return project(result)
        return super().collect_and_execute_subfields(return_type, field_details_list, path, result, position_context)


class Engine:
    """Prepares operations for execution."""

    def __init__(self, schema: GraphQLSchema, documents: Documents) -> None:
        self._schema = schema
        self._documents = documents
        self._cohorts = _Cohorts()

    def prepare(self, query: str, *, operation_name: str | None = None) -> Operation:
        """The operation to execute. Raises RequestRejected."""
        return Operation(self._schema, self._cohorts, self._documents.get(query).operation(operation_name))


class Operation:
    """One valid operation, to be executed with variables for a caller."""

    def __init__(self, schema: GraphQLSchema, cohorts: _Cohorts, operation: ParsedOperation) -> None:
        self.kind = _KINDS[operation.node.operation]
        self._schema = schema
        self._cohorts = cohorts
        self._operation = operation

    async def execute(self, variables: Mapping[str, Any], context: Context) -> Response:
        """Execute a query or mutation. Errors are in the response; nothing is raised for them, but ScopeMissing."""
        executor = self._executor(variables, context)
        if isinstance(executor, Response):
            return executor
        result = execute_root_selection_set(executor)
        return _response(result if isinstance(result, ExecutionResult) else await result, context)

    async def subscribe(self, variables: Mapping[str, Any], context: Context) -> Subscription | Response:
        """Open a subscription; a Response says why there is none. Raises ScopeMissing."""
        executor = self._executor(variables, context)
        if isinstance(executor, Response):
            return executor
        opened = create_source_event_stream(executor)
        source = await opened if executor.is_awaitable(opened) else opened
        if isinstance(source, ExecutionResult):
            return Response(_encode({"errors": field_errors(source.errors or [], context.request_id)}), has_data=False)
        if not isinstance(source, EventSource):
            raise TypeError(f"a subscription's source is an EventSource, not a {type(source).__name__}")
        cohort = self._cohort(executor)
        return Subscription(source, self._cohorts.setdefault(cohort, executor), cohort)

    def _executor(self, variables: Mapping[str, Any], context: Context) -> Executor[Context] | Response:
        context.require(_NEEDED[self.kind])
        executor = self._built(variables, context)
        if isinstance(executor, _Executor):
            operation = self._operation
            executor.projections = Projections() if operation.payload_variables else operation.projections
        return executor

    def _built(self, variables: Mapping[str, Any], context: Context) -> Executor[Context] | Response:
        coerced = self._operation.variables.coerce(variables)
        if coerced is not None:
            document = self._operation.document
            return _Executor(
                self._schema,
                document.fragment_nodes,
                document.fragments,
                None,
                context,
                self._operation.node,
                coerced,
                default_field_resolver,
                default_type_resolver,
                default_field_resolver,
            )
        executor = _Executor.build(
            self._schema,
            self._operation.document.node,
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=self._operation.name,
        )
        if isinstance(executor, list):
            return Response(_encode({"errors": coercion_errors(executor)}), has_data=False)
        return executor

    def _cohort(self, executor: Executor[Context]) -> Hashable:
        # No field of an event depends on the viewer, and who may see a dataset at all is decided before its channel is
        # joined. Were there such a field, what it reads of the viewer would belong into this key.
        coerced = executor.variable_values.coerced
        operation = self._operation
        shaping = tuple((name, repr(coerced.get(name))) for name in operation.payload_variables)
        return (operation.document.fingerprint, operation.name, shaping)


class Subscription:
    """One open subscription. Start it with a sink, close it when its device is done with it."""

    __slots__ = ("_executor", "_source", "cohort")

    def __init__(self, source: EventSource, executor: Executor[Context], cohort: Hashable) -> None:
        self.cohort = cohort
        self._source = source.feed
        self._executor = executor

    def start(self, sink: Sink) -> None:
        """Begin to deliver payloads, ready JSON, to ``sink``."""
        self._source.start(sink, self.encode, self.cohort)

    async def close(self) -> None:
        """Nothing is delivered after this. Idempotent."""
        await self._source.close()

    def encode(self, event: CoreEvent) -> bytes:
        """The payload for ``event``, the same for the whole cohort."""
        result = execute_subscription_event(self._executor.build_per_event_executor(event_of(event)))
        if not isinstance(result, ExecutionResult):
            raise TypeError("a field of an event is not a plain value")
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = field_errors(result.errors, new_id())
        return _encode(body)


def _response(result: ExecutionResult, context: Context) -> Response:
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = field_errors(result.errors, context.request_id)
    body["data"] = result.data
    return Response(_encode(body), has_data=True)

"""GraphQL over HTTP, by https://graphql.github.io/graphql-over-http/draft/.

What is wrong with the HTTP request is told by the status, whatever the client accepts. What is wrong with the document
or its variables is 400 for ``application/graphql-response+json``, and 200 for ``application/json``, as that
specification has it for clients that know no better. A missing or bad token is 401 for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from syncline.api.context import Context
from syncline.api.documents import RequestRejected
from syncline.api.engine import OperationKind, Response
from syncline.api.errors import error_body
from syncline.errors import (
    BadRequest,
    CredentialUnavailable,
    LimitExceeded,
    Overloaded,
    RateLimited,
    ScopeMissing,
    StoreUnavailable,
    SynclineError,
    Unauthenticated,
)
from syncline.ports import Credential
from syncline.web.authentication import credential_of_headers
from syncline.web.connection import Backend
from syncline.web.http_requests import BodyTimeout, ClientDisconnect, from_body, from_query_string, read_body
from syncline.web.limits import count_refusal
from syncline.web.negotiation import MediaType, acceptable, is_json
from syncline.web.request_ids import request_id
from syncline.web.requests import GraphqlRequest

_encode = msgspec.json.Encoder().encode

_SUBSCRIPTIONS = "Subscriptions are served over WebSocket (graphql-transport-ws), at this same path"


class _ErrorExtensions(msgspec.Struct, frozen=True):
    code: str = ""


class _Error(msgspec.Struct, frozen=True):
    extensions: _ErrorExtensions = _ErrorExtensions()


class _Outcome(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[_Error] = []


_outcome = msgspec.json.Decoder(_Outcome)


class _Answered(Exception):
    """Ends the handling early, with this answer."""

    def __init__(self, status: int, error: SynclineError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.error = error
        self.headers = headers or {}


class GraphqlHttp:
    """The ASGI app for HTTP at ``/graphql``."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond_to(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond_to(self, request: Request) -> HttpResponse:
        name = request_id(request.headers.get("x-request-id"))
        media_type = acceptable(request.headers.get("accept"))
        try:
            if media_type is None:
                raise _Answered(
                    406, BadRequest(f"answers are in {' or '.join(MediaType)}; accept one of them. {_SUBSCRIPTIONS}")
                )
            graphql_request = await self._read(request)
            credential = await self._authenticate(request)
            return await self._execute(request, graphql_request, credential, media_type, name)
        except _Answered as answer:
            return _refusal(answer.status, [error_body(answer.error, name)], media_type, name, answer.headers)
        except RequestRejected as rejected:
            count_refusal(rejected, self._backend.metrics)
            status = 200 if media_type is MediaType.JSON else 400
            return _refusal(status, rejected.errors, media_type, name)
        except ClientDisconnect:
            # Nobody is there to read it.
            return _refusal(400, [], media_type, name)
        except Exception as error:
            count_refusal(error, self._backend.metrics)
            status, headers = _status_of(error)
            return _refusal(status, [error_body(error, name)], media_type, name, headers)

    async def _read(self, request: Request) -> GraphqlRequest:
        if request.method == "GET":
            return from_query_string(request.scope["query_string"])
        if request.method != "POST":
            raise _Answered(405, BadRequest(f"{request.method} is not supported; POST is"), {"allow": "GET, POST"})
        if not is_json(request.headers.get("content-type")):
            raise _Answered(
                415, BadRequest("the content-type must be application/json in UTF-8"), {"accept-post": MediaType.JSON}
            )
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Answered(415, BadRequest("a compressed body is not supported"), {"accept-encoding": "identity"})
        try:
            return from_body(await read_body(request, self._backend.limits))
        except BodyTimeout:
            raise _Answered(408, BadRequest("the body did not arrive in time"), {"connection": "close"}) from None

    async def _authenticate(self, request: Request) -> Credential | None:
        """None: there is none, and the caller may do without. Raises what ``authenticate`` raises, and RateLimited."""
        admission = self._backend.admission
        address = None if request.client is None else request.client.host
        try:
            credential = await credential_of_headers(self._backend.authenticator, request.scope["headers"], address)
        except Unauthenticated:
            await admission.without_credential(request.scope)
            raise
        if credential is None:
            await admission.without_credential(request.scope)
        return credential

    async def _execute(
        self,
        request: Request,
        graphql_request: GraphqlRequest,
        credential: Credential | None,
        media_type: MediaType,
        name: str,
    ) -> HttpResponse:
        backend = self._backend
        operation = backend.engine.prepare(graphql_request.query, operation_name=graphql_request.operation_name)
        variables = graphql_request.variables or {}
        context = Context(
            credential=credential,
            services=backend.services,
            request_id=name,
            caller=backend.admission.caller(request.scope),
        )
        match operation.kind:
            case OperationKind.QUERY:
                response = await operation.execute(variables, context)
            case OperationKind.MUTATION if request.method == "GET":
                raise _Answered(405, BadRequest("a mutation must be sent by POST"), {"allow": "POST"})
            case OperationKind.MUTATION:
                response = await backend.mutations.run(lambda: operation.execute(variables, context))
            case OperationKind.SUBSCRIPTION:
                raise BadRequest(_SUBSCRIPTIONS)
        return _answer(response, credential, media_type, name)


def _answer(response: Response, credential: Credential | None, media_type: MediaType, name: str) -> HttpResponse:
    headers: Mapping[str, str] = {}
    status = 200 if response.has_data or media_type is MediaType.JSON else 400
    if credential is None and _needs_a_token(response):
        status, headers = 401, {"www-authenticate": "Bearer"}
    return _respond(status, response.body, media_type, name, headers)


def _needs_a_token(response: Response) -> bool:
    outcome = _outcome.decode(response.body)
    # With any data at all, the specification wants a status of success.
    return bytes(outcome.data) == b"null" and any(
        error.extensions.code == Unauthenticated.code for error in outcome.errors
    )


def _status_of(error: Exception) -> tuple[int, Mapping[str, str]]:
    match error:
        case Unauthenticated():
            return 401, {"www-authenticate": 'Bearer error="invalid_token"'}
        case ScopeMissing():
            return 403, {}
        case LimitExceeded():
            return 413, {}
        case RateLimited():
            return 429, {"retry-after": f"{math.ceil(error.retry_after_seconds)}"}
        case Overloaded() | StoreUnavailable() | CredentialUnavailable():
            return 503, {"retry-after": "1"}
        case SynclineError():
            return 400, {}
        case _:
            return 500, {}


def _refusal(
    status: int,
    errors: Sequence[object],
    media_type: MediaType | None,
    name: str,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    return _respond(status, _encode({"errors": errors}), media_type or MediaType.JSON, name, headers or {})


def _respond(status: int, body: bytes, media_type: MediaType, name: str, headers: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(
        body,
        status,
        headers={
            "content-type": f"{media_type}; charset=utf-8",
            "cache-control": "no-store",
            "vary": "Accept",
            "x-request-id": name,
            **headers,
        },
    )

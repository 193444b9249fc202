"""Everything that can go wrong for a caller, readable as one page.

An error stores facts and composes its sentence from them. Clients act on ``code`` and ``retryable``; people read
messages. Expected outcomes (a conflict, a needed resync) are results, not errors, and are not here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fact = str | int | float | bool | None

LimitName = Literal[
    "datasets",
    "datasetBytes",
    "records",
    "keyBytes",
    "changesPerSync",
    "members",
    "invitations",
    "guestsPerMinute",
    "bodyBytes",
    "operationsInFlight",
    "subscriptionsPerConnection",
    "messagesPerSecond",
    "connectionsPerIdentity",
    "connectionsPerAddress",
    "unauthenticatedPerMinute",
    "documentBytes",
    "documentTokens",
    "documentDepth",
    "documentAliases",
    "documentDirectives",
    "documentFields",
    "documentFragments",
    "documentRepeats",
    "presenceBytes",
    "presenceUpdates",
    "present",
]
"""The limits that ``LimitExceeded`` and ``RateLimited`` can name."""


class SynclineError(Exception):
    """Base of all errors a caller may see. ``facts`` travel beside the message, under their own names."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.facts: dict[str, Fact] = {name: fact for name, fact in facts.items() if fact is not None}


# --- who is calling -------------------------------------------------------------------------------------------------


class Unauthenticated(SynclineError):
    """No credential was sent, or the one sent is not valid (any more)."""

    code = "UNAUTHENTICATED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not authenticated: {reason}", reason=reason)


class CredentialExpired(Unauthenticated):
    """The credential was good once; a fresh one will do."""

    def __init__(self, what: str = "the token") -> None:
        super().__init__(f"{what} has expired")


class CredentialUnavailable(SynclineError):
    """Whether the credential is good cannot be told now: who would have to say so does not answer.

    ``retryAfter`` is in seconds.
    """

    code = "UNAVAILABLE"
    retryable = True

    def __init__(self, what: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(f"sign-in is not available: {what}", retryAfter=retry_after_seconds)


class ScopeMissing(SynclineError):
    """The credential is good, but not for this: its scopes do not include ``scope``."""

    code = "FORBIDDEN"

    def __init__(self, scope: str) -> None:
        super().__init__(f"the credential lacks the scope {str(scope)!r}", scope=str(scope))


class LoginInUse(SynclineError):
    """The login to be linked has an identity of its own that owns datasets, or is a member of some."""

    code = "LOGIN_IN_USE"

    def __init__(self) -> None:
        super().__init__("the login has an identity that has data of its own; it cannot be linked to another one")


class ApiKeyNotFound(SynclineError):
    """There is no API key with this id."""

    code = "API_KEY_NOT_FOUND"

    def __init__(self, key: str) -> None:
        super().__init__(f"no API key {key!r}", key=key)


class GuestLinked(Unauthenticated):
    """The guest has signed in: what it had is the account's, and it is disabled for good. Go on with the account's."""

    code = "GUEST_LINKED"

    def __init__(self) -> None:
        super().__init__("this guest has signed in; its data is in the account now")


class IdentityErased(Unauthenticated):
    """All that was kept of the identity was removed, as was asked for. Credentials from before count no more."""

    code = "IDENTITY_ERASED"

    def __init__(self) -> None:
        super().__init__("this identity was erased")


# --- what was sent --------------------------------------------------------------------------------------------------


class InvalidInput(SynclineError):
    """A value that was sent breaks a rule of its type; ``field`` names it, ``reason`` says the rule."""

    code = "INVALID_INPUT"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", field=field, reason=reason)


class InvalidCheckpoint(SynclineError):
    """The text sent as a checkpoint was never issued by a Syncline server, or was damaged on its way."""

    code = "INVALID_CHECKPOINT"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a checkpoint: {reason}", reason=reason)


class InvalidCursor(SynclineError):
    """The text sent as a cursor was never issued by a Syncline server, or was damaged on its way."""

    code = "INVALID_CURSOR"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a cursor: {reason}", reason=reason)


class ChangeNotApplicable(SynclineError):
    """A change does not fit the record's value: an increment of a text, say."""

    code = "CHANGE_NOT_APPLICABLE"

    def __init__(self, *, key: str, operation: str, reason: str) -> None:
        super().__init__(f"{operation} of {key!r}: {reason}", key=key, operation=operation, reason=reason)


class LimitExceeded(SynclineError):
    """Something is over a configured limit; nothing of it was applied.

    ``limit`` is the limit's name as ``Viewer.limits`` and the settings spell it, ``maximum`` its value, ``actual`` what
    was sent (or would have resulted), all in the limit's own unit.
    """

    code = "LIMIT_EXCEEDED"

    def __init__(self, *, limit: LimitName, maximum: int, actual: int, key: str | None = None) -> None:
        self.limit = limit
        where = "" if key is None else f" for {key!r}"
        super().__init__(
            f"over the limit {limit}{where}: {actual}, at most {maximum}",
            limit=limit,
            maximum=maximum,
            actual=actual,
            key=key,
        )


class MutationIdReused(SynclineError):
    """This device used the same ``mutationId`` before, with another dataset, other changes or another policy."""

    code = "MUTATION_ID_REUSED"

    def __init__(self, mutation_id: str) -> None:
        super().__init__(
            f"mutationId {mutation_id!r} was used for other changes; make a new id for each sync",
            mutationId=mutation_id,
        )


# --- what was asked for ---------------------------------------------------------------------------------------------


class DatasetNotFound(SynclineError):
    """No such dataset, or none that the viewer may see."""

    code = "DATASET_NOT_FOUND"

    def __init__(self, dataset: str) -> None:
        super().__init__(f"no dataset {dataset!r}", dataset=dataset)


class DatasetIsDeleted(SynclineError):
    """The dataset of this id was deleted; its name may stand for a new one."""

    code = "DATASET_DELETED"

    def __init__(self, dataset: str) -> None:
        super().__init__(f"dataset {dataset!r} was deleted", dataset=dataset)


class DatasetExists(SynclineError):
    """The viewer already has a dataset of this name."""

    code = "DATASET_EXISTS"

    def __init__(self, *, name: str, dataset_id: str) -> None:
        super().__init__(f"a dataset named {name!r} exists", name=name, datasetId=dataset_id)


class Forbidden(SynclineError):
    """The viewer sees what it asked for, and may not do this to it."""

    code = "FORBIDDEN"

    def __init__(self, reason: str, *, dataset: str | None = None, role: str | None = None) -> None:
        super().__init__(reason, reason=reason, dataset=dataset, role=role)


class MemberNotFound(SynclineError):
    """The identity is no member of the dataset."""

    code = "MEMBER_NOT_FOUND"

    def __init__(self, *, identity: str, dataset: str) -> None:
        super().__init__(f"{identity!r} is no member of dataset {dataset!r}", identityId=identity, dataset=dataset)


class InvitationNotFound(SynclineError):
    """No such invitation, or one that expired, was used up or revoked: which of these, nobody is told."""

    code = "INVITATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such invitation, or it is no longer good")


class NotPresent(SynclineError):
    """The device is not present on the dataset, as far as this server knows, so it has no state to set there."""

    code = "NOT_PRESENT"

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"this device is not present on dataset {dataset!r}: subscribe to `presence` with a state first",
            dataset=dataset,
        )


# --- the request as such --------------------------------------------------------------------------------------------


class BadRequest(SynclineError):
    """The request is not one of the protocol it was sent under."""

    code = "BAD_REQUEST"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason=reason)


class OriginNotAllowed(SynclineError):
    """A web page of another origin wants to open a WebSocket here, and the settings do not allow it."""

    code = "ORIGIN_NOT_ALLOWED"

    def __init__(self) -> None:
        super().__init__("pages of this origin may not connect; the server's setting allowed_origins names those")


class DocumentInvalid(SynclineError):
    """The GraphQL document does not parse or does not fit the schema."""

    code = "GRAPHQL_VALIDATION_FAILED"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class InternalError(SynclineError):
    """A fault of the server's. The log has it under ``requestId``; nothing else is told."""

    code = "INTERNAL"
    retryable = True

    def __init__(self, request_id: str) -> None:
        super().__init__(f"internal error; the server's log has it as {request_id}", requestId=request_id)


# --- the state of the server ----------------------------------------------------------------------------------------


class StoreUnavailable(SynclineError):
    """The store could not be read or written. Nothing of the request was applied unless a later retry says so.

    ``retryAfter`` is in seconds.
    """

    code = "UNAVAILABLE"
    retryable = True

    def __init__(self, reason: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(f"the store is not available: {reason}", retryAfter=retry_after_seconds)


class Overloaded(SynclineError):
    """The server has as much to do as it can hold; try again later."""

    code = "OVERLOADED"
    retryable = True

    def __init__(self, what: str) -> None:
        super().__init__(f"overloaded: {what}", what=what)


class RateLimited(SynclineError):
    """More at the same time, or in a time, than one caller may; nothing of it was done. Later it will do.

    ``limit`` is the limit's name, ``maximum`` its value, ``retryAfter`` the seconds after which to try again.
    """

    code = "RATE_LIMITED"
    retryable = True

    def __init__(self, *, limit: LimitName, maximum: int, retry_after_seconds: float) -> None:
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"over the limit {limit}: at most {maximum}; try again in {retry_after_seconds:g} s",
            limit=limit,
            maximum=maximum,
            retryAfter=retry_after_seconds,
        )


# --- why a server does not start ------------------------------------------------------------------------------------


class StartRefused(SynclineError):
    """The server does not start: a setting or the data folder is not as it must be; the message says which and why."""

    code = "START_REFUSED"


class StoreTooNew(StartRefused):
    """The database was written by a newer Syncline than this one."""

    code = "STORE_TOO_NEW"

    def __init__(self, *, path: str, found: int, known: int) -> None:
        super().__init__(
            f"{path} has schema {found}; this Syncline knows up to {known}: start the newer one, or restore a backup",
            path=path,
            found=found,
            known=known,
        )

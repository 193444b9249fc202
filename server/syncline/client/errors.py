"""What can go wrong for an app that uses the client. Edits are kept in every one of these cases."""

from __future__ import annotations

from syncline.errors import Fact, SynclineError


class ServerUnreachable(SynclineError):
    """No answer, or only ones that say "later", after all attempts. What was sent may or may not have been applied.

    The next synchronize sends it again under the same ``mutationId``, so it has one effect either way.
    """

    code = "SERVER_UNREACHABLE"
    retryable = True

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server} cannot be reached: {reason}", server=server, reason=reason)


class TokenRejected(SynclineError):
    """The server does not accept the token, and the provider has no better one."""

    code = "TOKEN_REJECTED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server rejects the token: {reason}", reason=reason)


class GuestLinked(TokenRejected):
    """The guest whose token this is has signed in, on another device maybe: sign in here too, and link the guest."""

    code = "GUEST_LINKED"


class ServerRefused(SynclineError):
    """The server answered with an error that trying again does not help; ``refusal`` is its code."""

    code = "SERVER_REFUSED"

    def __init__(self, refusal: str, message: str, **facts: Fact) -> None:
        super().__init__(message, **facts)
        self.refusal = refusal


class ConnectionRefused(SynclineError):
    """The server closed the socket with a code that says not to come back."""

    code = "CONNECTION_REFUSED"

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(f"the server closed the connection with {close_code} {reason}", closeCode=close_code)
        self.close_code = close_code


class NotSyncline(SynclineError):
    """What answers at the address does not speak Syncline's protocol."""

    code = "NOT_SYNCLINE"

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server} does not answer as a Syncline server: {reason}", server=server, reason=reason)


class CacheBelongsToAnother(SynclineError):
    """The cache file holds the data of another identity or device than the token's."""

    code = "CACHE_BELONGS_TO_ANOTHER"

    def __init__(self, *, path: str, owner: str, viewer: str) -> None:
        super().__init__(f"the cache {path} belongs to {owner}, the token to {viewer}", path=path)


class CacheTooNew(SynclineError):
    """The cache file was written by a newer Syncline than this one."""

    code = "CACHE_TOO_NEW"

    def __init__(self, *, path: str, found: int, known: int) -> None:
        super().__init__(f"{path} has schema {found}; this Syncline knows up to {known}", found=found, known=known)


class CacheUnusable(SynclineError):
    """The cache file cannot be opened, read or written."""

    code = "CACHE_UNUSABLE"

    def __init__(self, *, path: str, reason: str) -> None:
        super().__init__(f"the cache {path} cannot be used: {reason}", path=path)

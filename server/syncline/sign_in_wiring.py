"""Who may sign in, put together from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from syncline.auth.api_keys import ApiKeyAuthenticator
from syncline.auth.authorizer import Authorizer
from syncline.auth.credentials import Credentials
from syncline.auth.key_states import KeyStates
from syncline.auth.keys import SigningSecret
from syncline.auth.logins import Logins
from syncline.auth.tokens import Signer, TokenAuthenticator
from syncline.config import Settings
from syncline.ports import Clock, CompleteStore
from syncline.sign_in import secrets_of


@asynccontextmanager
async def credentials(
    settings: Settings, secret: SigningSecret, store: CompleteStore, clock: Clock
) -> AsyncIterator[Credentials]:
    """All kinds of credentials that the settings allow, until the context ends. Raises StartRefused."""
    async with AsyncExitStack() as stack:
        states = KeyStates(store.api_keys, clock)
        stack.push_async_callback(states.close)
        logins = Logins(store.identities, clock)
        stack.push_async_callback(logins.close)
        oidc = None
        if settings.issuers:
            # Not before it is needed: a server without issuers need not hold an HTTP client in memory.
            from syncline.auth.oidc import OidcVerifier

            oidc = OidcVerifier(settings.issuers, clock, tenant_claim=settings.tenant_claim)
            stack.push_async_callback(oidc.close)
            oidc.start()
        authorizer = None
        if settings.authorizer is not None:
            from syncline.auth.authorizer_kinds import asking

            authorizer = Authorizer(
                asking(settings.authorizer, settings.authorizer_timeout_seconds),
                clock,
                timeout_seconds=settings.authorizer_timeout_seconds,
                headers=settings.authorizer_headers.split(),
                tenants=settings.tenant_claim is not None,
            )
            stack.push_async_callback(authorizer.close)
        yield Credentials(
            TokenAuthenticator(secret.value, clock, shared=_signers(settings), tenant_claim=settings.tenant_claim),
            ApiKeyAuthenticator(states),
            logins,
            oidc=oidc,
            authorizer=authorizer,
        )


def _signers(settings: Settings) -> list[Signer]:
    if settings.shared_secrets is None:
        return []
    audience = frozenset([settings.shared_audience] if settings.shared_audience else [])
    return [
        Signer(secret=secret, issuer=settings.shared_issuer, audience=audience)
        for secret in secrets_of(settings.shared_secrets.get_secret_value())
    ]

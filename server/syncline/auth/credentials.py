"""Which kind of credential was sent, and so who verifies it. What one refuses is never tried with another.

| what was sent | who verifies it |
| --- | --- |
| an API key | the table of keys |
| a JWT whose ``iss`` is a configured issuer's | that issuer's public keys, whatever its ``alg`` says |
| any other JWT with ``alg`` HS256 | the server's secret and the shared ones |
| anything else | the operator's authorizer, if there is one |

So a public key is never taken for a secret, and a token of one issuer never shown to another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncline.auth.api_keys import ApiKeyAuthenticator
from syncline.auth.authorizer import Authorizer
from syncline.auth.devices import with_device
from syncline.auth.jws import MOST_BYTES, unverified
from syncline.auth.key_texts import PREFIX
from syncline.auth.logins import Logins
from syncline.auth.tokens import ALGORITHM, TokenAuthenticator
from syncline.core.model import Viewer
from syncline.errors import InvalidInput, Unauthenticated
from syncline.ports import Credential, Ended, Login, Presented, Watch

if TYPE_CHECKING:
    # It brings an HTTP client along, which a server without issuers need not hold in memory.
    from syncline.auth.oidc import OidcVerifier

_FOREIGN: Final = "the token's issuer is not one that is trusted here"


class Credentials:
    """All kinds of credentials that this server takes. See ``ports.Authenticator`` and ``ports.LoginVerifier``."""

    def __init__(
        self,
        own: TokenAuthenticator,
        keys: ApiKeyAuthenticator,
        logins: Logins,
        *,
        oidc: OidcVerifier | None = None,
        authorizer: Authorizer | None = None,
    ) -> None:
        self._own = own
        self._keys = keys
        self._logins = logins
        self._oidc = oidc
        self._authorizer = authorizer

    async def authenticate(self, presented: Presented) -> Credential:
        if presented.api_key is not None:
            if presented.token is not None:
                raise Unauthenticated("there are a token and an API key; send one of them")
            return await self._keys.authenticate(presented)
        if presented.act_as is not None or presented.act_as_device is not None:
            raise Unauthenticated("x-act-as and x-act-as-device need an API key")
        token = presented.token or ""
        if token.startswith(PREFIX):
            raise Unauthenticated("an API key is sent as x-api-key, not as a token")
        if self._own.remembers(token):
            # Reading it once more to find the same out takes as long as verifying it.
            return await self._own.authenticate(presented)
        told = unverified(token)
        if told is not None and self._oidc is not None and self._oidc.knows(told.issuer):
            signed_in = await self._oidc.verify(token, told)
            identity = await self._logins.identity_of(signed_in.login)
            viewer = Viewer(identity=identity, device=signed_in.device)
            return with_device(Credential(viewer=viewer, expires_at=signed_in.expires_at), presented)
        if told is not None and told.algorithm == ALGORITHM:
            return await self._own.authenticate(presented)
        if self._authorizer is not None:
            return with_device(await self._authorizer.authenticate(presented), presented)
        if told is not None and told.issuer is not None and self._oidc is not None:
            raise Unauthenticated(_FOREIGN)
        # It says best what is wrong with the token.
        return await self._own.authenticate(presented)

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        return self._keys.watch(credential, ended)

    async def login_of(self, token: str) -> Login:
        told = unverified(token)
        if len(token) > MOST_BYTES:
            raise Unauthenticated(f"the token is longer than {MOST_BYTES} bytes")
        if told is None or self._oidc is None or not self._oidc.knows(told.issuer):
            raise InvalidInput("token", "only a token of a configured issuer can be linked")
        return (await self._oidc.verify(token, told)).login

    def forget(self, login: Login) -> None:
        self._logins.forget(login)

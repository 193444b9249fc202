"""API keys of backends: each stands for itself, or, with the scope ``act-as``, for whom it names."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from syncline.auth.devices import named_device, with_device
from syncline.auth.key_states import KeyStates
from syncline.auth.key_texts import own_identity, use_of
from syncline.auth.watches import UNWATCHED
from syncline.core.ids import identity_id
from syncline.core.model import Viewer
from syncline.errors import InvalidInput, ScopeMissing, Unauthenticated
from syncline.ports import ApiKey, Credential, Ended, KeyUse, Presented, Scope, Watch


class ApiKeyAuthenticator:
    """Accepts keys that are neither expired nor revoked."""

    def __init__(self, states: KeyStates) -> None:
        self._states = states

    async def authenticate(self, presented: Presented) -> Credential:
        """Raises Unauthenticated, ScopeMissing, StoreUnavailable."""
        if presented.api_key is None:
            raise Unauthenticated("there is no API key")
        use = use_of(presented.api_key)
        key = await self._states.good(use)
        credential = Credential(
            viewer=Viewer(identity=own_identity(key.id, key.tenant), device=None),
            expires_at=_end_of(key, use),
            scopes=key.scopes,
            key=use,
        )
        if presented.act_as is None:
            if presented.act_as_device is not None:
                raise Unauthenticated("x-act-as-device needs x-act-as")
            return with_device(credential, presented)
        return with_device(replace(credential, viewer=_acted_for(key, presented, presented.act_as)), presented)

    def watch(self, credential: Credential, ended: Ended) -> Watch:
        return UNWATCHED if credential.key is None else self._states.watch(credential.key, ended)


def _acted_for(key: ApiKey, presented: Presented, identity: str) -> Viewer:
    if Scope.ACT_AS not in key.scopes:
        raise ScopeMissing(Scope.ACT_AS)
    try:
        acted_for = identity_id(identity, key.tenant)
    except InvalidInput as error:
        raise Unauthenticated(f"x-act-as {error.facts['reason']}") from error
    device = presented.act_as_device
    return Viewer(identity=acted_for, device=None if device is None else named_device(device, "x-act-as-device"))


def _end_of(key: ApiKey, use: KeyUse) -> datetime:
    """With the secret from before it was rotated, a key ends sooner."""
    if use.secret_hash != key.secret_hash and key.old_until is not None:
        return min(key.expires_at, key.old_until)
    return key.expires_at

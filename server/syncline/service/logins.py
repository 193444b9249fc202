"""Several ways to sign in that lead to one identity."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.core.ids import tenant_of
from syncline.core.model import Viewer
from syncline.errors import InvalidInput
from syncline.ports import Clock, Identities, LoginVerifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What linking came to. ``new``: the login was another identity before, or none."""

    viewer: Viewer
    new: bool


class Logins:
    """What a viewer may do about logins."""

    def __init__(self, verifier: LoginVerifier, identities: Identities, clock: Clock) -> None:
        self._verifier = verifier
        self._identities = identities
        self._clock = clock

    async def link(self, viewer: Viewer, token: str) -> Linked:
        """From now on whoever signs in with the login that ``token`` is of, is ``viewer``'s identity. Idempotent.

        To have a fresh token of the login is to own it. Raises Unauthenticated for a bad token, LoginInUse if the
        login has data of its own.
        """
        login = await self._verifier.login_of(token)
        if login.tenant != tenant_of(viewer.identity):
            raise InvalidInput("token", "the login belongs to another tenant")
        new = await self._identities.link(login, viewer.identity, now=self._clock())
        self._verifier.forget(login)
        return Linked(viewer=viewer, new=new)

"""A fresh credential on an open connection: what it may be, so that nothing else about the connection changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncline.errors import Unauthenticated
from syncline.ports import Authenticator, Credential
from syncline.web.authentication import credential_of_init


async def renewed(
    authenticator: Authenticator, before: Credential, payload: Mapping[str, Any] | None, address: str | None
) -> Credential:
    """The credential in the payload of ``authorize``, good for all that ``before`` was good for.

    Raises Unauthenticated if it is not, or stands for another identity or device; and what ``authenticate`` raises.
    """
    credential = await credential_of_init(authenticator, payload, (), address)
    if credential.viewer.identity != before.viewer.identity:
        raise Unauthenticated("it stands for another identity; open a new connection")
    if credential.viewer.device != before.viewer.device:
        raise Unauthenticated("it stands for another device; open a new connection")
    if not credential.scopes >= before.scopes:
        raise Unauthenticated("it has fewer scopes than the one before; open a new connection")
    return credential

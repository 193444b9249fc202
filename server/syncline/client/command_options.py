"""What all device commands take: which server, as whom, and where the device keeps its data."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from syncline.client.device import Device
from syncline.client.endpoints import endpoint
from syncline.core.ids import device_id, identity_id
from syncline.errors import InvalidInput

DEFAULT_SERVER = "http://127.0.0.1:8000/graphql"
_ATTEMPTS = 3

Server = Annotated[
    str, typer.Option("--server", envvar="SYNCLINE_SERVER", metavar="<url>", help="The server's GraphQL address.")
]
Token = Annotated[
    str | None, typer.Option("--token", envvar="SYNCLINE_TOKEN", metavar="<token>", help="The token to send.")
]
Identity = Annotated[
    str | None,
    typer.Option("--identity", metavar="<id>", help="Instead of a token: sign one with the data folder's secret."),
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="<id>", help="With --identity: which device this is.")]
Data = Annotated[
    str | None, typer.Option("--data", metavar="<folder>", help="With --identity: the server's data folder.")
]
CacheFile = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="SYNCLINE_CACHE",
        metavar="<file>",
        help="The device's file; without it, one per server, identity and device in the user's application folder.",
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask the server: the device's file only.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """As whom to speak, and to which server."""

    server: str
    token: str | None
    identity: str | None
    device: str
    data: str | None
    cache: Path | None

    def open(self) -> Device:
        """The device. Raises InvalidInput if nothing says who it is."""
        return Device(
            self.server,
            token=self._token_to_send,
            cache=self.cache or self._default_cache(),
            timeout=timedelta(seconds=10),
            attempts=_ATTEMPTS,
        )

    async def _token_to_send(self) -> str:
        if self.identity is None:
            return self._given_token()
        from syncline.auth.keys import existing_secret
        from syncline.auth.tokens import mint
        from syncline.config import load
        from syncline.core.model import Viewer

        settings = load({"data": self.data})
        configured = settings.token_secret.get_secret_value() if settings.token_secret else None
        secret = existing_secret(configured=configured, folder=settings.data)
        viewer = Viewer(identity=identity_id(self.identity), device=device_id(self.device))
        lifetime = timedelta(days=settings.token_lifetime_days)
        return mint(secret.value, viewer, lifetime, datetime.now(UTC), tenant_claim=settings.tenant_claim)

    def _given_token(self) -> str:
        if not self.token:
            raise InvalidInput(
                "token", "give --token (or SYNCLINE_TOKEN), or --identity with the server's --data folder"
            )
        return self.token

    def _default_cache(self) -> Path:
        """A device's edits wait in this file until they are pushed, so it is no place that is cleaned up at will."""
        identity, device = (self.identity, self.device) if self.identity is not None else _claims(self._given_token())
        whole = msgspec.json.encode([endpoint(self.server).http, identity, device])
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{identity}-{device}")[:64]
        folder = Path(typer.get_app_dir("syncline")) / "devices"
        return folder / f"{name}-{hashlib.blake2b(whole, digest_size=6).hexdigest()}.sqlite3"


class _Claims(msgspec.Struct):
    sub: str = ""
    did: str = ""


def _claims(token: str) -> tuple[str, str]:
    """Whom a token names; one that cannot be read names nobody, and is told apart by itself."""
    try:
        body = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=_Claims)
    except (IndexError, ValueError, msgspec.DecodeError):
        return "token", hashlib.blake2b(token.encode(), digest_size=6).hexdigest()
    return claims.sub, claims.did

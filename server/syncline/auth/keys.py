"""The secret that tokens are signed with: where it comes from, and when a server must not start with it."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncline.addresses import is_loopback
from syncline.errors import StartRefused

FILE_NAME: Final = "token-secret"
LEAST_BYTES: Final = 32
"""What HS256 asks for: a secret as long as its hash (RFC 7518, 3.2)."""

_HOW_TO_MAKE_ONE: Final = "make one with: openssl rand -base64 48"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSecret:
    """A secret that is long enough, and where it was found. Its text shows in no representation."""

    value: bytes
    source: str

    def __repr__(self) -> str:
        return f"SigningSecret(source={self.source!r})"


def server_secret(*, configured: str | None, folder: Path, host: str, dev: bool) -> SigningSecret:
    """The secret a server verifies with; with ``dev`` one is made and kept in ``folder`` if there is none.

    Raises StartRefused: no secret, a short one, or ``dev`` on an address that others can reach.
    """
    if dev and not is_loopback(host):
        raise StartRefused(
            f"dev is for loopback addresses and host is {host!r}: leave --dev out and set SYNCLINE_TOKEN_SECRET, "
            "or listen on 127.0.0.1",
            setting="dev",
        )
    found = find_secret(configured=configured, folder=folder)
    if found is not None:
        return found
    if not dev:
        raise _missing(folder)
    return _keep_new_secret(folder / FILE_NAME)


def existing_secret(*, configured: str | None, folder: Path) -> SigningSecret:
    """The secret of a server that was set up before. Raises StartRefused if there is none, or a short one."""
    found = find_secret(configured=configured, folder=folder)
    if found is None:
        raise _missing(folder)
    return found


def find_secret(*, configured: str | None, folder: Path) -> SigningSecret | None:
    """The configured secret, else that of the folder, else None. Raises StartRefused for one that must not be used."""
    if configured:
        return _checked(configured.encode("utf-8", "surrogateescape"), "SYNCLINE_TOKEN_SECRET")
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            value = file.read().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}") from error
    # The group may have access: volume managers give a pod its files that way.
    if os.name == "posix" and mode & stat.S_IRWXO:
        raise StartRefused(f"{path} is open to every user of this machine (mode {mode:04o}): chmod 600 it")
    return _checked(value, str(path))


def _checked(value: bytes, source: str) -> SigningSecret:
    if len(value) < LEAST_BYTES:
        raise StartRefused(
            f"{source} has {len(value)} bytes and needs at least {LEAST_BYTES}: {_HOW_TO_MAKE_ONE}",
            setting="token_secret",
        )
    return SigningSecret(value=value, source=source)


def _missing(folder: Path) -> StartRefused:
    return StartRefused(
        f"no token secret: set SYNCLINE_TOKEN_SECRET to at least {LEAST_BYTES} bytes ({_HOW_TO_MAKE_ONE}), "
        f"put them into {folder / FILE_NAME}, or start the server with --dev to try it out",
        setting="token_secret",
    )


def _keep_new_secret(path: Path) -> SigningSecret:
    """Make a secret that is in ``path`` whole or not at all; if another process was faster, its secret is the one."""
    value = secrets.token_urlsafe(48).encode()
    draft = path.with_name(f".{FILE_NAME}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(value + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            return existing_secret(configured=None, folder=path.parent)
        finally:
            draft.unlink(missing_ok=True)
        if os.name == "posix":
            _sync_folder(path.parent)
    except OSError as error:
        raise StartRefused(f"{path} cannot be written: {error.strerror}") from error
    return SigningSecret(value=value, source=str(path))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

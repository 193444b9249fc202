"""The product's own server as a process of its own: started, killed, started again on the same port and folder."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from syncline.auth.keys import existing_secret
from syncline.auth.tokens import mint
from syncline.core.ids import DeviceId, IdentityId
from syncline.core.model import Viewer

PATIENCE_SECONDS = 40.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/graphql")
_MANY_QUICK_DEVICES = {
    "SYNCLINE_MAX_CONNECTIONS_PER_IDENTITY": "1000",
    "SYNCLINE_MAX_OPERATIONS_IN_FLIGHT": "1000",
    "SYNCLINE_MAX_MESSAGES_PER_SECOND": "100000",
}
"""A test's devices are more than those of one identity are, and quicker. What the limits do has tests of its own."""
_BETWEEN_LOOKS = threading.Event()  # never set: waiting for it is a pause between looks at a port


class RunningServer:
    """``syncline serve --dev`` on a data folder. ``output`` holds all that it printed and logged, over all starts."""

    mode: Sequence[str] = ("--dev",)

    def __init__(
        self, folder: Path, *flags: str, settings: Mapping[str, str] | None = None, module: str = "syncline"
    ) -> None:
        """``settings``: variables of its environment, for those that have no flag. ``module``: what Python runs."""
        self.folder = folder
        self.port = 0
        self.output: list[str] = []
        self._flags = flags
        self._settings = dict(settings or {})
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    def token(self, device: str | None, identity: str = "alice", *, lifetime: timedelta = timedelta(hours=1)) -> str:
        """A token that this server accepts."""
        viewer = Viewer(identity=IdentityId(identity), device=None if device is None else DeviceId(device))
        secret = existing_secret(configured=self._settings.get("SYNCLINE_TOKEN_SECRET"), folder=self.folder)
        return mint(secret.value, viewer, lifetime, datetime.now(UTC))

    def start(self) -> None:
        """Start it, and return when it is ready. Started again, it has the same port."""
        command = [sys.executable, "-m", self._module, "serve", *self.mode, "--data", str(self.folder)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), *self._flags],
            env={**environment, **_MANY_QUICK_DEVICES, **self._settings, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=self._read, args=(self._process, lines), daemon=True)
        reader.start()
        self._readers.append(reader)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.port == 0:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            assert line is not None, "the server ended:\n" + "".join(self.output)
            found = _ADDRESS.search(line)
            if found:
                self.port = int(found[1])
        self._wait_until_ready(deadline)

    def _read(self, process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.output.append(line)
                lines.put(line)
        lines.put(None)

    def _wait_until_ready(self, deadline: float) -> None:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                assert self._process is not None
                assert self._process.poll() is None, "the server ended:\n" + "".join(self.output)
                assert time.monotonic() < deadline, "the server does not get ready:\n" + "".join(self.output)
                _BETWEEN_LOOKS.wait(0.02)

    def kill(self) -> None:
        """End it as by ``kill -9``."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it as an operator does; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, with_signal: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(with_signal)
        try:
            code = process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        self._readers.pop().join(PATIENCE_SECONDS)
        return code

    def renew_epoch(self) -> None:
        """Give the stopped server's log a new identity, as after a backup was restored."""
        subprocess.run(
            [sys.executable, "-m", "syncline", "epoch", "renew", "--data", str(self.folder)],
            check=True,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )

    def restart(self) -> None:
        """After ``kill`` or ``stop`` (or now, with ``kill``): the same port, the same data."""
        self.kill()
        self.start()


@contextmanager
def running_server(folder: Path, *flags: str, settings: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """A server that is ready; at the end it is killed if it still runs."""
    server = RunningServer(folder, *flags, settings=settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()

"""Devices as real processes: Syncline's own command, or a script on someone else's client."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.support.server import RunningServer

PATIENCE_SECONDS = 60.0
NODE = Path(__file__).parents[2] / "node"


class Lines:
    """A process whose lines are read as they come, so that none is missed."""

    def __init__(self, command: list[str], *, folder: Path | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def next(self, deadline: float) -> dict[str, Any]:
        line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        assert line is not None, f"the process ended with {self.process.wait(PATIENCE_SECONDS)}"
        value: dict[str, Any] = json.loads(line)
        return value

    def say(self, **line: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class DeviceProcess(ABC):
    """A device of dataset ``countries``."""

    @abstractmethod
    def begin_push(self, file: Path) -> None:
        """Begin to push the records of the file."""

    @abstractmethod
    def finish_push(self) -> None:
        """Wait until they are acknowledged."""

    @abstractmethod
    def synchronize(self) -> None: ...

    @abstractmethod
    def edit_offline(self, key: str, value: Any) -> None: ...

    @abstractmethod
    def watch(self) -> None:
        """Begin to watch, and wait until it is live."""

    @abstractmethod
    def next_seen(self, deadline: float) -> tuple[str, Any]:
        """Key and value of the next record that the watching device tells of."""

    @abstractmethod
    def export(self) -> bytes:
        """All that the device holds, without asking the server."""

    @abstractmethod
    def end(self) -> None: ...

    def see(self, wanted: dict[str, Any]) -> None:
        """Watch until all of ``wanted`` was seen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        missing = dict(wanted)
        while missing:
            key, value = self.next_seen(deadline)
            if missing.get(key) == value:
                del missing[key]


class CommandDevice(DeviceProcess):
    """``syncline``'s own commands, a process each, with a cache file between them."""

    def __init__(self, server: RunningServer, name: str, folder: Path) -> None:
        self._server = server
        self._name = name
        self._cache = folder / f"{name}.sqlite3"
        self._push: Lines | None = None
        self._watch: Lines | None = None

    def _command(self, *command: str) -> list[str]:
        who = ["--identity", "alice", "--device", self._name, "--data", str(self._server.folder)]
        where = ["--server", self._server.url, "--cache", str(self._cache)]
        return [sys.executable, "-m", "syncline", *command, *who, *where]

    def _run(self, *command: str) -> bytes:
        return subprocess.run(
            self._command(*command), check=True, stdout=subprocess.PIPE, timeout=PATIENCE_SECONDS
        ).stdout

    def begin_push(self, file: Path) -> None:
        self._push = Lines(self._command("sync", str(file), "--dataset", "countries", "--wait", "60"))

    def finish_push(self) -> None:
        assert self._push is not None
        summary = self._push.next(time.monotonic() + PATIENCE_SECONDS)
        assert summary["conflicts"] == summary["parked"] == []
        assert self._push.process.wait(PATIENCE_SECONDS) == 0
        self._push.end()

    def synchronize(self) -> None:
        self._run("sync", "--dataset", "countries")

    def edit_offline(self, key: str, value: Any) -> None:
        self._run("put", "countries", key, json.dumps(value), "--offline")

    def watch(self) -> None:
        self._watch = Lines(self._command("watch", "countries"))
        assert self._watch.next(time.monotonic() + PATIENCE_SECONDS)["ready"]

    def next_seen(self, deadline: float) -> tuple[str, Any]:
        assert self._watch is not None
        while "key" not in (line := self._watch.next(deadline)):
            pass
        return line["key"], line["value"]

    def export(self) -> bytes:
        return self._run("export", "countries", "--offline").removesuffix(b"\n")

    def end(self) -> None:
        if self._watch is not None:
            self._watch.process.send_signal(signal.SIGINT)
            code = self._watch.process.wait(PATIENCE_SECONDS)
            self._watch.end()
            assert code == 0


class ScriptDevice(DeviceProcess):
    """A script that stays, holds its records in memory and is told what to do line by line."""

    def __init__(self, command: list[str], server: RunningServer, name: str, *, folder: Path | None = None) -> None:
        self._lines = Lines([*command, server.socket_url, server.token(name)], folder=folder)

    def _tell(self, name: str, **facts: Any) -> dict[str, Any]:
        self._lines.say(do=name, **facts)
        return self._done(name)

    def _done(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (line := self._lines.next(deadline)).get("done") != name:
            pass
        return line

    def begin_push(self, file: Path) -> None:
        self._lines.say(do="push", file=str(file))

    def finish_push(self) -> None:
        self._done("push")

    def synchronize(self) -> None:
        self._tell("sync")

    def edit_offline(self, key: str, value: Any) -> None:
        self._tell("edit", key=key, value=value)

    def watch(self) -> None:
        self._lines.say(do="watch")
        while not self._lines.next(time.monotonic() + PATIENCE_SECONDS).get("ready"):
            pass

    def next_seen(self, deadline: float) -> tuple[str, Any]:
        while "key" not in (line := self._lines.next(deadline)):
            pass
        return line["key"], line["value"]

    def export(self) -> bytes:
        return str(self._tell("export")["text"]).encode()

    def end(self) -> None:
        self._lines.end()


def node_device(server: RunningServer, name: str, folder: Path) -> DeviceProcess:
    """A device on the npm package ``graphql-ws``."""
    if not (NODE / "node_modules" / "graphql-ws").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True, timeout=240)
    return ScriptDevice(["node", "device.mjs"], server, name, folder=NODE)


def gql_device(server: RunningServer, name: str, folder: Path) -> DeviceProcess:
    """A device on the PyPI package ``gql``."""
    return ScriptDevice([sys.executable, str(Path(__file__).with_name("gql_device.py"))], server, name)

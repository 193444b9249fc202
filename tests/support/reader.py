"""A reader who does what a page shows, in terminals of their own, and compares what comes with what the page says.

The rules, all of which can be seen on the page:

* a ``sh`` block is typed into a terminal; if it begins with ``# NAME``, into the one of this name, whose command then
  goes on in the background; ``# server`` is the server's, which only knows ``make run``;
* a ``json`` or ``text`` block after an unnamed ``sh`` block is what that printed, all of it;
* a ``text`` block that begins with ``# NAME`` is what comes next in that terminal, but for attempts to connect; ``^C``
  there presses Ctrl-C;
* a ``python`` or ``js`` block that begins with a comment of a file's name is saved under it;
* "…" stands for anything, and ``eyJ…`` for the token that the server printed.

Nothing is installed: what a page would install must be what the tests have.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.support.documents import ROOT, Block, matches, read, text_matches
from tests.support.server import RunningServer

PATIENCE_SECONDS = 30.0
ADDRESS = "127.0.0.1:8000"
TOKEN = "eyJ…"  # noqa: S105 (how every token begins)
ATTEMPT = "; connecting again"
SERVER = "server"
_NAME = re.compile(r"# ([a-z]+)\n")
_FILE = re.compile(r"(?:#|//) ([\w-]+\.(?:py|mjs))\n")
_INSTALL = re.compile(r"(npm install|python -m pip install) (.+)")
_PROMPT = re.compile(r"\x1e(\d+)")
_SHELL = """import os, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)  # or Ctrl-C would do nothing where the tests run in the background
os.execvp("bash", ["bash", "--norc", "--noprofile"])"""
_NODE_PACKAGES = ROOT / "tests" / "node"
_CLIENT = ROOT / "frontend-demo" / "client"


class Terminal:
    """A shell of the reader's, which keeps its variables from one block to the next."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._shell = subprocess.Popen(
            [sys.executable, "-c", _SHELL],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.type("trap : INT")  # Ctrl-C ends the command, not the shell

    def _read(self) -> None:
        assert self._shell.stdout is not None
        with self._shell.stdout:
            for line in self._shell.stdout:
                self._lines.put(line.rstrip("\n"))

    def type(self, text: str) -> None:
        """Enter commands, and go away."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{{\n{text}\n}} < /dev/null\n")
        self._shell.stdin.flush()

    def run(self, text: str) -> list[str]:
        """Enter commands and wait for the prompt: what they printed. Each of them must succeed."""
        self.type(f"failures=0; trap 'failures=1' ERR\n{text}")
        printed, failures = self._until_prompt()
        assert not failures, "a command failed:\n" + "\n".join(printed)
        return printed

    def next_line(self) -> str:
        try:
            return self._lines.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            return "(nothing more came)"

    def rest(self) -> list[str]:
        """What was printed and not looked at yet, until nothing comes for a second."""
        printed: list[str] = []
        try:
            while True:
                printed.append(self._lines.get(timeout=1.0))
        except queue.Empty:
            return printed

    def interrupt(self) -> list[str]:
        """Press Ctrl-C and wait for the prompt: what was printed and not looked at yet."""
        os.killpg(self._shell.pid, signal.SIGINT)
        return self._until_prompt()[0]

    def _until_prompt(self) -> tuple[list[str], bool]:
        self.type(r'printf "\n\036%d\n" "$failures"')
        printed: list[str] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError("the prompt did not come back:\n" + "\n".join(printed)) from None
            prompt = _PROMPT.fullmatch(line)
            if prompt is not None:
                return printed[:-1] if printed[-1:] == [""] else printed, prompt[1] != "0"
            printed.append(line)

    def close(self) -> None:
        """End the shell and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        assert self._shell.stdin is not None
        self._shell.stdin.close()


class Reader:
    """Follows the blocks of one page in an empty folder that looks like a checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = RunningServer(folder / "syncline-data")
        self._started_at = 0
        self._terminals: dict[str, Terminal] = {}
        self._printed: list[str] | None = None
        (folder / ".venv").symlink_to(sys.prefix)
        _install(folder / "node_modules")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for terminal in self._terminals.values():
            terminal.close()
        self._server.kill()

    def follow(self, found: Sequence[Block]) -> int:
        """Do what the blocks say, in order; how many of them were done or compared."""
        return sum(self._follow(block) for block in found)

    def _follow(self, block: Block) -> bool:
        printed, self._printed = self._printed, None
        name = _NAME.match(block.text)
        text = block.text[name.end() :] if name is not None else block.text
        terminal = name[1] if name is not None else ""
        try:
            match block.language:
                case "sh" if terminal == SERVER:
                    self._make_run(text)
                case "sh" if terminal:
                    self._terminal(terminal).type(self._ours(text))
                case "sh":
                    self._printed = self._run(text)
                case "text" if terminal:
                    self._look_at(terminal, text.splitlines())
                case "text" if printed is not None:
                    _compare(text.splitlines(), printed)
                case "json" if printed is not None:
                    _compare_json(block.text, "\n".join(printed))
                case "python" | "js" if (file := _FILE.match(block.text)) is not None:
                    (self.folder / file[1]).write_text(self._ours(block.text), encoding="utf-8")
                case _:
                    return False
        except AssertionError as error:
            error.add_note(f"in the block at line {block.line}:\n{block.text}")
            for each, its in self._terminals.items():
                error.add_note(f"what else terminal {each!r} shows:\n" + "\n".join(its.rest()))
            error.add_note("the server's output:\n" + "".join(self._server.output[-40:]))
            raise
        return True

    # --- what can be done -------------------------------------------------------------------------------------------

    def _make_run(self, text: str) -> None:
        assert text == "make run\n"
        assert "serve --dev $(SERVE_ARGS)" in read(ROOT / "Makefile"), "`make run` is not what the reader's server does"
        self._started_at = len(self._server.output)
        self._server.start()

    def _run(self, text: str) -> list[str]:
        for command in text.splitlines():
            install = _INSTALL.fullmatch(command)
            if install is not None:
                _assert_installed(install[1], install[2].split())
                text = text.replace(command, ":")
        return [self._theirs(line) for line in self._terminal("").run(self._ours(text))]

    def _look_at(self, name: str, lines: Sequence[str]) -> None:
        if lines == ["^C"]:
            if name == SERVER:
                assert self._server.stop() == 0
            else:
                _compare([], self._terminal(name).interrupt())
        elif name == SERVER:
            begins = self._started_at
            _compare(lines, [self._theirs(line.rstrip("\n")) for line in self._server.output[begins:][: len(lines)]])
        else:
            for line in lines:
                _compare([line], [self._theirs(self._next_line(name))])

    def _next_line(self, name: str) -> str:
        while (line := self._terminal(name).next_line()).endswith(ATTEMPT):
            pass
        return line

    # --- where it is done -------------------------------------------------------------------------------------------

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(self.folder, self._environment())
        return self._terminals[name]

    def _environment(self) -> dict[str, str]:
        """As after logging in; and where the server is, which a reader need not say."""
        commands = [folder for name in ("curl", "node", "bash") if (folder := shutil.which(name)) is not None]
        assert len(commands) == 3, "curl, node and bash are needed"
        return {
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join(
                dict.fromkeys([*(str(Path(each).parent) for each in commands), "/usr/bin", "/bin"])
            ),
            "SYNCLINE_SERVER": self._server.url,
        }

    def _ours(self, text: str) -> str:
        """What a page says, for the server of this reader."""
        return text.replace(ADDRESS, f"127.0.0.1:{self._server.port}").replace(TOKEN, self._token())

    def _theirs(self, text: str) -> str:
        return text.replace(f"127.0.0.1:{self._server.port}", ADDRESS)

    def _token(self) -> str:
        tokens = [line.strip() for line in self._server.output if line.startswith(TOKEN.removesuffix("…"))]
        assert tokens, "the server has printed no token"
        return tokens[-1]


def _compare(expected: Sequence[str], printed: Sequence[str]) -> None:
    same = len(expected) == len(printed) and all(map(text_matches, expected, printed))
    assert same, "it printed:\n" + "\n".join(printed)


def _compare_json(expected: str, printed: str) -> None:
    try:
        same = matches(msgspec.json.decode(expected), msgspec.json.decode(printed))
    except msgspec.DecodeError:
        same = False
    assert same, f"it printed:\n{printed}"


def _install(node_modules: Path) -> None:
    """What npm would make of a package's name, and of a folder."""
    (node_modules / "@syncline").mkdir(parents=True)
    (node_modules / "@syncline" / "client").symlink_to(_CLIENT)
    for each in (_NODE_PACKAGES / "node_modules").iterdir():
        (node_modules / each.name).symlink_to(each)


def _assert_installed(command: str, packages: Sequence[str]) -> None:
    """What the page would install is among what the tests are run with."""
    if command.startswith("npm"):
        known = msgspec.json.decode((_NODE_PACKAGES / "package.json").read_bytes())["dependencies"]
        assert set(packages) <= {*known, f"./{_CLIENT.relative_to(ROOT).as_posix()}"}
    else:
        for package in packages:
            importlib.metadata.version(package.strip("'\"").split("[")[0])

"""The device's commands, as processes: what they print where, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import PATIENCE_SECONDS, RunningServer, running_server

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(server: RunningServer, identity: str, folder: Path, device: str, *words: str) -> list[str]:
    who = ["--identity", identity, "--device", device, "--data", str(server.folder)]
    return [
        sys.executable, "-m", "syncline", *words, *who,
        "--server", server.url, "--cache", str(folder / f"{device}.db"),
    ]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")} | more


@pytest.fixture
def run(shared_server: RunningServer, identity: str, tmp_path: Path) -> Run:
    """Runs a command as a device."""

    def run_as(device: str, *words: str, server: RunningServer = shared_server) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(server, identity, tmp_path, device, *words),
            capture_output=True,
            text=True,
            env=environment(),
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    return run_as


def test_what_one_device_puts_another_one_gets(run: Run) -> None:
    put = run("phone", "put", "notes", "a", '{"text": "hällo",  "n": 1}')
    got = run("laptop", "get", "notes", "a")
    assert (put.returncode, put.stdout, put.stderr) == (0, "", "")
    assert (got.returncode, got.stdout, got.stderr) == (0, '{"n":1,"text":"hällo"}\n', "")


def test_a_record_that_is_not_there_is_exit_code_1(run: Run) -> None:
    got = run("phone", "get", "notes", "nothing")
    assert (got.returncode, got.stdout) == (1, "")
    assert got.stderr == "syncline: no record 'nothing' in 'notes'\n"


def test_a_record_that_holds_null_is_there(run: Run) -> None:
    run("phone", "put", "notes", "a", "null")
    got = run("phone", "get", "notes", "a")
    assert (got.returncode, got.stdout) == (0, "null\n")


def test_a_removed_record_is_gone_on_all_devices(run: Run) -> None:
    run("phone", "put", "notes", "a", "1")
    assert run("laptop", "remove", "notes", "a").returncode == 0
    assert run("phone", "get", "notes", "a").returncode == 1


def test_offline_edits_wait_for_the_next_sync(run: Run) -> None:
    assert run("phone", "put", "notes", "a", "1", "--offline").returncode == 0
    assert run("phone", "get", "notes", "a", "--offline").stdout == "1\n"
    assert run("laptop", "get", "notes", "a").returncode == 1
    assert json.loads(run("phone", "sync", "--dataset", "notes").stdout)["pushed"] == 1
    assert run("laptop", "get", "notes", "a").stdout == "1\n"


def test_without_a_server_an_edit_is_kept_and_says_so(tmp_path: Path, run: Run) -> None:
    with running_server(tmp_path / "server") as server:
        server.kill()
        put = run("phone", "put", "notes", "a", "1", server=server)
        got = run("phone", "get", "notes", "a", server=server)
        synced = run("phone", "sync", "--dataset", "notes", "--wait", "0", server=server)
        exported = run("phone", "export", "notes", server=server)
        server.start()
        again = run("phone", "sync", "--dataset", "notes", server=server)
    assert (put.returncode, put.stdout) == (0, "")
    assert "the edit is kept and will be sent later" in put.stderr
    assert (got.returncode, got.stdout) == (0, "1\n")
    assert (synced.returncode, synced.stdout) == (2, "")
    assert synced.stderr.count("\n") == 1
    assert "cannot be reached" in synced.stderr
    assert exported.returncode == 2
    assert json.loads(again.stdout)["pushed"] == 1


def test_sync_pushes_a_file_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text('{"a": 1, "b": {"c": [1.0, "é"]}}')
    first = json.loads(run("phone", "sync", str(file), "--dataset", "notes").stdout)
    second = json.loads(run("phone", "sync", str(file), "--dataset", "notes").stdout)
    from_another = json.loads(run("laptop", "sync", str(file), "--dataset", "notes").stdout)
    assert (first["pushed"], second["pushed"], from_another["pushed"]) == (2, 0, 0)
    assert from_another["pulled"] == 2


def test_sync_takes_an_array_of_keys_and_values(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text('[{"key": "a", "value": 1}, {"key": "b", "value": null}]')
    assert run("phone", "sync", str(file), "--dataset", "notes").returncode == 0
    assert run("phone", "export", "notes").stdout == '{"a":1,"b":null}\n'


@pytest.mark.parametrize("content", ["", "{", "3", '["a"]', '[{"key": 1, "value": 1}]', '{"a": 1e999}', "\xff"])
def test_a_file_that_holds_no_records_is_one_line_and_exit_code_2(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.json"
    file.write_bytes(content.encode("latin-1"))
    synced = run("phone", "sync", str(file), "--dataset", "notes")
    assert (synced.returncode, synced.stdout) == (2, "")
    assert synced.stderr.startswith("syncline: ")
    assert synced.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("put", "notes", "a", "{no json"),
        ("put", "no dataset", "a", "1"),
        ("put", "notes", "", "1"),
        ("put", "notes", "a", "1e999"),
        ("sync", "no-such-file.json", "--dataset", "notes"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(run: Run, words: tuple[str, ...]) -> None:
    done = run("phone", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("syncline: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "give --token"),
        (("--identity", "alice", "--data", "no-such-folder"), "no token secret"),
        (("--token", "t", "--server", "ftp://nowhere"), "no http:// or https:// address"),
    ],
)
def test_who_calls_whom_must_be_said(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "syncline", "get", "notes", "a", "--cache", str(tmp_path / "x.db"), *options],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("decision", ["mine", "theirs"])
def test_conflicts_are_reported_with_exit_code_3_and_decided_by_an_option(run: Run, decision: str) -> None:
    run("phone", "put", "notes", "a", '"base"')
    run("phone", "put", "notes", "a", '"mine"', "--offline")
    run("laptop", "put", "notes", "a", '"theirs"')
    reported = run("phone", "sync", "--dataset", "notes")
    decided = run("phone", "sync", "--dataset", "notes", "--on-conflict", decision)
    assert reported.returncode == 3
    assert json.loads(reported.stdout)["conflicts"] == ["a"]
    assert "--on-conflict mine or theirs" in reported.stderr
    assert decided.returncode == 0
    assert run("laptop", "get", "notes", "a").stdout == f'"{decision}"\n'


def test_what_the_server_rejects_is_parked_with_exit_code_3(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text(json.dumps({"x" * 2_000: 1, "good": 2}))
    for _ in range(2):
        synced = run("phone", "sync", str(file), "--dataset", "notes")
        assert synced.returncode == 3
        assert [edit["code"] for edit in json.loads(synced.stdout)["parked"]] == ["LIMIT_EXCEEDED"]
        assert "keyBytes" in synced.stderr
    assert run("laptop", "export", "notes").stdout == '{"good":2}\n'


def test_exports_of_devices_in_sync_are_byte_equal(run: Run) -> None:
    run("phone", "put", "notes", "b", '{"z": 1.50, "a": "\\u00e9"}')
    run("phone", "put", "notes", "a", "[1, 2]")
    exports = {run(device, "export", "notes").stdout for device in ("phone", "laptop", "phone")}
    assert exports == {'{"a":[1,2],"b":{"a":"é","z":1.5}}\n'}
    indented = run("laptop", "export", "notes", "--indent", "2", "--offline").stdout
    assert json.loads(indented) == json.loads(exports.pop())
    assert indented.startswith('{\n  "a"')


def test_a_token_says_who_is_calling_too(shared_server: RunningServer, identity: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "syncline", "put", "notes", "a", "1"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        env=environment(
            SYNCLINE_SERVER=shared_server.url,
            SYNCLINE_TOKEN=shared_server.token("phone", identity),
            XDG_CONFIG_HOME=str(tmp_path),
            HOME=str(tmp_path),
        ),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if sys.platform == "linux":
        assert [file.suffix for file in (tmp_path / "syncline" / "devices").glob("*.sqlite3")] == [".sqlite3"]


def test_watch_prints_each_change_as_a_line_until_it_is_interrupted(
    run: Run, shared_server: RunningServer, identity: str, tmp_path: Path
) -> None:
    run("phone", "put", "notes", "a", "1")
    watch = subprocess.Popen(
        command(shared_server, identity, tmp_path, "laptop", "watch", "notes"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert watch.stdout is not None
    lines: list[dict[str, Any]] = [json.loads(watch.stdout.readline()) for _ in range(2)]
    run("phone", "remove", "notes", "a")
    lines.append(json.loads(watch.stdout.readline()))
    watch.send_signal(signal.SIGINT)
    out, err = watch.communicate(timeout=PATIENCE_SECONDS)
    by = {"identity": identity, "device": "phone"}
    assert lines == [
        {"ready": True, "resumed": True},
        {"key": "a", "value": 1, "deleted": False, "version": 1, **by},
        {"key": "a", "value": None, "deleted": True, "version": 2, **by},
    ]
    assert (watch.returncode, out, err) == (0, "", "")

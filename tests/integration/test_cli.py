"""The command line, as real processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from syncline.api.schema import schema_sdl
from syncline.auth.keys import server_secret
from syncline.config import DATABASE_FILE, SECRETS, Settings, flag, variable
from syncline.storage.sqlite import SqliteStore
from tests.support.command_line import refused, syncline

SECRET = "a secret of more than thirty-two bytes"  # noqa: S105 # no secret of anybody


def test_the_installed_command_and_the_module_are_the_same(tmp_path: Path) -> None:
    installed = subprocess.run(
        [Path(sys.executable).with_name("syncline"), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert installed.stdout == syncline("--version", cwd=tmp_path).stdout


# --- token ------------------------------------------------------------------------------------------------------------


def test_token_prints_only_a_token_signed_with_the_secret_of_the_environment(tmp_path: Path) -> None:
    run = syncline("token", "--identity", "alice", "--device", "phone", cwd=tmp_path, SYNCLINE_TOKEN_SECRET=SECRET)

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == run.stdout.strip() + "\n"
    claims = jwt.decode(run.stdout.strip(), SECRET, ["HS256"])
    assert (claims["sub"], claims["did"]) == ("alice", "phone")
    assert abs(datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC) - timedelta(days=30)) < timedelta(
        minutes=2
    )


def test_token_takes_the_secret_of_the_data_folder(tmp_path: Path) -> None:
    secret = server_secret(configured=None, folder=tmp_path / "data", host="127.0.0.1", dev=True)

    run = syncline("token", "--identity", "alice", "--data", "data", "--lifetime-days", "0.5", cwd=tmp_path)

    claims = jwt.decode(run.stdout.strip(), secret.value, ["HS256"])
    assert "did" not in claims
    assert claims["exp"] - claims["iat"] in {43_200, 43_201}


def test_token_without_a_secret_says_how_to_get_one_and_makes_nothing(tmp_path: Path) -> None:
    line = refused(syncline("token", "--identity", "alice", cwd=tmp_path))

    assert line.startswith("syncline: no token secret: set SYNCLINE_TOKEN_SECRET")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--identity", ""], "identity: must be 1 to 256 bytes"),
        (["--identity", "a\nb"], "identity: must be 1 to 256 bytes of printable"),
        (["--identity", "alice", "--device", ""], "device: must be 1 to 256 bytes"),
        (["--identity", "alice", "--lifetime-days", "0"], "token_lifetime_days = '0'"),
        (["--identity", "alice", "--lifetime-days", "soon"], "token_lifetime_days = 'soon'"),
        (["--identity", "alice", "--data", ""], "must name a folder"),
    ],
)
def test_token_refuses_what_it_cannot_put_into_a_token(arguments: list[str], reason: str, tmp_path: Path) -> None:
    assert reason in refused(syncline("token", *arguments, cwd=tmp_path, SYNCLINE_TOKEN_SECRET=SECRET))


# --- config -----------------------------------------------------------------------------------------------------------


def test_config_shows_values_with_their_sources_and_no_secret(tmp_path: Path) -> None:
    flags = ["--max-depth", "7", "--no-graphiql"]

    run = syncline("config", *flags, cwd=tmp_path, SYNCLINE_TOKEN_SECRET=SECRET, SYNCLINE_PORT="1234")

    rows = {line.split("  ")[0]: line.split() for line in run.stdout.splitlines()}
    assert rows["max_depth"] == ["max_depth", "7", "--max-depth"]
    assert rows["graphiql"] == ["graphiql", "off", "--graphiql"]
    assert rows["port"] == ["port", "1234", "SYNCLINE_PORT"]
    assert rows["max_body_bytes"] == ["max_body_bytes", "4194304", "bytes", "default"]
    assert rows["token_secret"] == ["token_secret", "********", "SYNCLINE_TOKEN_SECRET"]
    assert SECRET not in run.stdout


def test_config_as_json_holds_every_setting(tmp_path: Path) -> None:
    run = syncline("config", "--json", cwd=tmp_path)

    rows = json.loads(run.stdout)
    assert [row["name"] for row in rows] == list(Settings.model_fields)
    assert rows[1] == {"name": "port", "value": 8000, "unit": None, "source": "default"}


# --- settings as flags ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "config"])
def test_every_setting_but_secrets_is_a_flag_with_its_variable_and_default(command: str, tmp_path: Path) -> None:
    run = syncline(command, "--help", cwd=tmp_path)

    words = set(run.stdout.replace("[", " ").replace("]", " ").replace(";", " ").split())
    for name in Settings.model_fields:
        assert ({flag(name), variable(name)} <= words) is (name not in SECRETS), name
    assert "[bytes; default 1048576; SYNCLINE_MAX_DATASET_BYTES]" in " ".join(run.stdout.split())


@pytest.mark.parametrize("command", ["serve", "config"])
def test_a_bad_value_stops_the_start_with_one_line(command: str, tmp_path: Path) -> None:
    by_flag = refused(syncline(command, "--port", "http", cwd=tmp_path))
    by_variable = refused(syncline(command, cwd=tmp_path, SYNCLINE_MAX_RECORDS="-5"))

    assert by_flag == "syncline: setting port = 'http' (from --port): must be a valid integer"
    assert by_variable == (
        "syncline: setting max_records = '-5' (from SYNCLINE_MAX_RECORDS): must be greater than or equal to 1"
    )


@pytest.mark.parametrize(
    "arguments", [["serve", "--no-such"], ["no-such"], ["token"], ["serve", "--token-secret", "x"]]
)
def test_a_wrong_command_line_is_exit_code_2_without_a_traceback(arguments: list[str], tmp_path: Path) -> None:
    run = syncline(*arguments, cwd=tmp_path)

    assert run.returncode == 2
    assert "Error: " in run.stderr
    assert "Traceback" not in run.stderr


# --- schema and epoch -------------------------------------------------------------------------------------------------


def test_schema_prints_the_schema(tmp_path: Path) -> None:
    run = syncline("schema", cwd=tmp_path)

    assert (run.returncode, run.stdout) == (0, schema_sdl())


async def test_epoch_renew_gives_the_log_a_new_identity(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / DATABASE_FILE)
    before = await store.epoch()
    await store.close()

    run = await asyncio.to_thread(syncline, "epoch", "renew", "--data", ".", cwd=tmp_path)

    store = await SqliteStore.open(tmp_path / DATABASE_FILE)
    assert run.stdout == f"{await store.epoch()}\n"
    assert run.stdout.strip() != before
    await store.close()


async def test_epoch_renew_is_refused_while_a_server_has_the_file(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / DATABASE_FILE)

    run = await asyncio.to_thread(syncline, "epoch", "renew", "--data", ".", cwd=tmp_path)

    assert "is in use" in refused(run)
    await store.close()


def test_epoch_renew_without_a_database_is_refused(tmp_path: Path) -> None:
    assert DATABASE_FILE in refused(syncline("epoch", "renew", "--data", ".", cwd=tmp_path))

"""The token secret: where it is found, and when a server must not start."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from syncline.auth.keys import FILE_NAME, existing_secret, find_secret, server_secret
from syncline.errors import StartRefused

LONG = "x" * 32
SHORT = "x" * 31
EVERYWHERE = ["0.0.0.0", "::", "192.168.1.2", "example.org", "::ffff:10.0.0.1", "localhost.example"]  # noqa: S104 # to be refused


def kept_secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / FILE_NAME
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("dev", [False, True])
def test_the_configured_secret_wins_over_the_kept_one(dev: bool, tmp_path: Path) -> None:
    kept_secret(tmp_path, "y" * 40)

    secret = server_secret(configured=LONG, folder=tmp_path, host="127.0.0.1", dev=dev)

    assert (secret.value, secret.source) == (LONG.encode(), "SYNCLINE_TOKEN_SECRET")


@pytest.mark.parametrize("dev", [False, True])
def test_a_kept_secret_counts_with_and_without_dev(dev: bool, tmp_path: Path) -> None:
    path = kept_secret(tmp_path, LONG + "\n")

    secret = server_secret(configured=None, folder=tmp_path, host="127.0.0.1", dev=dev)

    assert (secret.value, secret.source) == (LONG.encode(), str(path))


def test_without_dev_a_missing_secret_refuses_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match=r"set SYNCLINE_TOKEN_SECRET .*openssl rand"):
        server_secret(configured=None, folder=tmp_path / "absent", host="127.0.0.1", dev=False)

    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("dev", [False, True])
def test_a_short_configured_secret_refuses_the_start(dev: bool, tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="SYNCLINE_TOKEN_SECRET has 31 bytes and needs at least 32"):
        server_secret(configured=SHORT, folder=tmp_path, host="127.0.0.1", dev=dev)


@pytest.mark.parametrize("dev", [False, True])
def test_a_short_kept_secret_refuses_the_start(dev: bool, tmp_path: Path) -> None:
    path = kept_secret(tmp_path, f"  {SHORT}\n")

    with pytest.raises(StartRefused) as refused:
        server_secret(configured=None, folder=tmp_path, host="127.0.0.1", dev=dev)

    assert refused.value.message.startswith(f"{path} has 31 bytes and needs at least 32")


def test_length_is_counted_in_bytes(tmp_path: Path) -> None:
    assert find_secret(configured="ö" * 16, folder=tmp_path) is not None


def test_refusals_do_not_repeat_the_secret(tmp_path: Path) -> None:
    with pytest.raises(StartRefused) as refused:
        server_secret(configured="hush" * 3, folder=tmp_path, host="127.0.0.1", dev=False)

    assert "hush" not in refused.value.message
    assert "hush" not in repr(find_secret(configured="hush" * 10, folder=tmp_path))


@pytest.mark.parametrize("configured", [None, LONG])
@pytest.mark.parametrize("host", EVERYWHERE)
def test_dev_refuses_an_address_that_others_can_reach(host: str, configured: str | None, tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="dev is for loopback addresses"):
        server_secret(configured=configured, folder=tmp_path, host=host, dev=True)

    assert list(tmp_path.iterdir()) == []


def test_dev_makes_a_secret_that_only_the_owner_can_read_and_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"

    made = server_secret(configured=None, folder=folder, host="127.0.0.1", dev=True)
    again = server_secret(configured=None, folder=folder, host="127.0.0.1", dev=False)

    assert made.value == again.value
    assert len(made.value) >= 32
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_two_folders_get_different_secrets(tmp_path: Path) -> None:
    first, second = (
        server_secret(configured=None, folder=tmp_path / name, host="::1", dev=True) for name in ("first", "second")
    )

    assert first.value != second.value


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    def start(_: int) -> bytes:
        return server_secret(configured=None, folder=tmp_path / "data", host="127.0.0.1", dev=True).value

    with ThreadPoolExecutor(8) as starters:
        secrets = set(starters.map(start, range(32)))

    assert len(secrets) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE_NAME]


def test_a_secret_open_to_every_user_is_refused(tmp_path: Path) -> None:
    path = kept_secret(tmp_path, LONG, mode=0o644)

    with pytest.raises(StartRefused, match=r"is open to every user .*0644.*chmod 600"):
        find_secret(configured=None, folder=tmp_path)

    path.chmod(0o640)
    assert find_secret(configured=None, folder=tmp_path) is not None


def test_a_secret_that_cannot_be_read_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(StartRefused, match="cannot be read"):
        find_secret(configured=None, folder=tmp_path)


def test_a_data_folder_that_cannot_be_made_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StartRefused, match="cannot be"):
        server_secret(configured=None, folder=tmp_path / "file", host="127.0.0.1", dev=True)


def test_what_a_killed_start_left_behind_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / f".{FILE_NAME}.0123456789abcdef").write_bytes(os.urandom(8))

    made = server_secret(configured=None, folder=tmp_path, host="127.0.0.1", dev=True)

    assert existing_secret(configured=None, folder=tmp_path).value == made.value

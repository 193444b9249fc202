from __future__ import annotations

import pytest

from syncline.web.hosts import is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.",
        "app.localhost:1",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_loopback_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1:8000",
        "[::2]",
        "0.0.0.0",  # noqa: S104 # nothing is bound
        "localhost@evil.example",
    ],
)
def test_other_names(host: str | None) -> None:
    assert not is_loopback(host)

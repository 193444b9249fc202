"""Which pages may open a WebSocket."""

from __future__ import annotations

import pytest

from syncline.addresses import origins
from syncline.web.origins import may_connect

APP = origins("https://app.example.org, capacitor://localhost, http://localhost:5173")


def headers(origin: str | None, host: str = "sync.example.org") -> list[tuple[bytes, bytes]]:
    given = [(b"host", host.encode())]
    return given if origin is None else [*given, (b"origin", origin.encode())]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "sync.example.org"),
        ("https://sync.example.org", "sync.example.org"),
        ("https://SYNC.example.org", "Sync.Example.Org"),
        ("https://sync.example.org", "sync.example.org:443"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_own_origin_and_none_at_all_may(origin: str | None, host: str) -> None:
    assert may_connect(headers(origin, host), frozenset())


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://sync.example.org.evil.example",
        "https://sync.example.org:8443",
        "https://evil.example/sync.example.org",
        "null",
        "",
        "https://sync.example.org@evil.example",
        "file://",
        "ftp://sync.example.org",
    ],
)
def test_another_origin_may_not(origin: str) -> None:
    assert not may_connect(headers(origin), frozenset())
    assert not may_connect(headers(origin), APP)
    assert may_connect(headers(origin), origins("*"))


@pytest.mark.parametrize(
    "origin",
    ["https://app.example.org", "https://APP.example.org:443", "capacitor://localhost", "http://localhost:5173"],
)
def test_an_allowed_origin_may(origin: str) -> None:
    assert may_connect(headers(origin), APP)


def test_two_origins_may_not() -> None:
    twice = [*headers("https://sync.example.org"), (b"origin", b"https://evil.example")]
    assert not may_connect(twice, frozenset())

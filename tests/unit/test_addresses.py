"""Which addresses only this machine can reach."""

from __future__ import annotations

import pytest

from syncline.addresses import is_loopback


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "sync.example.org", "127.0.0.1.example.org", ""])  # noqa: S104
def test_what_others_can_reach_and_names_that_would_have_to_be_looked_up_are_none(host: str) -> None:
    assert not is_loopback(host)

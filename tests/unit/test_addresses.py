"""Which addresses only this machine can reach."""

from __future__ import annotations

import pytest

from syncline.addresses import is_loopback, networks, origins


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "sync.example.org", "127.0.0.1.example.org", ""])  # noqa: S104
def test_what_others_can_reach_and_names_that_would_have_to_be_looked_up_are_none(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("text", ["", "10.0.0.1", "10.0.0.0/8, ::1", "2001:db8::/32,"])
def test_networks_are_separated_by_commas(text: str) -> None:
    assert len(networks(text)) == len([part for part in text.split(",") if part])


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "*", "10.0.0.1 10.0.0.2"])
def test_what_is_no_network_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match="is no address and no network"):
        networks(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.example.org", "https://app.example.org"),
        ("https://app.example.org:443", "https://app.example.org"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("*", "*"),
    ],
)
def test_an_origin_is_as_browsers_write_it(text: str, origin: str) -> None:
    assert origins(text) == {origin}


@pytest.mark.parametrize(
    "text", ["app.example.org", "https://app.example.org/", "https://*.example.org", "null", "https://a b", "https://"]
)
def test_what_is_no_origin_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        origins(text)

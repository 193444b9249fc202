"""Whom the limits of an address are for."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.addresses import networks
from syncline.web.callers import caller_of

PROXY = "10.0.0.1"


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    client = None if peer is None else (peer, 1234)
    return {"client": client, "headers": [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]}


@pytest.mark.parametrize(
    ("peer", "caller"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        (None, None),
        ("", None),
    ],
)
def test_a_peer_is_its_address_or_network_unless_it_is_this_machine(peer: str | None, caller: str | None) -> None:
    assert caller_of(scope(peer), ()) == caller


def test_nobody_is_believed_unless_told_so() -> None:
    assert caller_of(scope(PROXY, "203.0.113.7"), ()) == PROXY
    assert caller_of(scope("10.0.0.2", "203.0.113.7"), networks(PROXY)) == "10.0.0.2"


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        (("203.0.113.7",), "203.0.113.7"),
        (("203.0.113.7:4711",), "203.0.113.7"),
        (("[2001:db8::1]:4711",), "2001:db8::/64"),
        # What the caller wrote there by itself comes first.
        (("198.51.100.1, 203.0.113.7",), "203.0.113.7"),
        (("198.51.100.1", "203.0.113.7"), "203.0.113.7"),
        (("203.0.113.7, 10.0.0.9",), "203.0.113.7"),
        (("10.0.0.8, 10.0.0.9",), "10.0.0.8"),
        (("nonsense, 10.0.0.9",), "10.0.0.9"),
        (("nonsense",), PROXY),
        (("",), PROXY),
        ((), PROXY),
        (("203.0.113.7, nonsense",), PROXY),
        ((",".join(["1.2.3.4"] * 1_000),), "1.2.3.4"),
        (("\xff\xfe",), PROXY),
    ],
)
def test_a_trusted_proxy_names_the_caller(headers: tuple[str, ...], caller: str) -> None:
    assert caller_of(scope(PROXY, *headers), networks("10.0.0.0/8")) == caller


def test_a_proxy_on_this_machine_can_be_trusted() -> None:
    assert caller_of(scope("127.0.0.1", "203.0.113.7"), networks("127.0.0.1")) == "203.0.113.7"
    assert caller_of(scope("127.0.0.1", "127.0.0.1"), networks("127.0.0.1")) is None

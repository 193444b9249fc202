"""Addresses: to listen on, of those who call, and of the pages they call from."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. No name but ``localhost`` is looked up, so no other counts."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def networks(text: str) -> tuple[Network, ...]:
    """The networks, or single addresses, that are named there, separated by commas. Raises ValueError."""
    return tuple(_network(part) for part in _parts(text))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no address and no network such as 10.0.0.0/8") from None


def origins(text: str) -> frozenset[str]:
    """The origins that are named there, separated by commas, as browsers write them; ``*`` is all.

    Raises ValueError.
    """
    return frozenset(_origin(part) for part in _parts(text))


def _origin(text: str) -> str:
    origin = normal_origin(text)
    if text != "*" and not _ORIGIN.fullmatch(origin):
        raise ValueError(f"{text[:80]!r} is no origin such as https://app.example.org, without a path")
    return origin


def normal_origin(text: str) -> str:
    """An origin in the one form that browsers send: small letters, and no port where it is the scheme's own."""
    origin = text.strip().lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            origin = origin.removesuffix(port)
    return origin


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

"""Where a request comes from: the address of the peer, or of whom a trusted proxy names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from syncline.addresses import Network

Address = IPv4Address | IPv6Address

_FORWARDED = b"x-forwarded-for"
_IPV6_PREFIX = 64
"""What one subscriber is given: whoever has an address there has all of them."""

_MOST_PROXIES = 32


def caller_of(scope: Mapping[str, Any], trusted: Iterable[Network]) -> str | None:
    """Whom the limits of an address are for: an address, or of IPv6 a /64 network.

    None: nobody in particular. That is this machine itself, which means a proxy or a test, and what has no address.
    ``X-Forwarded-For`` counts only from a proxy in ``trusted``, and in it the last one that is none.
    """
    peer = scope.get("client")
    address = None if peer is None else _address(peer[0])
    if address is None:
        return None
    networks = tuple(trusted)
    if networks and _is_in(address, networks):
        address = _forwarded(scope["headers"], networks) or address
    if address.is_loopback:
        return None
    return str(address if address.version == 4 else ip_network((address, _IPV6_PREFIX), strict=False))


def is_forwarded(scope: Mapping[str, Any]) -> bool:
    """Whether something between says for whom it asks."""
    return any(name == _FORWARDED for name, _ in scope["headers"])


def _forwarded(headers: Iterable[tuple[bytes, bytes]], trusted: tuple[Network, ...]) -> Address | None:
    named = ",".join(value.decode("latin-1") for name, value in headers if name == _FORWARDED)
    furthest = None
    # Each proxy adds whom it was asked by at the end; what stands before an address that we do not trust, it made up.
    for part in reversed(named.rsplit(",", _MOST_PROXIES)):
        address = _address(part.strip())
        if address is None:
            break
        furthest = address
        if not _is_in(address, trusted):
            break
    return furthest


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """An address, maybe with a port, as proxies write it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

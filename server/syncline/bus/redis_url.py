"""The URL of the bus: which servers, and how to be let in.

``redis://[[user]:password@]host[:port][/db]``, ``redis+sentinel://host[:port],…/service[/db]`` and
``redis+cluster://host[:port],…``; each with ``rediss`` in place of ``redis`` for TLS. Channels know no databases, so
the number becomes part of their names, for several Synclines to share a server.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

from syncline.bus.link import Dialect
from syncline.bus.places import Cluster, OneServer, Places, Sentinels
from syncline.bus.resp import Access, Address
from syncline.errors import StartRefused

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_YES_NO: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_CERT_REQS: Final = {"required": ssl.CERT_REQUIRED, "none": ssl.CERT_NONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """The parts of the URL as they stand there, for a client that finds its way by itself. Holds passwords."""

    kind: Literal["", "sentinel", "cluster"]
    addresses: tuple[Address, ...]
    service: str
    access: Access
    to_sentinels: Access
    tls_options: Mapping[str, str] | None
    """None: no TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the bus is, and how to speak to it."""

    places: Places
    access: Access
    dialect: Dialect
    spelling: Spelling


def target_of(url: str, *, setting: str = "redis_url") -> Target:
    """What the URL says. Raises StartRefused, which names ``setting`` and never repeats the URL."""
    try:
        return _target(url)
    except ValueError as error:
        raise StartRefused(f"{setting}: {error}") from None


def _target(url: str) -> Target:
    scheme, separator, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _SCHEMES:
        raise ValueError(f"begins with one of {', '.join(f'{each}://' for each in _SCHEMES)}")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    if "#" in rest + query or "@" in path + query:
        raise ValueError("in a password / is written %2F, ? as %3F and # as %23")
    credentials, _, hosts = authority.rpartition("@")
    family, _, kind = scheme.partition("+")
    secure = family == "rediss"
    options = _options(query, _TLS_OPTIONS if secure else frozenset(), _SENTINEL_OPTIONS if kind == "sentinel" else ())
    tls = _tls(options) if secure else None
    username, password = _credentials(credentials)
    access = Access(username=username, password=password, tls=tls)
    parts = [unquote(part) for part in path.split("/") if part]
    service = parts.pop(0) if kind == "sentinel" and parts else ""
    dialect = Dialect(prefix=_prefix(parts, kind), sharded=kind == "cluster")
    addresses = _addresses(hosts, _SENTINEL_PORT if kind == "sentinel" else _PORT)
    if kind == "sentinel" and not service:
        raise ValueError("names the service after the Sentinels: redis+sentinel://host1,host2/service")
    if not kind and len(addresses) > 1:
        raise ValueError("names one server; several are for redis+sentinel:// and redis+cluster://")
    to_sentinels = Access(username=options.get("sentinel_username"), password=options.get("sentinel_password"), tls=tls)
    places: Places
    match kind:
        case "sentinel":
            places = Sentinels(addresses, service, to_sentinels)
        case "cluster":
            places = Cluster(addresses, access, dialect)
        case _:
            places = OneServer(addresses[0])
    spelling = Spelling(
        kind="sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "",
        addresses=addresses,
        service=service,
        access=access,
        to_sentinels=to_sentinels,
        tls_options={name: options[name] for name in options.keys() & _TLS_OPTIONS} if secure else None,
    )
    return Target(places=places, access=access, dialect=dialect, spelling=spelling)


def _options(query: str, *known: frozenset[str] | tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    names = sorted(name for group in known for name in group)
    if set(options) - set(names):
        # Not repeated: it may be the rest of a password with an unquoted question mark.
        raise ValueError(f"has an option that does not exist here; there are: {', '.join(names) or 'none'}")
    return options


def _credentials(text: str) -> tuple[str | None, str | None]:
    username, _, password = text.partition(":")
    if username and not password:
        raise ValueError("has a user without a password; a password alone is written :password@")
    return unquote(username) or None, unquote(password) or None


def _prefix(parts: list[str], kind: str) -> str:
    if not parts:
        return "syncline"
    if len(parts) > 1 or not parts[0].isdecimal() or kind == "cluster":
        raise ValueError("ends with a cluster's hosts" if kind == "cluster" else "ends with the number of a database")
    number = int(parts[0])
    return f"syncline:{number}" if number else "syncline"


def _addresses(hosts: str, default_port: int) -> tuple[Address, ...]:
    return tuple(_address(host, default_port) for host in hosts.split(","))


def _address(text: str, default_port: int) -> Address:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host:
        raise ValueError("names a host")
    if port and not (port.isdecimal() and 0 < int(port) <= 65_535):
        raise ValueError("has a port from 1 to 65535")
    return Address(unquote(host), int(port or default_port))


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        verify = _CERT_REQS[options.get("ssl_cert_reqs", "required").lower()]
        context.check_hostname = (
            _YES_NO[options.get("ssl_check_hostname", "true").lower()] and verify is not ssl.CERT_NONE
        )
        context.verify_mode = verify
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except KeyError as error:
        raise ValueError("ssl_cert_reqs is required or none, ssl_check_hostname true or false") from error
    except OSError as error:
        raise ValueError(f"a file of the TLS options cannot be used: {error.strerror or error}") from error
    return context

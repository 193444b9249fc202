from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from syncline.bus.places import Cluster, OneServer, Sentinels
from syncline.bus.redis_url import target_of
from syncline.bus.resp import Access, Address
from syncline.errors import StartRefused

SECRET = "hunter2"  # noqa: S105 # not a real one


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address("cache", 6379)),
        ("redis://cache:7000/0", Address("cache", 7000)),
        ("redis://[::1]:7000", Address("::1", 7000)),
        ("REDIS://cache", Address("cache", 6379)),
    ],
)
def test_one_server(url: str, address: Address) -> None:
    target = target_of(url)
    assert target.places == OneServer(address)
    assert target.access == Access()
    assert target.dialect.channel(7) == b"syncline:{07}"


@pytest.mark.parametrize(
    ("url", "username", "password"),
    [
        (f"redis://:{SECRET}@cache", None, SECRET),
        (f"redis://sync:{SECRET}@cache", "sync", SECRET),
        ("redis://sync:a%2Fb%40c%3A@cache", "sync", "a/b@c:"),
    ],
)
def test_credentials(url: str, username: str | None, password: str) -> None:
    access = target_of(url).access
    assert (access.username, access.password) == (username, password)
    assert password not in repr(access)


def test_a_database_is_part_of_the_channels_names() -> None:
    assert target_of("redis://cache/5").dialect.channel(120) == b"syncline:5:{120}"


def test_sentinels() -> None:
    target = target_of(f"redis+sentinel://:{SECRET}@one,two:27000/main/2?sentinel_password=other")
    assert target.places == Sentinels(
        (Address("one", 26379), Address("two", 27000)),
        "main",
        Access(password="other"),  # noqa: S106 # not a real one
    )
    assert target.access.password == SECRET
    assert target.dialect.channel(0) == b"syncline:2:{00}"
    assert not target.dialect.sharded


def test_a_cluster() -> None:
    target = target_of("redis+cluster://one,two:7000")
    assert isinstance(target.places, Cluster)
    assert target.dialect.sharded


def test_tls_verifies_unless_told_otherwise() -> None:
    strict = target_of("rediss://cache").access.tls
    assert strict is not None
    assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    by_address = target_of("rediss+cluster://cache?ssl_check_hostname=false").access.tls
    assert by_address is not None
    assert (by_address.check_hostname, by_address.verify_mode) == (False, ssl.CERT_REQUIRED)
    careless = target_of("rediss+sentinel://cache/main?ssl_cert_reqs=none").access.tls
    assert careless is not None
    assert (careless.check_hostname, careless.verify_mode) == (False, ssl.CERT_NONE)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "begins with one of redis://"),
        ("cache:6379", "begins with one of redis://"),
        (f"http://:{SECRET}@cache", "begins with one of redis://"),
        (f"redis://:{SECRET}@", "names a host"),
        (f"redis://:{SECRET}@cache:port", "a port"),
        (f"redis://:{SECRET}@cache:0", "a port"),
        (f"redis://:{SECRET}@cache:70000", "a port"),
        (f"redis://:{SECRET}@cache/zero", "number of a database"),
        (f"redis://:{SECRET}@one,two", "names one server"),
        (f"redis://{SECRET}@cache", "a user without a password"),
        (f"redis://:x/{SECRET}@cache", "%2F"),
        (f"redis://:x?{SECRET}@cache", "%3F"),
        (f"redis://:x#{SECRET}@cache", "%23"),
        (f"redis://:{SECRET}@cache?ssl_ca_certs=x", "option"),
        (f"redis+sentinel://:{SECRET}@one,two", "names the service"),
        (f"redis+cluster://:{SECRET}@one/1", "ends with a cluster's hosts"),
        (f"rediss://:{SECRET}@cache?ssl_cert_reqs=perhaps", "ssl_cert_reqs is"),
        (f"rediss://:{SECRET}@cache?ssl_ca_certs=/nowhere/ca.pem", "No such file"),
    ],
)
def test_a_url_that_says_nothing_usable_stops_the_start_and_is_not_repeated(url: str, reason: str) -> None:
    with pytest.raises(StartRefused) as refused:
        target_of(url, setting="redis_url")
    assert str(refused.value).startswith("redis_url: ")
    assert reason in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_file_that_is_no_certificate_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not one")
    with pytest.raises(StartRefused):
        target_of(f"rediss://cache?ssl_ca_certs={tmp_path / 'ca.pem'}")

"""The bus between nodes when Redis dies, hangs, is full, moves, or says things that nobody said."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from syncline.bus.hints import HintCodec, enveloped, origin_of
from syncline.bus.link import TAGS, Timing, tag_of
from syncline.bus.redis import RedisBus
from syncline.core.feed import Hint
from syncline.core.ids import NO_TENANT
from syncline.topics import presence_topic
from tests.support.fault_proxy import fault_proxy
from tests.support.hints import Ear, a_dataset, a_hint, a_topic
from tests.support.tls import self_signed
from tests.support.valkey import Valkey, eventually, free_port, valkey

NOTICED_SECONDS = 5.0
BACK_SECONDS = 5.0
"""From the server's return: a pause of 2 s at most, and connecting."""
TOPIC = a_topic()
ANOTHER_NODE = origin_of(b"somebody", 1)


@asynccontextmanager
async def started(*urls: str, secret: bytes = b"", timing: Timing | None = None) -> AsyncIterator[Sequence[RedisBus]]:
    """A bus for each URL, as of that many nodes."""
    buses = [RedisBus.open(url, secret=secret, timing=timing) for url in urls]
    try:
        for bus in buses:
            await bus.start()
        yield buses
    finally:
        for bus in buses:
            await bus.close()


def all_up(*buses: RedisBus) -> Callable[[], bool]:
    return lambda: all(bus.up for bus in buses)


def down(bus: RedisBus) -> Callable[[], bool]:
    return lambda: not bus.up


async def works(here: RedisBus, there: RedisBus) -> None:
    """Hints of every channel get from one to the other."""
    ear = Ear()
    numbers = list({tag_of(a_topic(number)): number for number in range(2_000)}.values())
    assert len(numbers) == TAGS
    watches = [await there.watch(a_topic(number), ear) for number in numbers]
    for number in numbers:
        here.publish(a_topic(number), a_hint(number + 1, number=number))
    await ear.hears(TAGS)
    assert sorted(ear.versions) == sorted(number + 1 for number in numbers)
    for watch in watches:
        watch.close()


async def test_a_server_that_is_down_at_the_start_is_found_when_it_comes(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    begun = time.monotonic()
    async with started(server.url, server.url) as (here, there):
        assert time.monotonic() - begun < 2 * NOTICED_SECONDS
        assert not here.up
        assert "cannot be reached" in (here.health.reason or "")
        ear = Ear()
        await here.watch(TOPIC, ear)
        here.publish(TOPIC, a_hint())
        await ear.hears(1)
        assert here.health.dropped == 1
        await server.start()
        try:
            await eventually(all_up(here, there), BACK_SECONDS)
            assert here.health.reason is None
            await works(here, there)
        finally:
            server.kill()


async def test_a_host_that_does_not_exist_leaves_the_bus_down() -> None:
    async with started("redis://no-such-host.invalid") as (bus,):
        assert not bus.up


async def test_something_that_is_no_redis_leaves_the_bus_down() -> None:
    async def gibberish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(gibberish, "127.0.0.1", 0)
    async with server, started(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as (bus,):
        assert not bus.up


async def test_a_wrong_password_leaves_the_bus_down_and_reaches_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "syncline")
    async with valkey(tmp_path, requirepass="right") as server:
        async with started(f"redis://:hunter2@127.0.0.1:{server.port}", server.url) as buses:
            assert not any(bus.up for bus in buses)
        assert "WRONGPASS" in caplog.text
        assert "NOAUTH" in caplog.text
        assert "hunter2" not in caplog.text
        async with started(f"redis://:right@127.0.0.1:{server.port}") as (bus,):
            assert bus.up


async def test_a_server_that_is_killed_and_started_again_is_used_again(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        changes: list[bool] = []
        here.on_change(lambda: changes.append(here.up))
        server.kill()
        await eventually(down(here), NOTICED_SECONDS)
        here.publish(TOPIC, a_hint())
        await server.start()
        await eventually(all_up(here, there), BACK_SECONDS)
        await works(here, there)
        assert changes[0] is False
        assert True in changes
        assert here.health.outages == 1


async def test_a_server_that_hangs_is_noticed_in_time_and_holds_nothing_up(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        ear = Ear()
        await here.watch(TOPIC, ear)
        server.hang()
        hung_at = time.monotonic()
        # More than the system's buffers and ours take.
        for version in range(1, 2_001):
            here.publish(TOPIC, a_hint(version, value=f'"{"x" * 10_000}"'))
        assert time.monotonic() - hung_at < 1
        await ear.hears(2_000)
        await eventually(down(here), NOTICED_SECONDS - (time.monotonic() - hung_at))
        assert here.health.dropped > 0
        server.go_on()
        await eventually(all_up(here, there), BACK_SECONDS)
        await works(here, there)


async def test_letters_that_a_server_does_not_take_leave_room_for_hints(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        ear = Ear()
        await there.watch(TOPIC, ear)
        server.hang()
        for _ in range(2_000):
            here.tell(presence_topic(NO_TENANT, a_dataset()), b"x" * 8_000)
        # As many as they could have taken the place of, and of which none may be missing.
        for version in range(1, 101):
            here.publish(TOPIC, a_hint(version, value=f'"{"x" * 5_000}"'))
        server.go_on()
        await ear.hears(100)
        assert ear.versions == list(range(1, 101))
        assert here.health.dropped == 0
        assert there.health.gaps == 0


async def test_a_network_that_is_cut_is_noticed_in_time(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        started(server.url, proxy.url) as (here, there),
    ):
        proxy.hold()
        await eventually(down(there), NOTICED_SECONDS)
        assert here.up
        proxy.release()
        await eventually(all_up(here, there), BACK_SECONDS)
        await works(here, there)


async def test_a_connection_that_is_killed_is_made_again(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        await server.tell("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: here.health.outages and there.health.outages, NOTICED_SECONDS)
        await eventually(all_up(here, there), BACK_SECONDS)
        await works(here, there)


async def test_a_node_that_is_cut_off_for_reading_too_slowly_comes_back(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path, client_output_buffer_limit="pubsub 1mb 1mb 1") as server,
        fault_proxy(server.port) as proxy,
        started(proxy.url) as (slow,),
    ):
        proxy.hold()
        raw = Redis(host="127.0.0.1", port=server.port)
        # Until the buffers of the system are full too, and the server has had enough of it. Small messages: of large
        # ones Valkey counts only references.
        async with asyncio.timeout(NOTICED_SECONDS):
            while await raw.publish("syncline:{00}", b"x" * 10_000):
                pass
        await raw.aclose()
        proxy.release()
        await eventually(lambda: slow.health.outages, NOTICED_SECONDS)
        await eventually(all_up(slow), BACK_SECONDS)
        async with started(server.url) as (other,):
            await works(slow, other)
            await works(other, slow)


async def test_a_node_that_is_no_longer_subscribed_notices(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, fault_proxy(server.port) as proxy, started(proxy.url) as (bus,):
        # PONGs come, messages do not.
        proxy.share_lost = 1.0
        await eventually(down(bus), NOTICED_SECONDS)


async def test_a_node_that_may_not_use_the_channels_is_down(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path, user="sync on >pw ~* &other:* +@all") as server,
        started(f"redis://sync:pw@127.0.0.1:{server.port}") as (bus,),
    ):
        assert not bus.up


async def test_junk_on_every_channel_stops_nobody(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        ear = Ear()
        await there.watch(TOPIC, ear)
        letter = HintCodec().sealed(TOPIC, a_hint())
        body = len(letter) - len(letter[2 + len(TOPIC) :])
        junk = [
            b"",
            b"SL",
            b"\xff" * 5_000,
            b"SL" * 100,
            b"{}",
            b"x" * 20_000_000,
            enveloped(ANOTHER_NODE, 0, b"\xff\xff"),
            enveloped(ANOTHER_NODE, 1, b"\x00\x02\xff\xfe"),
            enveloped(ANOTHER_NODE, 2**64 - 1, letter[:-3]),
        ]
        for_the_topic = [
            enveloped(ANOTHER_NODE, 5, letter[:body] + b"\x00" + letter[body + 1 :]),
            enveloped(ANOTHER_NODE, 4, letter[:body] + b"\xff" + letter[body + 1 :]),
            enveloped(ANOTHER_NODE, 3, HintCodec(b"not the secret").sealed(TOPIC, a_hint())),
        ]
        raw = Redis(host="127.0.0.1", port=server.port)
        for tag in range(TAGS):
            for message in junk if tag == tag_of(TOPIC) else (each for each in junk if len(each) < 10_000):
                await raw.publish(f"syncline:{{{tag:02}}}", message)
        for message in for_the_topic:
            await raw.publish(f"syncline:{{{tag_of(TOPIC):02}}}", message)
        await raw.aclose()
        here.publish(TOPIC, a_hint(1))
        await eventually(lambda: 1 in ear.versions)
        assert ear.versions[-1] == 1
        # What is ours, as far as can be told, rings: to look is all it says.
        assert all(
            hint == Hint(dataset=hint.dataset, epoch=hint.epoch, version=hint.version) for hint in ear.heard[:-1]
        )
        assert len(ear.heard) == TAGS + len(for_the_topic) + 1
        assert there.health.junk >= 7 * TAGS - 1
        assert there.health.unread == TAGS + len(for_the_topic)
        await works(here, there)
        assert here.health.outages == there.health.outages == 0


async def test_nodes_with_one_secret_believe_each_other_and_nobody_else(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url, secret=b"shared") as (here, there):
        ear = Ear()
        await there.watch(TOPIC, ear)
        here.publish(TOPIC, a_hint(1))
        await ear.hears(1)
        async with started(server.url, secret=b"guessed") as (stranger,):
            stranger.publish(TOPIC, a_hint(2))
            await ear.hears(2)
        assert ear.heard[0] == a_hint(1)
        assert ear.heard[1].commit is None
        assert ear.heard[1].previous is None


async def test_lost_messages_are_noticed_and_counted(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        started(server.url, proxy.url) as (here, there),
    ):
        await works(here, there)
        proxy.share_lost = 1.0
        here.publish(TOPIC, a_hint(1))
        await eventually(lambda: proxy.lost)
        proxy.share_lost = 0.0
        called_for = asyncio.Event()
        there.on_change(called_for.set)
        # With nothing more to say, a beat tells.
        async with asyncio.timeout(NOTICED_SECONDS):
            await called_for.wait()
        assert there.health.gaps == 1


async def test_a_node_that_is_cut_off_alone_is_missed_by_the_others(tmp_path: Path) -> None:
    fast = Timing(beat_seconds=0.2)
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        started(server.url, proxy.url, timing=fast) as (here, there),
    ):
        await works(there, here)
        proxy.hold()
        calls = asyncio.Semaphore(0)
        here.on_change(calls.release)
        for _ in range(3):
            async with asyncio.timeout(NOTICED_SECONDS):
                await calls.acquire()
        assert here.up
        assert here.health.outages == here.health.gaps == 0


async def test_tls_is_spoken_and_certificates_are_checked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "syncline")
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    # The wheel's server speaks no TLS: a proxy does for it.
    async with valkey(tmp_path) as server, fault_proxy(server.port, tls) as proxy:
        trusting = f"rediss://localhost:{proxy.port}?ssl_ca_certs={certificate}"
        async with started(trusting, trusting) as (here, there):
            await works(here, there)
        other_name = f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}"
        stranger = f"rediss://localhost:{proxy.port}"
        async with started(other_name, stranger, f"redis://localhost:{proxy.port}") as buses:
            assert not any(bus.up for bus in buses)
        assert caplog.text.count("CERTIFICATE_VERIFY_FAILED") == 2


async def test_databases_of_one_server_are_apart(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        started(server.url, f"{server.url}/1", f"{server.url}/1") as (zero, one, other_one),
    ):
        ear = Ear()
        await zero.watch(TOPIC, ear)
        await works(one, other_one)
        one.publish(TOPIC, a_hint())
        await works(one, other_one)
        assert not ear.heard


async def test_a_bus_sends_what_it_has_before_it_closes(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        ear = Ear()
        await there.watch(TOPIC, ear)
        for version in range(1, 101):
            here.publish(TOPIC, a_hint(version))
        await here.close()
        await ear.hears(100)


async def test_hints_are_not_lost_when_a_bus_closes_before_a_busy_server_has_read_them(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url, server.url) as (here, there):
        ear = Ear()
        await there.watch(TOPIC, ear)
        server.hang()
        for version in range(1, 301):
            here.publish(TOPIC, a_hint(version))
        closing = asyncio.create_task(here.close())
        await asyncio.sleep(0.2)
        server.go_on()
        await closing
        await ear.hears(300)


async def test_closing_does_not_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server, started(server.url) as (bus,):
        server.hang()
        async with asyncio.timeout(2):
            await bus.close()


async def test_nobody_listening_is_no_reason_to_wait_long() -> None:
    async with asyncio.timeout(NOTICED_SECONDS), started(f"redis://127.0.0.1:{free_port()}") as (bus,):
        assert not bus.up

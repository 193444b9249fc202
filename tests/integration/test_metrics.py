"""What ``/metrics`` and ``/readyz`` tell of a server that devices use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncline.core.checkpoint import Checkpoint, parse_since
from syncline.core.ids import Epoch
from syncline.web.limits import WebLimits
from tests.support.fault_proxy import fault_proxy
from tests.support.figures import Figures, scrape
from tests.support.nodes import nodes, versions
from tests.support.raw_socket import RawSocket, handshake, text
from tests.support.server import running_server
from tests.support.valkey import eventually, free_port, valkey
from tests.support.web_server import PATIENCE_SECONDS, WebOptions, WebServer, a_token, web_server
from tests.support.world import put
from tests.support.ws_client import WsClient

RECOGNISABLE = "recognisable"
"""Part of every identity, device, dataset, key, value and id that is sent here."""
DATASET = f"{RECOGNISABLE}-dataset"
SYNC = (
    "mutation ($dataset: String!, $id: ID!, $key: String!, $value: JSON, $base: BaseInput!, $since: Checkpoint) { "
    "sync(input: {dataset: {name: $dataset}, mutationId: $id, since: $since, onConflict: REJECT, "
    "changes: [{put: {key: $key, value: $value, base: $base}}]}) "
    "{ __typename ... on SyncApplied { checkpoint } } }"
)
WATCH = (
    "subscription ($dataset: String!, $since: Checkpoint) { datasetChanges(dataset: {name: $dataset}, since: $since) "
    "{ __typename ... on Ready { checkpoint } ... on Commit { checkpoint version records { key value } } } }"
)
ANY, ABSENT = {"any": True}, {"absent": True}


def a_socket(server: WebServer, device: str = "phone") -> WsClient:
    return WsClient(server, token=a_token(f"{RECOGNISABLE}-identity", f"{RECOGNISABLE}-{device}"))


async def sync(
    client: WsClient,
    number: int,
    *,
    key: str = "key",
    value: object = 1,
    base: dict[str, bool] = ANY,
    since: str | None = None,
) -> dict[str, Any]:
    name = f"{RECOGNISABLE}-{key}"
    return await client.execute(
        SYNC, dataset=DATASET, id=f"{RECOGNISABLE}-{number}", key=name, value=value, base=base, since=since
    )


async def sync_unseen(server: WebServer) -> None:
    """From a socket of its own, so that no event comes between question and answer."""
    async with a_socket(server, "tablet") as tablet:
        await sync(tablet, 9, value=9)


async def watch(client: WsClient, operation_id: str, since: str | None = None) -> dict[str, Any]:
    """Subscribe; the first event."""
    await client.subscribe(operation_id, WATCH, dataset=DATASET, since=since)
    return await event(client)


async def event(client: WsClient) -> dict[str, Any]:
    message = await client.receive()
    assert message["type"] == "next", message
    found: dict[str, Any] = message["payload"]["data"]["datasetChanges"]
    return found


async def figures_when(server: WebServer, happened: Callable[[Figures], bool]) -> Figures:
    """The figures once they are as wanted; what they count may end a moment after the device learns of it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not happened(figures := await asyncio.to_thread(scrape, server.http_url)):  # noqa: ASYNC110 # in a thread
            await asyncio.sleep(0.02)
    return figures


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    limits = WebLimits(
        send_buffer_bytes=64 * 1024,
        stall_timeout=timedelta(seconds=1),
        subscriptions_per_connection=3,
        body_bytes=100_000,
        message_bytes=200_000,
        connections=4,
    )
    with web_server(tmp_path, WebOptions(limits=limits)) as server:
        yield server
        assert server.errors == []


@pytest.fixture
async def phone(server: WebServer) -> AsyncIterator[WsClient]:
    async with a_socket(server) as phone:
        yield phone


async def test_syncs_are_told_by_outcome(server: WebServer, phone: WsClient) -> None:
    await sync(phone, 1)
    await sync(phone, 1)
    async with a_socket(server, "laptop") as laptop:
        await sync(laptop, 2, value=2, base=ABSENT)
        await sync(laptop, 2, value=2, base=ABSENT)
    await sync(phone, 3, key="k" * 2_000)

    figures = await figures_when(server, lambda figures: figures.of("connections") == 1)
    assert figures.of("syncs_total", outcome="committed") == 1
    assert figures.of("syncs_total", outcome="replayed") == 2
    assert figures.of("syncs_total", outcome="conflicted") == 1
    assert figures.of("syncs_total", outcome="refused") == 1
    assert figures.of("receipts_hit_total", outcome="applied") == 1
    assert figures.of("receipts_hit_total", outcome="conflicted") == 1
    assert figures.of("limits_hit_total", limit="keyBytes") == 1
    assert figures.of("store_pool_size") == 3
    assert figures.of("store_pool_wait_seconds_count") >= 5


async def test_subscriptions_are_told_with_how_they_began_and_how_fast_they_are_served(
    server: WebServer, phone: WsClient
) -> None:
    async with a_socket(server, "laptop") as laptop:
        await sync(phone, 1)
        ready = await watch(laptop, "live")
        await sync(phone, 2, value=2)
        commit = await event(laptop)
        assert commit["version"] == 2
        figures = await asyncio.to_thread(scrape, server.http_url)
        assert (figures.of("connections"), figures.of("subscriptions")) == (2, 1)
        assert figures.of("resumes_total", result="fresh", reason="") == 1
        assert figures.of("commit_to_delivery_seconds_count") == 1
        assert 0 < figures.of("commit_to_delivery_seconds_sum") < PATIENCE_SECONDS

        checkpoint = parse_since(commit["checkpoint"])
        assert isinstance(checkpoint, Checkpoint)
        await watch(phone, "resumed", commit["checkpoint"])
        await watch(phone, "missed one", ready["checkpoint"])
        await watch(phone, "other log", str(replace(checkpoint, epoch=Epoch("00" * 8))))
        figures = await asyncio.to_thread(scrape, server.http_url)
        assert figures.of("subscriptions") == 4
        assert figures.of("resumes_total", result="live", reason="") == 1
        assert figures.of("resumes_total", result="caught_up", reason="") == 1
        assert figures.of("resumes_total", result="resync", reason="EPOCH_CHANGED") == 1
    figures = await figures_when(server, lambda figures: figures.of("connections") == 1)
    assert figures.of("subscriptions") == 3


async def test_a_slow_device_is_told_when_it_falls_behind_and_when_it_is_closed(
    server: WebServer, phone: WsClient
) -> None:
    async with RawSocket(server, narrow=True) as slow, WsClient(server) as writer:
        query = {"query": WATCH, "variables": {"dataset": DATASET}}
        await slow.send(text({"id": "s", "type": "subscribe", "payload": query}))
        await slow.read_frame()
        for number in range(200):
            await sync(writer, number, value=f"{number}{'x' * 20_000}")
        figures = await figures_when(server, lambda figures: figures.of("slow_consumers_total", event="stalled") > 0)
    assert figures.of("slow_consumers_total", event="stalled") == 1
    assert 1 <= figures.of("slow_consumers_total", event="behind") < 200


async def test_limits_of_requests_are_told_however_they_are_answered(server: WebServer, phone: WsClient) -> None:
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        deep = "{ viewer { identity { id } } }".replace("{ id }", "{ a " * 30 + "}" * 30)
        assert (await http.post("/graphql", json={"query": deep})).json()["errors"][0]["extensions"]["limit"]
        assert (await http.post("/graphql", json={"query": "#" * 100_000})).status_code == 413
    for number in range(4):
        await phone.subscribe(str(number), WATCH, dataset=DATASET)
    await figures_when(server, lambda figures: figures.of("limits_hit_total", limit="subscriptionsPerConnection") == 1)
    async with a_socket(server, "second") as second, a_socket(server, "third"), a_socket(server, "fourth"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake(server.port))
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
        writer.close()
        await second.send({"type": "ping", "payload": {"x": "x" * 300_000}})
        assert await second.closed_with() == 1009
    hit = ("documentDepth", "bodyBytes", "subscriptionsPerConnection", "connections", "messageBytes")
    figures = await asyncio.to_thread(scrape, server.http_url)
    assert {limit: figures.of("limits_hit_total", limit=limit) for limit in hit} == dict.fromkeys(hit, 1)


async def test_nobody_and_nothing_of_theirs_is_named(server: WebServer, phone: WsClient) -> None:
    await sync(phone, 1, value=RECOGNISABLE)
    await sync(phone, 2, key="k" * 2_000)
    await watch(phone, f"{RECOGNISABLE}-operation")
    await sync_unseen(server)
    assert (await event(phone))["version"] == 2
    answer = await asyncio.to_thread(httpx.get, f"{server.http_url}/metrics")
    assert "syncline_syncs_total" in answer.text
    assert RECOGNISABLE not in answer.text
    bounded = {"reason", "result", "outcome", "limit", "event", "found_by", "sqlstate", "kind", "le"}
    assert {label for sample in Figures(answer.text).samples for label in sample.labels} <= bounded


async def test_the_page_has_the_content_type_that_the_scraper_asks_for(server: WebServer) -> None:
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        plain = await http.get("/metrics")
        open_metrics = await http.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["cache-control"] == "no-store"
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0;")
    assert open_metrics.text.endswith("# EOF\n")


def test_a_server_that_is_started_tells_its_figures_and_looks_after_them(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        address = server.url.removesuffix("/graphql")
        figures = scrape(address)
        while figures.of("event_loop_lag_seconds_count") == 0:
            figures = scrape(address)
        assert figures.of("bus_up") == 1
        assert figures.of("subscriptions") == 0


def test_with_redis_down_a_server_is_ready_but_degraded(tmp_path: Path) -> None:
    port = free_port()
    settings = {"SYNCLINE_REDIS_URL": f"redis://127.0.0.1:{port}"}
    with running_server(tmp_path / "data", settings=settings) as server:
        address = server.url.removesuffix("/graphql")
        degraded = httpx.get(f"{address}/readyz")
        assert (degraded.status_code, degraded.json()["degraded"]) == (200, ["bus"])
        assert scrape(address).of("bus_up") == 0


async def test_messages_that_were_lost_between_nodes_are_counted(tmp_path: Path) -> None:
    async with (
        valkey(tmp_path) as server,
        fault_proxy(server.port) as proxy,
        nodes(tmp_path, server.url, proxy.url) as (here, there),
    ):
        metrics = there.world.metrics
        metrics.count_off(metrics.bus_gaps["number"], lambda: there.bus.health.gaps)
        await here.world.sync(put("note", 0))
        watcher = await there.watch()
        proxy.share_lost = 0.2
        for number in range(1, 100):
            await here.world.sync(put("note", number))
        await eventually(lambda: len(versions(watcher)) >= 100, PATIENCE_SECONDS)
        figures = Figures(metrics.page("")[0].decode())
        assert 0 < figures.of("bus_gaps_total", found_by="number") <= there.bus.health.gaps


def test_a_server_that_is_told_not_to_has_no_such_page(tmp_path: Path) -> None:
    with running_server(tmp_path, "--no-metrics") as server:
        assert httpx.get(server.url.replace("/graphql", "/metrics")).status_code == 404


def test_without_the_bus_the_server_is_ready_but_says_what_it_lacks(tmp_path: Path) -> None:
    options = WebOptions()
    with web_server(tmp_path, options) as server:
        fine = httpx.get(f"{server.http_url}/readyz")
        options.bus_is_up = False
        degraded = httpx.get(f"{server.http_url}/readyz")
    assert (fine.status_code, fine.json()["status"], fine.json()["degraded"]) == (200, "ok", [])
    assert (degraded.status_code, degraded.json()["status"], degraded.json()["degraded"]) == (200, "degraded", ["bus"])

"""The one place where Syncline is put together."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from starlette.types import ASGIApp

from syncline.api.context import Services
from syncline.api.documents import Documents
from syncline.api.engine import Engine
from syncline.api.guard import DocumentLimits
from syncline.api.schema import graphql_schema
from syncline.auth.keys import SigningSecret, server_secret
from syncline.auth.tokens import mint
from syncline.bus.local import LocalBus
from syncline.config import Settings
from syncline.core.ids import NO_TENANT, DeviceId, Tenant, identity_id
from syncline.core.model import Viewer
from syncline.errors import StartRefused
from syncline.metrics import Metrics
from syncline.ports import Bus, CompleteStore
from syncline.service.channels import Channels
from syncline.service.datasets import Datasets
from syncline.service.housekeeping import Housekeeping
from syncline.service.logins import Logins
from syncline.service.memberships import Memberships
from syncline.service.subscriptions import Subscriptions
from syncline.service.sync import Syncs
from syncline.sign_in_wiring import credentials
from syncline.storage.sqlite import SqliteStore
from syncline.web.connection import Backend
from syncline.web.flush_tick import FlushTick
from syncline.web.limits import WebLimits
from syncline.web.mutations import Mutations
from syncline.web.routes import web_app

DEV_IDENTITY = "dev"
DEV_TENANT = Tenant("dev")
"""The one of tokens for trying out, where tenants are told apart."""


def utc_now() -> datetime:
    """The server's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A server that is put together: what to serve, and what to do beside."""

    asgi: ASGIApp
    housekeeping: Housekeeping


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Everything behind the sockets, open until the context ends. Raises StartRefused."""
    async with AsyncExitStack() as opened:
        yield await _build(settings, opened)


async def _build(settings: Settings, opened: AsyncExitStack) -> App:
    metrics = Metrics()
    secret = prepared_secret(settings)
    store = await open_store(settings, metrics)
    opened.push_async_callback(store.close)
    bus = await _open_bus(settings, secret, metrics)
    opened.push_async_callback(bus.close)
    authenticator = await opened.enter_async_context(credentials(settings, secret, store, utc_now))
    channels = Channels(store, bus, metrics)
    opened.push_async_callback(channels.close)
    memberships = Memberships(store, bus)
    datasets = Datasets(store, bus, utc_now, settings.limits, metrics)
    web_limits = WebLimits.from_settings(settings)
    mutations = Mutations(max_pending=web_limits.max_pending_mutations)
    opened.push_async_callback(mutations.drain)
    schema = graphql_schema()
    backend = Backend(
        engine=Engine(schema, Documents(schema, _document_limits(settings), **_document_cache(settings))),
        services=Services(
            datasets=datasets,
            syncs=Syncs(store, bus, utc_now, datasets, metrics),
            subscriptions=Subscriptions(store, memberships, channels),
            logins=Logins(authenticator, store.identities, utc_now) if settings.issuers else None,
        ),
        authenticator=authenticator,
        mutations=mutations,
        limits=web_limits,
        clock=utc_now,
        tick=FlushTick(),
        metrics=metrics,
    )
    metrics.read_off(metrics.subscriptions, lambda: channels.feeds)
    return App(
        asgi=web_app(
            backend,
            store,
            bus_is_up=lambda: bus.up,
            with_metrics=settings.metrics,
            with_pages=settings.graphiql,
            mint=partial(dev_token, settings, secret) if settings.dev else None,
            loopback_only=settings.dev,
        ),
        housekeeping=Housekeeping(
            store,
            channels,
            memberships,
            utc_now,
            settings.retention,
            sweep_every=timedelta(seconds=settings.sweep_interval_seconds),
            bus=bus,
            metrics=metrics,
        ),
    )


def prepared_secret(settings: Settings) -> SigningSecret:
    """What tokens are signed with; the data folder is there from now on. Raises StartRefused."""
    secret = server_secret(
        configured=None if settings.token_secret is None else settings.token_secret.get_secret_value(),
        folder=settings.data,
        host=settings.host,
        dev=settings.dev,
    )
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"data: {settings.data} cannot be made a folder: {error.strerror}") from error
    return secret


def dev_token(settings: Settings, secret: SigningSecret, device: DeviceId) -> str:
    """A token for trying out."""
    tenant = NO_TENANT if settings.tenant_claim is None else DEV_TENANT
    viewer = Viewer(identity=identity_id(DEV_IDENTITY, tenant), device=device)
    lifetime = timedelta(days=settings.token_lifetime_days)
    return mint(secret.value, viewer, lifetime, utc_now(), tenant_claim=settings.tenant_claim)


async def open_store(settings: Settings, metrics: Metrics | None = None) -> CompleteStore:
    """Where the settings say that the data is. Raises StartRefused."""
    if settings.database_url is None:
        return await SqliteStore.open(settings.database, shared=settings.redis_url is not None, metrics=metrics)
    # Not before it is needed: a server on SQLite need not hold the driver in memory.
    from syncline.storage.postgres import PostgresStore

    return await PostgresStore.open(
        settings.database_url.get_secret_value(), connections=settings.database_connections, metrics=metrics
    )


async def _open_bus(settings: Settings, secret: SigningSecret, metrics: Metrics) -> Bus:
    if settings.redis_url is None:
        local = LocalBus()
        metrics.read_off(metrics.bus_up, lambda: local.up)
        return local
    from syncline.bus.redis import RedisBus

    # All nodes have the secret that tokens are signed with, and nobody else. Hints get one of their own from it.
    key = hashlib.blake2b(key=hashlib.sha256(secret.value).digest(), person=b"syncline hints").digest()
    bus = RedisBus.open(settings.redis_url.get_secret_value(), secret=key)
    metrics.read_off(metrics.bus_up, lambda: bus.up)
    metrics.read_off(metrics.bus_lag_seconds, lambda: bus.health.lag_seconds or 0)
    metrics.count_off(metrics.bus_gaps["number"], lambda: bus.health.gaps)
    await bus.start()
    return bus


def _document_limits(settings: Settings) -> DocumentLimits:
    return DocumentLimits(
        tokens=settings.max_document_tokens,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        fields=settings.max_fields,
    )


def _document_cache(settings: Settings) -> dict[str, int]:
    return {"entries": settings.document_cache_entries, "source_bytes": settings.document_cache_bytes}

"""The one place where Syncline is put together."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from syncline.addresses import networks, origins
from syncline.api.documents import Documents
from syncline.api.engine import Engine
from syncline.api.guard import DocumentLimits
from syncline.api.schema import graphql_schema
from syncline.auth.guest_tokens import GuestAuthenticator, JwtGuestTokens
from syncline.auth.keys import SigningSecret, server_secret
from syncline.auth.tokens import mint
from syncline.bus.local import LocalBus
from syncline.config import Settings
from syncline.core.ids import NO_TENANT, DeviceId, Tenant, identity_id
from syncline.core.model import Viewer
from syncline.errors import StartRefused
from syncline.metrics import Metrics
from syncline.ports import Bus, CompleteStore
from syncline.service.housekeeping import Housekeeping
from syncline.service.logins import Logins
from syncline.service.presence_room import PresenceTiming
from syncline.service.refusals import RefusingAuthenticator
from syncline.sign_in_wiring import credentials
from syncline.storage.beside import Beside, beside_sqlite
from syncline.storage.identity_data import IdentityDataBeside
from syncline.storage.sqlite import SqliteStore
from syncline.web.admission import Admission
from syncline.web.connection import Backend
from syncline.web.flush_tick import FlushTick
from syncline.web.limits import WebLimits
from syncline.web.mutations import Mutations
from syncline.web.routes import web_app
from syncline.wiring import assemble

if TYPE_CHECKING:
    from syncline.bus.shared_limits import RedisSharedLimits

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
    shared = await _open_shared_limits(settings, secret)
    if shared is not None:
        opened.push_async_callback(shared.close)
    signed_in = await opened.enter_async_context(credentials(settings, secret, store, utc_now))
    web_limits = WebLimits.from_settings(settings)
    admission = Admission(web_limits, metrics, trusted=networks(settings.trusted_proxies), shared=shared)
    guest_tokens = JwtGuestTokens(
        secret.value,
        utc_now,
        lifetime=timedelta(days=settings.guest_token_lifetime_days),
        renewal=timedelta(days=settings.guest_renewal_days),
    )
    node = assemble(
        store,
        bus,
        utc_now,
        metrics,
        limits=settings.limits,
        guest_tokens=guest_tokens,
        guest_admission=admission if settings.guests else None,
        presence_limits=settings.presence_limits,
        presence_timing=PresenceTiming(announce_every=timedelta(seconds=settings.presence_interval_seconds)),
    )
    opened.push_async_callback(node.close)
    mutations = Mutations(max_pending=web_limits.max_pending_mutations)
    opened.push_async_callback(mutations.drain)
    schema = graphql_schema()
    backend = Backend(
        engine=Engine(schema, Documents(schema, _document_limits(settings), **_document_cache(settings))),
        services=replace(
            node.services, logins=Logins(signed_in, store.identities, utc_now) if settings.issuers else None
        ),
        authenticator=RefusingAuthenticator(
            GuestAuthenticator(guest_tokens, utc_now, node.guests.check, otherwise=signed_in), node.refusals
        ),
        mutations=mutations,
        limits=web_limits,
        admission=admission,
        clock=utc_now,
        tick=FlushTick(),
        metrics=metrics,
    )
    node.measure(metrics)
    return App(
        asgi=web_app(
            backend,
            store,
            bus_is_up=lambda: bus.up,
            with_metrics=settings.metrics,
            with_pages=settings.graphiql,
            mint=partial(dev_token, settings, secret) if settings.dev else None,
            loopback_only=settings.dev,
            origins=origins(settings.allowed_origins),
            identity_data=IdentityDataBeside(partial(_beside, settings)),
        ),
        housekeeping=Housekeeping(
            store,
            node.sweep,
            utc_now,
            settings.retention,
            sweep_every=timedelta(seconds=settings.sweep_interval_seconds),
            bus=bus,
            metrics=metrics,
            also={"refusals": node.refusals.run},
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


def dev_token(settings: Settings, secret: SigningSecret, identity: str | None, device: DeviceId) -> str:
    """A token for trying out; of no identity: of the one for development. Raises InvalidInput."""
    tenant = NO_TENANT if settings.tenant_claim is None else DEV_TENANT
    viewer = Viewer(identity=identity_id(identity or DEV_IDENTITY, tenant), device=device)
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


def _beside(settings: Settings) -> AbstractAsyncContextManager[Beside]:
    """The same, as commands use it."""
    if settings.database_url is None:
        return beside_sqlite(settings.database)
    from syncline.storage.beside_postgres import beside_postgres

    return beside_postgres(settings.database_url.get_secret_value())


async def _open_bus(settings: Settings, secret: SigningSecret, metrics: Metrics) -> Bus:
    if settings.redis_url is None:
        local = LocalBus()
        metrics.read_off(metrics.bus_up, lambda: local.up)
        return local
    from syncline.bus.redis import RedisBus

    bus = RedisBus.open(settings.redis_url.get_secret_value(), secret=_derived(secret, b"syncline hints"))
    metrics.read_off(metrics.bus_up, lambda: bus.up)
    metrics.read_off(metrics.bus_lag_seconds, lambda: bus.health.lag_seconds or 0)
    metrics.count_off(metrics.bus_gaps["number"], lambda: bus.health.gaps)
    await bus.start()
    return bus


async def _open_shared_limits(settings: Settings, secret: SigningSecret) -> RedisSharedLimits | None:
    if settings.redis_url is None:
        return None
    from syncline.bus.shared_limits import RedisSharedLimits

    key = _derived(secret, b"syncline limits")
    shared = RedisSharedLimits(settings.redis_url.get_secret_value(), node=token_hex(8), secret=key)
    await shared.start()
    return shared


def _derived(secret: SigningSecret, purpose: bytes) -> bytes:
    """A secret for one purpose. All nodes have the one that tokens are signed with, and nobody else does."""
    return hashlib.blake2b(key=hashlib.sha256(secret.value).digest(), person=purpose).digest()


def _document_limits(settings: Settings) -> DocumentLimits:
    return DocumentLimits(
        bytes=settings.max_document_bytes,
        tokens=settings.max_document_tokens,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        fields=settings.max_fields,
        fragments=settings.max_fragments,
        repeats=settings.max_repeats,
    )


def _document_cache(settings: Settings) -> dict[str, int]:
    return {"entries": settings.document_cache_entries, "source_bytes": settings.document_cache_bytes}

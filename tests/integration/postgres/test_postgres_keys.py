"""A key that is revoked on a database that two servers share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import httpx

from tests.support.command_line import done, syncline
from tests.support.oidc_provider import AUDIENCE, provider
from tests.support.postgres import PostgresServer
from tests.support.process_socket import process_socket
from tests.support.server import RunningServer, running_server

VIEWER = "{ viewer { identityId } }"
BOUND_SECONDS = 5.0
"""It is promised within one; machines that do ten things at once have their own pace."""


def viewer(server: RunningServer, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(trust_env=False) as http:
        return http.post(server.url, json={"query": VIEWER}, headers=named)


async def test_a_revoked_key_ends_on_both_nodes_and_a_login_is_one_identity_on_both(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with provider() as issuer:
        settings = {
            "SYNCLINE_DATABASE_URL": postgres_server.url(postgres_server.empty_database()),
            "SYNCLINE_TOKEN_SECRET": "a secret that both nodes have, 0123456789",
            "SYNCLINE_OIDC_ISSUER": issuer.issuer,
            "SYNCLINE_OIDC_AUDIENCE": AUDIENCE,
        }
        with (
            running_server(tmp_path / "a", settings=settings) as one,
            running_server(tmp_path / "b", settings=settings) as other,
        ):
            (key,) = done(await asyncio.to_thread(syncline, "key", "create", "job", cwd=tmp_path, **settings))
            async with (
                process_socket(one.socket_url, {"apiKey": key}) as here,
                process_socket(other.socket_url, {"apiKey": key}) as there,
            ):
                done(await asyncio.to_thread(syncline, "key", "revoke", key.split("_")[1], cwd=tmp_path, **settings))
                revoked_at = monotonic()
                codes = [code for code, _ in await asyncio.gather(here.closed_with(), there.closed_with())]
                assert monotonic() - revoked_at < BOUND_SECONDS
            assert codes == [4403, 4403]
            assert {viewer(node, x_api_key=key).status_code for node in (one, other)} == {401}

            bearer = f"Bearer {issuer.token()}"
            found = await asyncio.gather(
                *(asyncio.to_thread(viewer, node, authorization=bearer) for node in (one, other) for _ in range(5))
            )
            assert len({answer.json()["data"]["viewer"]["identityId"] for answer in found}) == 1

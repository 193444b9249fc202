"""Signing in by an issuer, by an authorizer, and by two logins of one identity, at servers that run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.command_line import done, refused, syncline
from tests.support.oidc_provider import AUDIENCE, Provider, provider, rsa_key
from tests.support.process_socket import process_socket
from tests.support.server import RunningServer, running_server

VIEWER = "{ viewer { identityId deviceId } }"
PUT = (
    'mutation ($id: ID!) { sync(input: {dataset: {name: "notes"}, mutationId: $id, '
    'changes: [{put: {key: "a", value: 1, base: {any: true}}}]}) { __typename } }'
)
LINK = "mutation ($token: String!) { linkLogin(token: $token) { identityId new } }"
AUTHORIZER = """
from collections.abc import Mapping


async def authorize(*, token: str, headers: Mapping[str, str], address: str | None):
    if token == "raises":
        raise RuntimeError(f"a secret: {token}")
    if token != "opaque-token":
        return None
    return {"identity": "from-" + headers["x-app"], "device": address, "ttl_seconds": 60}
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[Provider]:
    with provider() as each:
        yield each


@pytest.fixture(scope="module")
def server(issuer: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("sign-in")
    (folder / "my_authorizer.py").write_text(AUTHORIZER)
    settings = {
        "SYNCLINE_OIDC_ISSUER": issuer.issuer,
        "SYNCLINE_OIDC_AUDIENCE": AUDIENCE,
        "SYNCLINE_AUTHORIZER": "my_authorizer:authorize",
        "SYNCLINE_AUTHORIZER_HEADERS": "User-Agent X-App",
        "PYTHONPATH": f"{folder}:{Path(__file__).parents[2] / 'server'}",
    }
    with running_server(folder / "data", settings=settings) as each:
        yield each


def sent(server: RunningServer, query: str, token: str, variables: Any = None, **headers: str) -> httpx.Response:
    named = {"authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(trust_env=False) as http:
        return http.post(server.url, json={"query": query, "variables": variables}, headers=named)


def post(server: RunningServer, query: str, token: str, variables: Any = None, **headers: str) -> Any:
    return sent(server, query, token, variables, **headers).json()


def identity(server: RunningServer, token: str) -> str:
    found: str = post(server, VIEWER, token)["data"]["viewer"]["identityId"]
    return found


def code(answer: Any) -> str:
    found: str = answer["errors"][0]["extensions"]["code"]
    return found


async def test_a_device_is_that_of_the_token_or_else_the_one_that_the_client_names(
    server: RunningServer, issuer: Provider
) -> None:
    named = post(server, VIEWER, issuer.token(), x_syncline_device="phone")
    claimed = post(server, VIEWER, issuer.token(did="tablet"))
    both = post(server, VIEWER, issuer.token(did="tablet"), x_syncline_device="phone")

    assert named["data"]["viewer"]["deviceId"] == "phone"
    assert claimed["data"]["viewer"]["deviceId"] == "tablet"
    assert code(both) == "UNAUTHENTICATED"
    payload = {"authorization": issuer.token(), "device": "phone"}
    async with process_socket(server.socket_url, payload) as socket:
        answer = await socket.execute(VIEWER)
    assert answer["payload"]["data"] == named["data"]


async def test_a_rotated_key_of_the_issuer_is_seen_and_no_good_token_refused(
    server: RunningServer, issuer: Provider
) -> None:
    before = issuer.token("rotating")
    found = identity(server, before)
    issuer.keys["rsa-next"] = rsa_key("rsa-2")
    # Issuers show a key before they use it; the server sees it by age, or with its first token.
    issuer.published.append("rsa-next")

    after = [post(server, VIEWER, token) for token in (before, issuer.token("rotating"))]

    assert [answer["data"]["viewer"]["identityId"] for answer in after] == [found, found]


def test_two_logins_can_be_one_identity(server: RunningServer, issuer: Provider) -> None:
    first = issuer.token("first")
    mine = identity(server, first)

    linked = [post(server, LINK, first, {"token": issuer.token("second")})["data"]["linkLogin"] for _ in range(2)]

    assert linked == [{"identityId": mine, "new": True}, {"identityId": mine, "new": False}]
    assert identity(server, issuer.token("second")) == mine
    shown = done(syncline("identity", "show", mine, "--data", str(server.folder), cwd=server.folder))
    assert shown[0] == f"identity {mine}"
    assert [line.split()[0] for line in shown[1:]] == ["first", "second"]


def test_a_login_that_has_data_is_not_linked(server: RunningServer, issuer: Provider) -> None:
    post(server, PUT, issuer.token("owner"), {"id": "m-1"})
    theirs = identity(server, issuer.token("owner"))

    refusal = post(server, LINK, issuer.token("linker"), {"token": issuer.token("owner")})

    assert code(refusal) == "LOGIN_IN_USE"
    assert identity(server, issuer.token("owner")) == theirs


@pytest.mark.parametrize(
    ("token", "expected"), [("nonsense", "INVALID_INPUT"), ("{own}", "INVALID_INPUT"), ("{bad}", "UNAUTHENTICATED")]
)
def test_only_a_good_token_of_an_issuer_is_linked(
    server: RunningServer, issuer: Provider, token: str, expected: str
) -> None:
    tokens = {"{own}": server.token("phone"), "{bad}": issuer.token(aud="other")}

    assert code(post(server, LINK, issuer.token("linker"), {"token": tokens.get(token, token)})) == expected


def test_an_operator_links_and_unlinks_logins(server: RunningServer, issuer: Provider) -> None:
    login = ("--issuer", issuer.issuer, "--subject", "by-hand")

    def command(*arguments: str) -> list[str]:
        return done(syncline(*arguments, "--data", str(server.folder), cwd=server.folder))

    assert command("identity", "link", "alice", *login) == [f"by-hand of {issuer.issuer} is alice"]
    assert identity(server, issuer.token("by-hand")) == "alice"
    assert command("identity", "show", *login)[0] == "identity alice"
    assert command("identity", "unlink", *login) == [f"by-hand of {issuer.issuer} is no identity any more"]
    assert command("identity", "show", "alice") == ["identity alice", "  no logins"]
    post(server, PUT, issuer.token("keeps"), {"id": "m-1"})
    line = refused(
        syncline(
            *("identity", "link", "alice", "--issuer", issuer.issuer, "--subject", "keeps"),
            *("--data", str(server.folder)),
            cwd=server.folder,
        )
    )
    assert "it cannot be linked to another one" in line


def test_the_authorizer_judges_what_nobody_else_does(server: RunningServer, issuer: Provider) -> None:
    yes = post(server, VIEWER, "opaque-token", x_app="app")
    no = post(server, VIEWER, "other-token", x_app="app")
    failed = post(server, VIEWER, "raises", x_app="app")

    assert yes["data"]["viewer"] == {"identityId": "from-app", "deviceId": "127.0.0.1"}
    assert code(no) == "UNAUTHENTICATED"
    assert (code(failed), failed["errors"][0]["extensions"]["retryable"]) == ("UNAVAILABLE", True)
    assert "a secret" not in "".join(server.output)
    # What others refuse is not shown to it.
    assert code(post(server, VIEWER, issuer.token(aud="other"), x_app="app")) == "UNAUTHENTICATED"


async def test_tenants_never_meet(issuer: Provider, tmp_path: Path) -> None:
    settings = {
        "SYNCLINE_OIDC_ISSUER": issuer.issuer,
        "SYNCLINE_OIDC_AUDIENCE": AUDIENCE,
        "SYNCLINE_TENANT_CLAIM": "org",
    }
    with running_server(tmp_path / "data", settings=settings) as server:
        for tenant in ("acme", "globex"):
            assert "data" in post(server, PUT, issuer.token("ada", org=tenant), {"id": f"m-{tenant}"})
        acme, globex = (identity(server, issuer.token("ada", org=tenant)) for tenant in ("acme", "globex"))
        assert acme.rpartition("\x1f")[2] != globex.rpartition("\x1f")[2]
        for token in (issuer.token("ada"), issuer.token("ada", org="a b"), issuer.token("ada", org="")):
            assert code(post(server, VIEWER, token)) == "UNAUTHENTICATED"
        # Tokens of its own, as well.
        assert code(post(server, VIEWER, server.token("phone", "ada"))) == "UNAUTHENTICATED"
        data = ("--data", str(server.folder))
        (own,) = done(syncline("token", "--identity", "ada", "--tenant", "acme", *data, cwd=tmp_path, **settings))
        assert identity(server, own).endswith("ada")
        assert "tenant" in refused(syncline("token", "--identity", "ada", *data, cwd=tmp_path, **settings))


async def test_while_the_issuer_is_away_nobody_is_told_that_a_good_token_is_bad(tmp_path: Path) -> None:
    with provider() as away:
        pass
    settings = {"SYNCLINE_OIDC_ISSUER": away.issuer, "SYNCLINE_OIDC_AUDIENCE": AUDIENCE}
    with running_server(tmp_path / "data", settings=settings) as server:
        answer = sent(server, VIEWER, away.token())
        with pytest.raises(ConnectionClosed) as closed:
            async with process_socket(server.socket_url, {"authorization": away.token()}):
                pass
        # Others are none the worse for it.
        assert identity(server, server.token("phone", "ada")) == "ada"

    assert (answer.status_code, code(answer.json())) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"]
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013

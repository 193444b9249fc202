"""What auditors such as graphql-cop try on a GraphQL server, on a real one without `--dev`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.support.fuzz import LEAKS
from tests.support.public_server import public_server

JSON = {"content-type": "application/json"}
INTROSPECTION = "{ __schema { queryType { name } types { name fields { name } } } }"
CREATE = 'mutation { createDataset(input: {name: "x"}) { id } }'


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with public_server(tmp_path_factory.mktemp("audit")) as server:
        yield f"http://127.0.0.1:{server.port}"
        assert not any("Traceback" in line for line in server.output)


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def refusal(client: httpx.AsyncClient, query: str) -> dict[str, Any]:
    answer = await client.post("/graphql", json={"query": query})
    body = answer.json()
    assert "data" not in body
    extensions: dict[str, Any] = body["errors"][0]["extensions"]
    return extensions


# --- what may be known ------------------------------------------------------------------------------------------------


async def test_introspection_is_on_by_policy_and_cannot_be_nested(client: httpx.AsyncClient) -> None:
    """The schema is public: it is in the repository. What would be dear is refused."""
    assert "data" in (await client.post("/graphql", json={"query": INTROSPECTION})).json()
    nested = "{ __schema { types { " + "fields { type { " * 6 + "name" + " } }" * 6 + " } } }"
    assert (await refusal(client, nested))["code"] in ("LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED")


async def test_suggestions_of_fields_tell_only_what_introspection_does(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{ dataset_ }"})
    assert answer.json()["errors"][0]["message"].startswith("Cannot query field 'dataset_'")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/graphiql",
            "/assets/a.js",
            "/demo/token",
            "/graphiql/config",
            "/playground",
            "/altair",
            "/voyager",
            "/console",
        ),
        *("/debug", "/.env", "/.git/config", "/server-status", "/docs", "/openapi.json", "/graphql/", "/metrics/"),
        *("/graphiql/assets/../../pages.py", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/static/..%2f..%2fapp.py"),
    ],
)
async def test_there_is_no_page_beside_the_api(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    # A slash too many leads to the path without it.
    assert answer.status_code in (404, 307)
    assert not LEAKS.search(answer.text)


async def test_answers_do_not_tell_by_what_they_are_made(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/"), await client.get("/nope"), await client.post("/graphql", json={})):
        assert {"server", "x-powered-by", "via"}.isdisjoint(answer.headers)
        assert not LEAKS.search(answer.text)


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG", "PROPFIND", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_and_echo_nothing(client: httpx.AsyncClient, method: str) -> None:
    for path in ("/graphql", "/", "/livez"):
        answer = await client.request(method, path, headers={"x-secret": "canary"})
        assert answer.status_code in (400, 405)
        assert "canary" not in answer.text


@pytest.mark.parametrize(
    "name", ["x-apollo-tracing", "x-hasura-admin-secret", "x-debug", "apollo-query-plan-experimental"]
)
async def test_no_header_switches_tracing_or_debugging_on(client: httpx.AsyncClient, name: str) -> None:
    for query in ("{ __typename }", "{ nope }"):
        answer = await client.post("/graphql", json={"query": query}, headers={name: "1"})
        body = answer.json()
        assert body.keys() <= {"data", "errors"}
        for error in body.get("errors", []):
            assert error.keys() <= {"message", "locations", "path", "extensions"}
            assert error["extensions"].keys() == {"code", "retryable"}


# --- what would be dear -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{" + " ".join(f"a{n}: __typename" for n in range(101)) + "}", "documentAliases"),
        ("{ __typename " + "@aa" * 101 + "}", "documentDirectives"),
        ("{" + " __typename" * 501 + "}", "documentRepeats"),
        ("{" + "viewer{" * 50 + "x" + "}" * 50 + "}", "documentDepth"),
        (
            "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { "
            + "...C " * 100
            + "} fragment C on Query { "
            + "viewer { identityId } " * 30
            + "}",
            "documentFields",
        ),
    ],
)
async def test_an_overload_is_refused_with_the_limit(client: httpx.AsyncClient, query: str, limit: str) -> None:
    extensions = await refusal(client, query)
    assert (extensions["code"], extensions["limit"]) == ("LIMIT_EXCEEDED", limit)


async def test_a_circle_of_fragments_is_refused(client: httpx.AsyncClient) -> None:
    query = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
    assert (await refusal(client, query))["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_batches_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json=[{"query": "{ __typename }"}] * 10)
    assert answer.status_code == 400
    assert "batches" in answer.json()["errors"][0]["message"]


# --- what another page could make a browser do ------------------------------------------------------------------------


async def test_no_mutation_by_get(client: httpx.AsyncClient) -> None:
    for method in ("GET", "HEAD"):
        assert (await client.request(method, "/graphql", params={"query": CREATE})).status_code == 405


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"query=mutation%7B__typename%7D"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\n{a}\r\n--x--'),
        ("text/plain", b'{"query":"{ __typename }"}'),
        ("application/graphql", b"{ __typename }"),
        ("text/plain; application/json", b'{"query":"{ __typename }"}'),
        ("application/json; charset=utf-16", b'{"query":"{ __typename }"}'),
    ],
)
async def test_what_a_form_can_send_is_not_read(client: httpx.AsyncClient, content_type: str, body: bytes) -> None:
    answer = await client.post("/graphql", content=body, headers={"content-type": content_type})
    assert answer.status_code == 415


async def test_parameters_of_the_url_do_not_count_for_a_post(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", params={"query": "{ __typename }"}, content=b"{}", headers=JSON)
    assert answer.status_code == 400


@pytest.mark.parametrize("override", ["x-http-method-override", "x-method-override", "x-http-method"])
async def test_no_header_makes_another_method_of_a_get(client: httpx.AsyncClient, override: str) -> None:
    answer = await client.get("/graphql", params={"query": CREATE}, headers={override: "POST"})
    assert answer.status_code == 405

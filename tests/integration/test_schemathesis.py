"""What Schemathesis makes of the schema that a real server tells: each operation with arguments of all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from tests.support.fuzz import LEAKS
from tests.support.web_server import WebServer, a_token, web_server

EXAMPLES = 30
FAULTS = {"INTERNAL", "UNAVAILABLE", "OVERLOADED"}

schemathesis.graphql.scalar("JSON", st.integers(-5, 5).map(nodes.Int) | st.text(max_size=5).map(nodes.String))
schemathesis.graphql.scalar("Checkpoint", st.sampled_from(["start", "", "nonsense"]).map(nodes.String))
schemathesis.graphql.scalar("DateTime", st.sampled_from(["2026-01-01T00:00:00Z", "never"]).map(nodes.String))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("schemathesis")) as server:
        yield server
        assert server.errors == []


@pytest.fixture(scope="module")
def operations(server: WebServer) -> dict[str, Any]:
    """Those that the server's introspection tells, by name."""
    schema = schemathesis.graphql.from_url(f"{server.http_url}/graphql")
    found: list[Any] = list(schema.get_all_operations())
    return {operation.label: operation for operation in (each.ok() for each in found)}


def test_all_operations_are_found(operations: dict[str, Any]) -> None:
    assert {"Query.viewer", "Query.changes", "Mutation.sync", "Mutation.deleteDataset"} <= set(operations)


def test_no_operation_fails_whatever_its_arguments(operations: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {a_token()}", "accept": "application/graphql-response+json"}
    answered = 0
    for operation in operations.values():

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
        @given(operation.as_strategy())
        def holds(case: Any) -> None:
            nonlocal answered
            response = case.call(headers=headers)
            assert response.status_code in (200, 400), response.text
            body = response.json()
            codes = {error["extensions"]["code"] for error in body.get("errors", [])}
            assert not codes & FAULTS, (codes, case.body)
            for found in LEAKS.finditer(response.text):
                assert found[0] in case.body, response.text
            answered += "errors" not in body

        holds()
    assert answered > len(operations)

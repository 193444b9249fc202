"""The GraphQL examples of the documents, sent to a real server: it answers as they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.support.documents import PAGES, matches, page_name
from tests.support.examples import examples, last_checkpoint, shown
from tests.support.server import RunningServer, running_server

WITH_EXAMPLES = [page for page in PAGES if next(examples(page), None) is not None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=page_name)
def test_the_server_answers_as_the_document_says(page: Path, server: RunningServer) -> None:
    identity = page.stem
    checkpoints: dict[str, str] = {}
    with httpx.Client() as client:
        for example in examples(page):
            response = client.post(
                server.url,
                headers={"authorization": f"Bearer {server.token(example.device, identity)}"},
                json={"query": example.operation, "variables": {"since": checkpoints.get(example.device)}},
            ).json()
            answer = shown(response)
            assert matches(example.answer, answer), (
                f"{page_name(page)}:{example.line} is answered {msgspec.json.encode(answer).decode()}"
            )
            checkpoint = last_checkpoint(answer)
            if checkpoint is not None:
                checkpoints[example.device] = checkpoint


def test_conflicts_and_the_data_model_have_examples() -> None:
    assert {"docs/conflicts.md", "docs/data-model.md"} <= {page_name(page) for page in WITH_EXAMPLES}

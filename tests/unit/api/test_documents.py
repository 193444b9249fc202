from __future__ import annotations

from typing import Any

import pytest
from graphql import validate

from syncline.api import documents
from syncline.api.documents import Documents, RequestRejected
from syncline.api.guard import DocumentLimits
from tests.unit.api.conftest import SCHEMA


def make(entries: int = 10, source_bytes: int = 10_000, **limits: int) -> Documents:
    return Documents(SCHEMA, DocumentLimits(**limits), entries=entries, source_bytes=source_bytes)


def test_a_document_is_parsed_and_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[Any] = []

    def counting(*args: Any, **options: Any) -> Any:
        validated.append(args)
        return validate(*args, **options)

    monkeypatch.setattr(documents, "validate", counting)
    kept = make()
    assert kept.get("{viewer{identityId}}") is kept.get("{viewer{identityId}}")
    assert len(validated) == 1


@pytest.mark.parametrize(("entries", "source_bytes"), [(3, 10_000), (100, 100)])
def test_the_cache_is_bounded_in_number_and_in_size(entries: int, source_bytes: int) -> None:
    kept = make(entries, source_bytes)
    for number in range(50):
        kept.get(f"query q{number} {{viewer{{identityId}}}}")
    assert len(kept._documents) <= entries
    assert kept._held_bytes <= source_bytes
    assert kept._held_bytes == sum(len(source) for source in kept._documents)


def test_the_least_recently_used_document_is_forgotten_first() -> None:
    kept = make(entries=2)
    first = kept.get("query a {viewer{identityId}}")
    kept.get("query b {viewer{identityId}}")
    kept.get("query a {viewer{identityId}}")
    kept.get("query c {viewer{identityId}}")
    assert kept.get("query a {viewer{identityId}}") is first


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_VALIDATION_FAILED"),
        ("{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ("{viewer}", "GRAPHQL_VALIDATION_FAILED"),
        ("{" + "viewer{identityId}" * 2_000 + "}", "LIMIT_EXCEEDED"),
        ("{viewer" * 1_500 + "}" * 1_500, "GRAPHQL_VALIDATION_FAILED"),
        ("query($a:" + "[" * 1_500 + "Int" + "]" * 1_500 + "){viewer{identityId}}", "GRAPHQL_VALIDATION_FAILED"),
        ("fragment f on Query {...f} {...f}", "GRAPHQL_VALIDATION_FAILED"),
        (
            'subscription{datasetChanges(dataset:{name:"a"}){__typename} identityChanges{__typename}}',
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ],
)
def test_a_bad_document_is_refused_with_a_code(source: str, code: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        make().get(source)
    for error in caught.value.errors:
        assert error["extensions"]["code"] == code  # type: ignore[index]
        assert error["message"]


def test_an_operation_is_found_by_its_name_or_alone() -> None:
    document = make().get("query a {viewer{identityId}} query b {viewer{deviceId}}")
    operation = document.operation("b")
    assert operation.name == "b"
    assert operation.node.name is not None
    assert operation.node.name.value == "b"
    for name in (None, "c", ""):
        with pytest.raises(RequestRejected):
            document.operation(name)


def test_documents_that_differ_in_white_space_and_comments_have_one_fingerprint() -> None:
    kept = make()
    one = kept.get("{viewer{identityId}}")
    other = kept.get("# who?\n{\n  viewer {\n    identityId\n  }\n}")
    different = kept.get("{viewer{deviceId}}")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != different.fingerprint


def test_variables_that_only_choose_events_do_not_shape_their_payload() -> None:
    document = make().get(
        """subscription($name: String, $since: Checkpoint, $values: Boolean!, $previous: Boolean!) {
             datasetChanges(dataset: {name: $name}, since: $since) {
               ... on Commit { version previous @include(if: $previous) records { ...r } } } }
           fragment r on Record { key value @include(if: $values) }"""
    )
    assert document.operation(None).payload_variables == ["previous", "values"]

"""The API as a client sees it, field by field; transports are tested elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.ports import Synced
from tests.support.world import put, viewer
from tests.unit.api.conftest import Api

SYNC = """
mutation ($input: SyncInput!) {
  sync(input: $input) {
    __typename
    ... on SyncApplied {
      dataset { name version recordCount sizeBytes } checkpoint hasMore
      results { key status code details record { value version deleted } }
      records { key value deleted version updatedBy { identityId deviceId } deviceTime }
    }
    ... on SyncConflicted {
      checkpoint hasMore conflicts { key current { value version } proposed proposedDeleted } records { key }
    }
    ... on ResyncRequired { datasetId reason }
  }
}"""


async def sync(api: Api, *changes: dict[str, Any], by: Any = None, **fields: Any) -> Any:
    api.world._mutations += 1
    given = {"dataset": {"name": "notes"}, "mutationId": f"sync {api.world._mutations}", "changes": list(changes)}
    return (await api.data(SYNC, by, input={**given, **fields}))["sync"]


async def test_push_and_pull_in_one_step(api: Api) -> None:
    answer = await sync(api, {"put": {"key": "a", "value": {"x": [1, None, "é"]}}}, since="start")
    assert answer["__typename"] == "SyncApplied"
    assert answer["dataset"] == {"name": "notes", "version": 1, "recordCount": 1, "sizeBytes": 1 + 19}
    assert answer["results"][0]["status"] == "APPLIED"
    assert answer["records"] == [
        {
            "key": "a",
            "value": {"x": [1, None, "é"]},
            "deleted": False,
            "version": 1,
            "updatedBy": {"identityId": "alice", "deviceId": "phone"},
            "deviceTime": None,
        }
    ]
    assert not answer["hasMore"]


async def test_every_kind_of_change_does_what_it_says(api: Api) -> None:
    answer = await sync(
        api,
        {"put": {"key": "put", "value": None, "deviceTime": "2026-01-31T12:00:00+02:00"}},
        {"merge": {"key": "merge", "patch": {"a": 1, "b": None}}},
        {"increment": {"key": "increment", "by": 2.5}},
        {"max": {"key": "max", "value": "b"}},
        {"min": {"key": "min", "value": 3}},
        {"addToSet": {"key": "set", "members": [1, 2, 1]}},
        {"removeFromSet": {"key": "set", "members": [1]}},
        {"put": {"key": "gone", "value": 1}},
        {"remove": {"key": "gone"}},
        since="start",
    )
    assert {record["key"]: record["value"] for record in answer["records"] if not record["deleted"]} == {
        "put": None,
        "merge": {"a": 1},
        "increment": 2.5,
        "max": "b",
        "min": 3,
        "set": [2],
    }
    by_key = {record["key"]: record for record in answer["records"]}
    assert by_key["gone"]["deleted"]
    assert by_key["put"]["deviceTime"] == "2026-01-31T10:00:00Z"
    assert answer["dataset"]["version"] == 1


async def test_without_since_nothing_is_pulled_and_nothing_counts_as_applied(api: Api) -> None:
    await sync(api, {"put": {"key": "a", "value": 1}})
    answer = await sync(api, {"put": {"key": "b", "value": 1}})
    assert answer["records"] == []
    assert answer["hasMore"]
    pulled = await api.data(
        """query ($since: Checkpoint!) { changes(dataset: {name: "notes"}, since: $since) {
             ... on ChangePage { records { key } hasMore } } }""",
        since=answer["checkpoint"],
    )
    assert [record["key"] for record in pulled["changes"]["records"]] == ["a", "b"]


async def test_a_conflict_is_an_answer_that_holds_the_current_record(api: Api) -> None:
    await sync(api, {"put": {"key": "a", "value": 1}}, by=viewer("phone"))
    for change, proposed, deleted in (
        ({"put": {"key": "a", "value": 2, "base": {"absent": True}}}, 2, False),
        ({"remove": {"key": "a"}}, None, True),
        ({"merge": {"key": "a", "patch": {"x": 1}, "base": {"value": {"json": 7}}}}, {"x": 1}, False),
    ):
        answer = await sync(api, change, {"put": {"key": "other", "value": 1}}, by=viewer("laptop"))
        assert answer["__typename"] == "SyncConflicted"
        assert answer["conflicts"] == [
            {"key": "a", "current": {"value": 1, "version": 1}, "proposed": proposed, "proposedDeleted": deleted}
        ]
    assert (await api.world.head()).version == 1


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else []


async def test_in_atomic_mode_a_malformed_change_is_named_and_nothing_is_applied(api: Api) -> None:
    changes = [{"put": {"key": "a", "value": 1}}, {"max": {"key": "b", "value": "\u0000"}}]
    given = {"dataset": {"name": "notes"}, "mutationId": "m", "changes": changes}
    error = await api.error(SYNC, input=given)
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert error["extensions"]["field"] == "changes[1].max.value"
    assert await api.data('{dataset(dataset:{name:"notes"}){version}}') == {"dataset": None}


async def test_in_per_change_mode_a_malformed_change_wedges_nothing(api: Api) -> None:
    changes: list[Any] = [
        {"addToSet": {"key": "set", "members": [1, "\u0000"]}},
        {"put": {"key": "deep", "value": nested(65)}},
        {"put": {"key": "good", "value": 1}},
        {"merge": {"key": "b", "patch": {}, "base": {"absent": False}}},
    ]
    for _ in range(2):
        answer = await sync(api, *changes, mutationId="m", atomic=False)
        assert [(result["key"], result["status"], result["code"]) for result in answer["results"]] == [
            ("set", "REJECTED", "INVALID_INPUT"),
            ("deep", "REJECTED", "INVALID_INPUT"),
            ("good", "APPLIED", None),
            ("b", "REJECTED", "INVALID_INPUT"),
        ]
        assert [result["details"] and result["details"]["field"] for result in answer["results"]] == [
            "changes[0].addToSet.members[1]",
            "changes[1].put.value",
            None,
            "changes[3].merge.base",
        ]


async def test_in_per_change_mode_a_bad_change_wedges_nothing(small_api: Api) -> None:
    await sync(small_api, {"put": {"key": "a", "value": 1}}, by=viewer("phone"))
    answer = await sync(
        small_api,
        {"put": {"key": "a", "value": 2}},
        {"put": {"key": "big", "value": "x" * 300}},
        {"increment": {"key": "n", "by": 1}},
        {"put": {"key": "", "value": 1}},
        by=viewer("laptop"),
        atomic=False,
    )
    assert [(result["status"], result["code"]) for result in answer["results"]] == [
        ("CONFLICT", None),
        ("REJECTED", "LIMIT_EXCEEDED"),
        ("APPLIED", None),
        ("REJECTED", "INVALID_INPUT"),
    ]
    assert answer["results"][0]["record"]["value"] == 1
    details = answer["results"][1]["details"]
    assert (details["limit"], details["maximum"], details["key"]) == ("datasetBytes", 200, "big")


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ([{"put": {"key": "k" * 11, "value": 1}}], {"limit": "keyBytes", "maximum": 10, "actual": 11}),
        ([{"put": {"key": "k", "value": "x" * 199}}], {"limit": "datasetBytes", "maximum": 200, "actual": 202}),
        (
            [{"put": {"key": f"k{n}", "value": 1}} for n in range(4)],
            {"limit": "records", "maximum": 3, "actual": 4},
        ),
        (
            [{"put": {"key": f"k{n}", "value": 1}} for n in range(5)],
            {"limit": "changesPerSync", "maximum": 4, "actual": 5},
        ),
    ],
)
async def test_a_limit_is_an_answer_and_nothing_is_half_applied(
    small_api: Api, changes: list[dict[str, Any]], facts: dict[str, Any]
) -> None:
    given = {"dataset": {"name": "notes"}, "mutationId": "m", "changes": changes}
    error = await small_api.error(SYNC, input=given)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert facts.items() <= error["extensions"].items()
    assert await small_api.data('{dataset(dataset:{name:"notes"}){version}}') == {"dataset": None}


async def test_one_dataset_too_many_is_refused(small_api: Api) -> None:
    create = "mutation ($name: String!) { createDataset(input: {name: $name}) { name conflictPolicy } }"
    await small_api.data(create, name="a")
    await small_api.data(create, name="b")
    error = await small_api.error(create, name="c")
    assert error["extensions"] == {
        "code": "LIMIT_EXCEEDED",
        "retryable": False,
        "limit": "datasets",
        "maximum": 2,
        "actual": 3,
    }


async def test_datasets_are_created_updated_listed_and_deleted(api: Api) -> None:
    created = await api.data(
        'mutation { createDataset(input: {name: "a", conflictPolicy: MERGE}) { id version role ownerId } }'
    )
    assert created["createDataset"]["version"] == 0
    assert created["createDataset"]["role"] == "OWNER"
    error = await api.error('mutation { createDataset(input: {name: "a"}) { id } }')
    assert error["extensions"]["code"] == "DATASET_EXISTS"
    updated = await api.data(
        'mutation { updateDataset(input: {dataset: {name: "a"}, conflictPolicy: REJECT}) { conflictPolicy version } }'
    )
    assert updated == {"updateDataset": {"conflictPolicy": "REJECT", "version": 0}}
    for name in ("b", "c"):
        await api.data(f'mutation {{ createDataset(input: {{name: "{name}"}}) {{ id }} }}')
    listing = """query ($after: String) {
        datasets(first: 2, after: $after) { nodes { name } pageInfo { hasNextPage endCursor } } }"""
    first = (await api.data(listing))["datasets"]
    assert [node["name"] for node in first["nodes"]] == ["a", "b"]
    second = (await api.data(listing, after=first["pageInfo"]["endCursor"]))["datasets"]
    assert [node["name"] for node in second["nodes"]] == ["c"]
    assert not second["pageInfo"]["hasNextPage"]
    assert (await api.data("{datasets(scope: SHARED){nodes{name}}}"))["datasets"]["nodes"] == []
    await api.data('mutation { deleteDataset(dataset: {name: "a"}) { datasetId name } }')
    assert await api.data('{dataset(dataset:{name:"a"}){id}}') == {"dataset": None}


async def test_records_are_listed_by_key_page_by_page(api: Api) -> None:
    await sync(
        api, *({"put": {"key": key, "value": 1}} for key in ("b", "a", "ä", "a1", "c")), {"remove": {"key": "c"}}
    )
    listing = """query ($after: String, $prefix: String) { dataset(dataset: {name: "notes"}) {
        records(first: 2, after: $after, prefix: $prefix) { nodes { key } pageInfo { hasNextPage endCursor } } } }"""
    keys: list[str] = []
    after = None
    while True:
        page = (await api.data(listing, after=after))["dataset"]["records"]
        keys += [node["key"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert keys == ["a", "a1", "b", "ä"]
    assert [n["key"] for n in (await api.data(listing, prefix="a"))["dataset"]["records"]["nodes"]] == ["a", "a1"]
    record = await api.data('{dataset(dataset:{name:"notes"}){record(key:"c"){deleted value}}}')
    assert record == {"dataset": {"record": {"deleted": True, "value": None}}}


async def test_nobody_sees_what_is_not_theirs(api: Api) -> None:
    synced = await api.world.sync(put("a", 1))
    assert isinstance(synced, Synced)
    mallory = viewer(identity="mallory")
    assert await api.data('{dataset(dataset:{name:"notes"}){id}}', mallory) == {"dataset": None}
    by_id = f'{{dataset(dataset:{{id:"{synced.head.id}"}}){{id}}}}'
    assert (await api.error(by_id, mallory))["extensions"]["code"] == "DATASET_NOT_FOUND"
    given = {"dataset": {"id": synced.head.id}, "mutationId": "m", "changes": [{"put": {"key": "a", "value": 2}}]}
    assert (await api.error(SYNC, mallory, input=given))["extensions"]["code"] == "DATASET_NOT_FOUND"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{dataset(dataset:{name:"no good"}){id}}', "INVALID_INPUT"),
        ('{dataset(dataset:{id:"x"}){id}}', "INVALID_INPUT"),
        ('{changes(dataset:{name:"a"},since:"nonsense"){__typename}}', "INVALID_CHECKPOINT"),
        ('{changes(dataset:{name:"a"},since:"start",first:0){__typename}}', "INVALID_INPUT"),
        ('{changes(dataset:{name:"a"},since:"start",first:501){__typename}}', "INVALID_INPUT"),
        ('{datasets(after:"%"){nodes{id}}}', "INVALID_CURSOR"),
        ('mutation{sync(input:{dataset:{name:"a"},mutationId:""}){__typename}}', "INVALID_INPUT"),
        (
            'mutation{sync(input:{dataset:{name:"a"},mutationId:"m",changes:[{put:{key:"a"}}]}){__typename}}',
            "INVALID_INPUT",
        ),
        (
            'mutation{sync(input:{dataset:{name:"a"},mutationId:"m",changes:[{put:{key:"a",value:1e999}}]}){__typename}}',
            "INVALID_INPUT",
        ),
        (
            'mutation{sync(input:{dataset:{name:"a"},mutationId:"m",changes:[{put:{key:"a",value:"\\u0000"}}]}){__typename}}',
            "INVALID_INPUT",
        ),
        (
            'mutation{sync(input:{dataset:{name:"a"},mutationId:"m",changes:[{remove:{key:"a",base:{any:false}}}]})'
            "{__typename}}",
            "INVALID_INPUT",
        ),
        (
            'mutation{sync(input:{dataset:{name:"a"},mutationId:"m",changes:[{remove:{key:"a",deviceTime:"noon"}}]})'
            "{__typename}}",
            "INVALID_INPUT",
        ),
    ],
)
async def test_bad_input_is_a_typed_error(api: Api, query: str, code: str) -> None:
    try:
        error = await api.error(query)
    except Exception as rejected:
        [error, *_] = rejected.errors  # type: ignore[attr-defined]
    assert error["extensions"]["code"] in (code, "GRAPHQL_VALIDATION_FAILED"), error
    assert not error["extensions"]["retryable"]
    assert error["message"]


async def test_without_a_credential_nothing_is_told(api: Api) -> None:
    for query in ("{viewer{identityId}}", '{dataset(dataset:{name:"a"}){id}}', "{datasets{nodes{id}}}"):
        answer = await api(query, anonymous=True)
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await api("{__typename}", anonymous=True) == {"data": {"__typename": "Query"}}


async def test_a_value_comes_back_byte_for_byte(api: Api) -> None:
    source = '{"b":1.0,"a":[1E5,12345678901234567890,-0.0,"\\u00e9\\/"],"c":{}}'
    import msgspec

    await sync(api, {"put": {"key": "a", "value": msgspec.json.decode(source)}})
    response = await api.engine.prepare('{dataset(dataset:{name:"notes"}){record(key:"a"){value}}}').execute(
        {}, api.context()
    )
    assert b'{"value":{"b":1.0,"a":[100000.0,12345678901234567890,-0.0,"\xc3\xa9/"],"c":{}}}' in response.body


async def test_an_unexpected_fault_is_masked_and_logged_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.world.store, "usage", broken)
    error = await api.error("{viewer{usage{datasets}}}")
    assert error["extensions"] == {"code": "INTERNAL", "retryable": True, "requestId": "request"}
    assert "secret" not in error["message"]

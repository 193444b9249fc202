"""Sharing as a client sees it: who may do what, and what each is answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncline.core.ids import DeviceId, identity_id, tenant
from syncline.core.model import Viewer
from tests.support.world import put, viewer
from tests.unit.api.conftest import Api

OWNER = viewer()
BOB = viewer("tablet", "bob")
CAROL = viewer("desk", "carol")

SHARE = """mutation($d: DatasetRef!, $who: ID!, $role: Role!) {
  shareDataset(dataset: $d, identityId: $who, role: $role) { identityId role since } }"""
CHANGE = """mutation($d: DatasetRef!, $who: ID!, $role: Role!) {
  changeRole(dataset: $d, identityId: $who, role: $role) { identityId role } }"""
REMOVE = "mutation($d: DatasetRef!, $who: ID!) { removeMember(dataset: $d, identityId: $who) { datasetId identityId } }"
LEAVE = "mutation($d: DatasetRef!) { leaveDataset(dataset: $d) { datasetId } }"
TRANSFER = "mutation($d: DatasetRef!, $who: ID!) { transferOwnership(dataset: $d, identityId: $who) { ownerId role } }"
INVITE = """mutation($input: CreateInvitationInput!) {
  createInvitation(input: $input) { code invitation { id role usesLeft expiresAt } } }"""
ACCEPT = "mutation($code: String!) { acceptInvitation(code: $code) { id name role ownerId } }"
REVOKE = """mutation($d: DatasetRef!, $id: ID!) {
  revokeInvitation(dataset: $d, invitationId: $id) { datasetId invitationId } }"""
DATASET = """query($d: DatasetRef!) { dataset(dataset: $d) {
  name role ownerId recordCount records { nodes { key } }
  members { nodes { identityId role } } invitations { usesLeft } } }"""
LIST = "query($scope: DatasetScope) { datasets(scope: $scope) { nodes { name role ownerId } } }"
UPDATE = """mutation($d: DatasetRef!) {
  updateDataset(input: {dataset: $d, conflictPolicy: MERGE}) { conflictPolicy } }"""
DELETE = "mutation($d: DatasetRef!) { deleteDataset(dataset: $d) { datasetId } }"
SYNC = """mutation($input: SyncInput!) { sync(input: $input) { __typename
  ... on SyncApplied { dataset { role version ownerId } results { status code details } } } }"""


@pytest.fixture
async def notes(api: Api) -> dict[str, str]:
    """Alice's notes, as others name them."""
    await api.world.sync(put("a", 1))
    return {"id": (await api.world.head()).id}


async def share(api: Api, dataset: dict[str, str], who: str = "bob", role: str = "EDITOR") -> Any:
    return (await api.data(SHARE, OWNER, d=dataset, who=who, role=role))["shareDataset"]


async def code_of(api: Api, query: str, by: Viewer | None = None, **variables: Any) -> Any:
    return (await api.error(query, by, **variables))["extensions"]["code"]


async def write(api: Api, by: Viewer, dataset: dict[str, str], *, atomic: bool = True, name: str = "w") -> Any:
    change = {"put": {"key": "b", "value": 2, "base": {"any": True}}}
    given = {"dataset": dataset, "mutationId": name, "changes": [change], "atomic": atomic}
    return await api(SYNC, by, input=given)


async def test_a_member_finds_reads_and_writes_the_dataset(api: Api, notes: dict[str, str]) -> None:
    assert (await share(api, notes))["role"] == "EDITOR"
    found = (await api.data(DATASET, BOB, d=notes))["dataset"]
    assert (found["role"], found["ownerId"], found["recordCount"]) == ("EDITOR", "alice", 1)
    assert found["records"]["nodes"] == [{"key": "a"}]
    assert found["members"]["nodes"] == [
        {"identityId": "alice", "role": "OWNER"},
        {"identityId": "bob", "role": "EDITOR"},
    ]
    applied = (await write(api, BOB, notes))["data"]["sync"]
    assert applied["dataset"] == {"role": "EDITOR", "version": 2, "ownerId": "alice"}


async def test_a_stranger_finds_nothing(api: Api, notes: dict[str, str]) -> None:
    await share(api, notes)
    for query, more in (
        (DATASET, {}),
        (REMOVE, {"who": "bob"}),
        (LEAVE, {}),
        (TRANSFER, {"who": "bob"}),
        (SHARE, {"who": "carol", "role": "EDITOR"}),
        (UPDATE, {}),
        (DELETE, {}),
        (REVOKE, {"id": "0" * 32}),
    ):
        assert await code_of(api, query, CAROL, d=notes, **more) == "DATASET_NOT_FOUND", query
    assert (await write(api, CAROL, notes))["errors"][0]["extensions"]["code"] == "DATASET_NOT_FOUND"
    assert (await api.data(LIST, CAROL, scope="ALL"))["datasets"]["nodes"] == []
    assert (await api.data(DATASET, CAROL, d={"name": "notes"}))["dataset"] is None


@pytest.mark.parametrize("role", ["EDITOR", "VIEWER"])
async def test_what_is_for_the_owner_is_forbidden_to_members(api: Api, notes: dict[str, str], role: str) -> None:
    await share(api, notes, role=role)
    for query, more in (
        (REMOVE, {"who": "bob"}),
        (TRANSFER, {"who": "bob"}),
        (SHARE, {"who": "carol", "role": "EDITOR"}),
        (CHANGE, {"who": "bob", "role": "EDITOR"}),
        (UPDATE, {}),
        (DELETE, {}),
        (REVOKE, {"id": "0" * 32}),
    ):
        assert await code_of(api, query, BOB, d=notes, **more) == "FORBIDDEN", query
    assert await code_of(api, INVITE, BOB, input={"dataset": notes, "role": "EDITOR"}) == "FORBIDDEN"
    assert (await api.data(DATASET, BOB, d=notes))["dataset"]["invitations"] == []


async def test_a_viewer_reads_and_may_not_write(api: Api, notes: dict[str, str]) -> None:
    await share(api, notes, role="VIEWER")
    assert (await api.data(DATASET, BOB, d=notes))["dataset"]["role"] == "VIEWER"
    refused = (await write(api, BOB, notes))["errors"][0]["extensions"]
    assert (refused["code"], refused["role"], refused["retryable"]) == ("FORBIDDEN", "VIEWER", False)
    applied = (await write(api, BOB, notes, atomic=False, name="each"))["data"]["sync"]
    [result] = applied["results"]
    assert (result["status"], result["code"]) == ("REJECTED", "FORBIDDEN")
    assert applied["dataset"]["version"] == 1


async def test_what_an_editor_wrote_before_it_became_a_viewer_is_answered_again(
    api: Api, notes: dict[str, str]
) -> None:
    await share(api, notes)
    first = await write(api, BOB, notes)
    await api.data(CHANGE, OWNER, d=notes, who="bob", role="VIEWER")
    again = await write(api, BOB, notes)
    assert again["data"]["sync"]["results"] == first["data"]["sync"]["results"]
    assert (await write(api, BOB, notes, name="new"))["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_datasets_are_listed_by_scope(api: Api, notes: dict[str, str]) -> None:
    await share(api, notes)
    await api.world.sync(put("x", 1), by=BOB)
    own, shared = (
        {"name": "notes", "role": "OWNER", "ownerId": "bob"},
        {"name": "notes", "role": "EDITOR", "ownerId": "alice"},
    )
    for scope, expected in (("OWNED", [own]), ("SHARED", [shared]), ("ALL", [own, shared])):
        nodes = (await api.data(LIST, BOB, scope=scope))["datasets"]["nodes"]
        assert sorted(nodes, key=str) == sorted(expected, key=str)


async def test_pages_of_datasets_of_one_name_are_whole(api: Api, notes: dict[str, str]) -> None:
    await share(api, notes)
    await api.world.sync(put("x", 1), by=BOB)
    query = """query($after: String) { datasets(first: 1, after: $after) {
      nodes { ownerId } pageInfo { hasNextPage endCursor } } }"""
    first = (await api.data(query, BOB))["datasets"]
    second = (await api.data(query, BOB, after=first["pageInfo"]["endCursor"]))["datasets"]
    assert {node["ownerId"] for page in (first, second) for node in page["nodes"]} == {"alice", "bob"}
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert await code_of(api, query, BOB, after="bm90ZXM") == "INVALID_CURSOR"


async def test_sharing_removing_and_leaving_can_be_retried(api: Api, notes: dict[str, str]) -> None:
    first, again = await share(api, notes), await share(api, notes)
    assert first == again
    for _ in range(2):
        assert (await api.data(REMOVE, OWNER, d=notes, who="bob"))["removeMember"]["identityId"] == "bob"
    await share(api, notes)
    assert (await api.data(LEAVE, BOB, d=notes))["leaveDataset"] == {"datasetId": notes["id"]}
    assert await code_of(api, LEAVE, BOB, d=notes) == "DATASET_NOT_FOUND"
    assert await code_of(api, CHANGE, OWNER, d=notes, who="bob", role="VIEWER") == "MEMBER_NOT_FOUND"


async def test_there_is_always_one_owner(api: Api, notes: dict[str, str]) -> None:
    assert await code_of(api, LEAVE, OWNER, d=notes) == "FORBIDDEN"
    for query, more in ((SHARE, {"role": "VIEWER"}), (CHANGE, {"role": "VIEWER"}), (REMOVE, {})):
        assert await code_of(api, query, OWNER, d=notes, who="alice", **more) == "INVALID_INPUT"
    assert await code_of(api, SHARE, OWNER, d=notes, who="bob", role="OWNER") == "INVALID_INPUT"
    assert await code_of(api, TRANSFER, OWNER, d=notes, who="bob") == "MEMBER_NOT_FOUND"


async def test_ownership_is_handed_on(api: Api, notes: dict[str, str]) -> None:
    await share(api, notes)
    answer = (await api.data(TRANSFER, OWNER, d=notes, who="bob"))["transferOwnership"]
    assert answer == {"ownerId": "bob", "role": "EDITOR"}
    assert (await api.data(DATASET, BOB, d={"name": "notes"}))["dataset"]["role"] == "OWNER"
    usage = "query { viewer { usage { datasets } } }"
    assert (await api.data(usage, BOB))["viewer"]["usage"]["datasets"] == 1
    assert (await api.data(usage, OWNER))["viewer"]["usage"]["datasets"] == 0
    assert (await write(api, OWNER, notes))["data"]["sync"]["dataset"]["version"] == 2


async def test_nothing_is_handed_to_who_has_one_of_that_name(api: Api, notes: dict[str, str]) -> None:
    await share(api, notes)
    await api.world.sync(put("x", 1), by=BOB)
    assert await code_of(api, TRANSFER, OWNER, d=notes, who="bob") == "DATASET_EXISTS"


async def test_an_invitation_lets_in_as_many_as_it_says(api: Api, notes: dict[str, str]) -> None:
    made = await api.data(INVITE, OWNER, input={"dataset": {"name": "notes"}, "role": "VIEWER", "uses": 2})
    code = made["createInvitation"]["code"]
    assert made["createInvitation"]["invitation"]["usesLeft"] == 2
    for _ in range(3):
        accepted = (await api.data(ACCEPT, BOB, code=code))["acceptInvitation"]
        assert accepted == {"id": notes["id"], "name": "notes", "role": "VIEWER", "ownerId": "alice"}
    assert (await api.data(DATASET, OWNER, d=notes))["dataset"]["invitations"] == [{"usesLeft": 1}]
    assert (await api.data(ACCEPT, OWNER, code=code))["acceptInvitation"]["role"] == "OWNER"
    await api.data(ACCEPT, CAROL, code=code)
    assert await code_of(api, ACCEPT, viewer("x", "dave"), code=code) == "INVITATION_NOT_FOUND"
    assert (await api.data(ACCEPT, BOB, code=code))["acceptInvitation"]["role"] == "VIEWER"


async def test_an_invitation_that_is_revoked_is_worth_nothing(api: Api, notes: dict[str, str]) -> None:
    made = (await api.data(INVITE, OWNER, input={"dataset": notes, "role": "EDITOR"}))["createInvitation"]
    for _ in range(2):
        await api.data(REVOKE, OWNER, d=notes, id=made["invitation"]["id"])
    assert await code_of(api, ACCEPT, BOB, code=made["code"]) == "INVITATION_NOT_FOUND"


@pytest.mark.parametrize("code", ["", "nonsense", "é" * 10, "x" * 10_000])
async def test_a_code_that_is_none_is_not_found(api: Api, code: str) -> None:
    assert await code_of(api, ACCEPT, BOB, code=code) == "INVITATION_NOT_FOUND"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"uses": 0}, "uses"),
        ({"uses": 1_001}, "uses"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": (datetime.now(UTC) + timedelta(days=366)).isoformat()}, "expiresAt"),
        ({"role": "OWNER"}, "role"),
    ],
)
async def test_an_invitation_that_makes_no_sense_is_refused(
    api: Api, notes: dict[str, str], given: dict[str, Any], field: str
) -> None:
    error = await api.error(INVITE, OWNER, input={"dataset": notes, "role": "EDITOR", **given})
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_INPUT", field)


async def test_identities_of_another_tenant_never_meet(api: Api) -> None:
    """The same names, twice: each sees its own tenant's, and shows no sign that there is another."""
    acme, other = tenant("acme"), tenant("other")
    alice, twin = (Viewer(identity=identity_id("alice", each), device=DeviceId("phone")) for each in (acme, other))
    bob = Viewer(identity=identity_id("bob", other), device=None)
    await api.world.sync(put("a", 1), by=alice)
    notes = {"id": (await api.world.head(by=alice)).id}
    assert (await api.data(DATASET, alice, d=notes))["dataset"]["ownerId"] == "alice"
    assert await code_of(api, DATASET, twin, d=notes) == "DATASET_NOT_FOUND"
    await api.data(SHARE, alice, d=notes, who="bob", role="EDITOR")
    assert await code_of(api, DATASET, bob, d=notes) == "DATASET_NOT_FOUND"
    made = await api.data(INVITE, alice, input={"dataset": notes, "role": "EDITOR"})
    assert await code_of(api, ACCEPT, bob, code=made["createInvitation"]["code"]) == "INVITATION_NOT_FOUND"
    assert (await api.data("{ viewer { identityId } }", twin))["viewer"]["identityId"] == "alice"
    members = (await api.data(DATASET, alice, d=notes))["dataset"]["members"]["nodes"]
    assert [member["identityId"] for member in members] == ["alice", "bob"]

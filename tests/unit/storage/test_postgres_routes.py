"""Which lane the syncs of a dataset go to."""

from __future__ import annotations

from collections.abc import Iterable

from syncline.core.ids import DatasetId, IdentityId
from syncline.core.model import DatasetRef, Viewer
from syncline.storage.postgres_syncs import MAX_ROUTES, Routes
from tests.support.builders import a_dataset_id, a_request, a_viewer, by_id, named

LANES = 2


def lane_of(routes: Routes, viewer: Viewer, ref: DatasetRef) -> int:
    return routes.lane_of(a_request(viewer=viewer, ref=ref))


def two_lanes_apart(routes: Routes) -> tuple[Viewer, Viewer]:
    """Two identities whose own datasets are in different lanes."""
    viewers: Iterable[Viewer] = (a_viewer(f"viewer-{n}") for n in range(100))
    by_lane = {lane_of(routes, viewer, named()): viewer for viewer in viewers}
    return by_lane[0], by_lane[1]


def found(routes: Routes, viewer: Viewer, dataset: DatasetId, owner: IdentityId) -> int:
    return routes.found(a_request(viewer=viewer, ref=by_id(dataset)), owner)


def test_a_members_syncs_follow_the_owners_once_it_is_known_who_that_is() -> None:
    routes = Routes(LANES)
    owner, member = two_lanes_apart(routes)
    dataset = a_dataset_id()
    lane = lane_of(routes, owner, named())
    assert lane_of(routes, member, by_id(dataset)) != lane

    assert found(routes, member, dataset, owner.identity) == lane

    assert {lane_of(routes, viewer, by_id(dataset)) for viewer in (owner, member)} == {lane}
    # A name is the sender's own.
    assert lane_of(routes, member, named()) != lane


def test_a_dataset_that_changed_hands_is_found_again() -> None:
    routes = Routes(LANES)
    owner, member = two_lanes_apart(routes)
    dataset = a_dataset_id()
    found(routes, member, dataset, owner.identity)

    lane = found(routes, member, dataset, member.identity)

    assert lane == lane_of(routes, member, named())
    assert {lane_of(routes, viewer, by_id(dataset)) for viewer in (owner, member)} == {lane}


def test_so_many_are_remembered_the_latest_met() -> None:
    routes = Routes(LANES)
    owner, member = two_lanes_apart(routes)
    lane = lane_of(routes, owner, named())
    ids = [DatasetId(f"{n:032x}") for n in range(MAX_ROUTES + 1)]
    for id_ in ids[:-1]:
        found(routes, member, id_, owner.identity)
    found(routes, member, ids[0], owner.identity)
    found(routes, member, ids[-1], owner.identity)

    assert lane_of(routes, member, by_id(ids[1])) != lane
    assert all(lane_of(routes, member, by_id(id_)) == lane for id_ in (ids[0], ids[2], ids[-1]))


def test_an_owners_own_datasets_need_not_be_remembered() -> None:
    routes = Routes(LANES)
    owner, member = two_lanes_apart(routes)
    kept = a_dataset_id()
    found(routes, member, kept, owner.identity)
    for _ in range(MAX_ROUTES):
        found(routes, owner, a_dataset_id(), owner.identity)

    assert lane_of(routes, member, by_id(kept)) == lane_of(routes, owner, named())

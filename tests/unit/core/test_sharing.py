"""What an act of sharing changes, by who does it and what is so already."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.core.ids import DatasetId, IdentityId, identity_id, tenant
from syncline.core.limits import Limits
from syncline.core.model import Role, Viewer
from syncline.core.sharing import (
    AcceptInvitation,
    Act,
    ChangeRole,
    Invitation,
    Invite,
    Leave,
    Member,
    RemoveMember,
    RevokeInvitation,
    Share,
    SharingState,
    TransferOwnership,
    check_owned,
    decide,
    listed,
)
from syncline.errors import (
    DatasetExists,
    DatasetIsDeleted,
    DatasetNotFound,
    Forbidden,
    InvalidInput,
    InvitationNotFound,
    LimitExceeded,
    MemberNotFound,
)
from tests.support.builders import ALICE, BOB, NOW, by_id
from tests.support.core_builders import head_of
from tests.support.sharing import CAROL, DAVE, IN_A_DAY, an_act, an_invitation, an_invitation_id, code_hash

HEAD = replace(head_of(), owner=ALICE.identity)
SINCE = NOW - timedelta(days=3)
OWNER, EDITOR, VIEWER = Role.OWNER, Role.EDITOR, Role.VIEWER
ACCEPT = AcceptInvitation(code_hash=code_hash("code"))


def a_member(viewer: Viewer, role: Role) -> Member:
    return Member(identity=viewer.identity, role=role, since=SINCE)


def kept(invite: Invite | None = None, *, uses_left: int | None = None) -> Invitation:
    """An invitation as it is once it was made."""
    invite = invite or an_invitation()
    return Invitation(
        id=invite.id,
        code_hash=invite.code_hash,
        dataset=HEAD.id,
        role=invite.role,
        uses_left=invite.uses if uses_left is None else uses_left,
        created_at=NOW,
        expires_at=invite.expires_at,
    )


def state(*members: Member, invitations: tuple[Invitation, ...] = ()) -> SharingState:
    """Alice's dataset; bob edits and carol looks, unless other members are given."""
    everyone = members or (a_member(BOB, EDITOR), a_member(CAROL, VIEWER))
    return SharingState(
        head=HEAD,
        members={member.identity: member for member in everyone},
        invitations={invitation.id: invitation for invitation in invitations},
    )


NOBODYS = SharingState(head=None, members={}, invitations={})
DELETED = replace(state(), head=replace(HEAD, deleted_at=NOW))
OWNERS_ACTS: list[Act] = [
    Share(identity=DAVE.identity, role=EDITOR),
    ChangeRole(identity=CAROL.identity, role=EDITOR),
    RemoveMember(identity=CAROL.identity),
    TransferOwnership(identity=CAROL.identity),
    an_invitation(),
    RevokeInvitation(id=an_invitation_id()),
]


def kind(act: object) -> str:
    return type(act).__name__


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [*OWNERS_ACTS, Leave()], ids=kind)
def test_a_dataset_that_is_not_there_looks_like_one_that_is_somebody_elses(act: Act) -> None:
    ref = by_id(HEAD.id)
    errors = []
    for unseen in (NOBODYS, state()):
        with pytest.raises(DatasetNotFound) as raised:
            decide(an_act(act, viewer=DAVE, ref=ref), unseen)
        errors.append((str(raised.value), raised.value.facts))

    assert errors[0] == errors[1]


@pytest.mark.parametrize("act", OWNERS_ACTS, ids=kind)
@pytest.mark.parametrize(("viewer", "role"), [(BOB, EDITOR), (CAROL, VIEWER)])
def test_members_may_not_share_what_is_not_theirs(act: Act, viewer: Viewer, role: Role) -> None:
    with pytest.raises(Forbidden) as raised:
        decide(an_act(act, viewer=viewer, ref=by_id(HEAD.id)), state())

    assert raised.value.facts["role"] == role


@pytest.mark.parametrize("act", [*OWNERS_ACTS, Leave()], ids=kind)
@pytest.mark.parametrize("viewer", [ALICE, BOB])
def test_nothing_is_changed_about_a_deleted_dataset(act: Act, viewer: Viewer) -> None:
    with pytest.raises(DatasetIsDeleted):
        decide(an_act(act, viewer=viewer), DELETED)
    with pytest.raises(DatasetNotFound):
        decide(an_act(act, viewer=DAVE), DELETED)


@pytest.mark.parametrize("role", [EDITOR, VIEWER])
def test_only_an_owner_passes_for_one(role: Role) -> None:
    check_owned(HEAD, OWNER)
    with pytest.raises(Forbidden):
        check_owned(HEAD, role)
    with pytest.raises(DatasetIsDeleted):
        check_owned(replace(HEAD, deleted_at=NOW), OWNER)


# --- members ----------------------------------------------------------------------------------------------------------


def test_a_new_member_is_put_and_the_scope_raised() -> None:
    decision = decide(an_act(Share(identity=DAVE.identity, role=VIEWER)), state())

    added = Member(identity=DAVE.identity, role=VIEWER, since=NOW)
    assert decision.head == replace(HEAD, scope=HEAD.scope + 1)
    assert (decision.role, decision.member, decision.put_members) == (OWNER, added, (added,))
    assert decision.affected == {DAVE.identity}
    assert (decision.dropped_members, decision.dropped_invitations) == ((), ())
    assert decision.put_invitation is None


@pytest.mark.parametrize("act", [Share, ChangeRole])
def test_a_members_new_role_keeps_since_when_it_is_one(act: type[Share] | type[ChangeRole]) -> None:
    decision = decide(an_act(act(identity=CAROL.identity, role=EDITOR)), state())

    assert decision.put_members == (a_member(CAROL, EDITOR),)
    assert decision.head.scope == HEAD.scope + 1


def test_who_goes_is_dropped_and_the_scope_raised() -> None:
    removed = decide(an_act(RemoveMember(identity=BOB.identity)), state())
    left = decide(an_act(Leave(), viewer=BOB), state())

    assert (removed.role, left.role) == (OWNER, None)
    for decision in (removed, left):
        assert decision.dropped_members == (BOB.identity,)
        assert decision.head.scope == HEAD.scope + 1
        assert decision.affected == {BOB.identity}


@pytest.mark.parametrize(
    "act",
    [
        Share(identity=BOB.identity, role=EDITOR),
        ChangeRole(identity=BOB.identity, role=EDITOR),
        RemoveMember(identity=DAVE.identity),
        RevokeInvitation(id=an_invitation_id()),
        TransferOwnership(identity=ALICE.identity),
    ],
    ids=kind,
)
def test_what_is_so_already_is_not_changed(act: Act) -> None:
    decision = decide(an_act(act), state())

    assert decision.head is HEAD
    assert decision.affected == frozenset()
    assert (decision.dropped_invitations, decision.put_invitation) == ((), None)
    assert decision.role is OWNER


@pytest.mark.parametrize(
    ("act", "field"),
    [
        (Share(identity=BOB.identity, role=OWNER), "role"),
        (ChangeRole(identity=BOB.identity, role=OWNER), "role"),
        (an_invitation(role=OWNER), "role"),
        (Share(identity=ALICE.identity, role=EDITOR), "identityId"),
        (ChangeRole(identity=ALICE.identity, role=EDITOR), "identityId"),
        (RemoveMember(identity=ALICE.identity), "identityId"),
    ],
    ids=kind,
)
def test_there_is_one_owner_and_it_stays_one(act: Act, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        decide(an_act(act), state())

    assert raised.value.facts["field"] == field


def test_an_owner_is_told_that_it_cannot_leave() -> None:
    with pytest.raises(Forbidden, match="transfer the ownership"):
        decide(an_act(Leave()), state())


@pytest.mark.parametrize(
    "act", [ChangeRole(identity=DAVE.identity, role=EDITOR), TransferOwnership(identity=DAVE.identity)]
)
def test_who_is_no_member_has_no_role_to_change(act: Act) -> None:
    with pytest.raises(MemberNotFound) as raised:
        decide(an_act(act), state())

    assert raised.value.facts == {"identityId": "dave", "dataset": HEAD.id}


def test_an_error_names_an_identity_as_its_own_tenant_knows_it() -> None:
    stranger = identity_id("dave", tenant("acme"))

    with pytest.raises(MemberNotFound) as raised:
        decide(an_act(ChangeRole(identity=stranger, role=EDITOR)), state())

    assert raised.value.facts["identityId"] == "dave"


@pytest.mark.parametrize(("maximum", "fits"), [(4, True), (3, False)])
def test_the_owner_counts_as_a_member(maximum: int, fits: bool) -> None:
    acts: list[tuple[Act, Viewer]] = [(Share(identity=DAVE.identity, role=VIEWER), ALICE), (ACCEPT, DAVE)]
    for act, viewer in acts:
        request = an_act(act, viewer=viewer, limits=Limits(members=maximum))
        before = state(invitations=(kept(),))
        if fits:
            assert decide(request, before).affected == {DAVE.identity}
            continue
        with pytest.raises(LimitExceeded) as raised:
            decide(request, before)
        assert raised.value.facts == {"limit": "members", "maximum": 3, "actual": 4}


def test_who_is_over_the_limit_already_may_be_changed_and_removed() -> None:
    limits = Limits(members=1)

    assert decide(an_act(ChangeRole(identity=BOB.identity, role=VIEWER), limits=limits), state()).put_members
    assert decide(an_act(RemoveMember(identity=BOB.identity), limits=limits), state()).dropped_members


# --- owners -----------------------------------------------------------------------------------------------------------


def test_owner_and_member_change_places() -> None:
    decision = decide(an_act(TransferOwnership(identity=CAROL.identity)), state())

    assert decision.head == replace(HEAD, owner=CAROL.identity, scope=HEAD.scope + 1)
    assert decision.role is EDITOR
    assert decision.put_members == (Member(identity=ALICE.identity, role=EDITOR, since=NOW),)
    assert decision.dropped_members == (CAROL.identity,)
    assert decision.member == Member(identity=CAROL.identity, role=OWNER, since=SINCE)
    assert decision.affected == {ALICE.identity, CAROL.identity}


def test_a_new_owner_needs_room_for_the_dataset_and_its_name() -> None:
    act = an_act(TransferOwnership(identity=BOB.identity), limits=Limits(datasets=5))

    assert decide(act, replace(state(), receiver_owns=4)).affected
    with pytest.raises(LimitExceeded) as over:
        decide(act, replace(state(), receiver_owns=5))
    with pytest.raises(DatasetExists) as namesake:
        decide(act, replace(state(), receiver_has_name=DatasetId("f" * 32)))

    assert over.value.facts == {"limit": "datasets", "maximum": 5, "actual": 6}
    assert namesake.value.facts == {"name": HEAD.name, "datasetId": "f" * 32}


# --- invitations ------------------------------------------------------------------------------------------------------


def test_an_invitation_changes_nobodys_standing() -> None:
    invite = an_invitation(uses=3, role=EDITOR)

    decision = decide(an_act(invite), state())

    assert decision.head is HEAD
    assert decision.put_invitation == decision.invitation == kept(invite)
    assert decision.affected == frozenset()


def test_expired_invitations_make_room_and_are_dropped() -> None:
    old, good = kept(an_invitation("old", expires_at=NOW)), kept(an_invitation("good"))
    before = state(invitations=(old, good))

    decision = decide(an_act(an_invitation("new"), limits=Limits(invitations=2)), before)

    assert decision.dropped_invitations == (old.id,)
    with pytest.raises(LimitExceeded) as raised:
        decide(an_act(an_invitation("new"), limits=Limits(invitations=1)), before)
    assert raised.value.facts == {"limit": "invitations", "maximum": 1, "actual": 2}


def test_a_revoked_invitation_is_dropped() -> None:
    invitation = kept()

    decision = decide(an_act(RevokeInvitation(id=invitation.id)), state(invitations=(invitation,)))

    assert decision.dropped_invitations == (invitation.id,)
    assert decision.head is HEAD


def test_who_accepts_becomes_a_member_and_one_use_is_gone() -> None:
    invitation = kept(an_invitation(uses=2, role=EDITOR))

    decision = decide(an_act(ACCEPT, viewer=DAVE, ref=None), state(invitations=(invitation,)))

    added = Member(identity=DAVE.identity, role=EDITOR, since=NOW)
    assert (decision.role, decision.put_members) == (EDITOR, (added,))
    assert decision.put_invitation == replace(invitation, uses_left=1)
    assert decision.head.scope == HEAD.scope + 1


@pytest.mark.parametrize(("viewer", "role"), [(ALICE, OWNER), (BOB, EDITOR), (CAROL, VIEWER)])
@pytest.mark.parametrize(
    "invitation",
    [kept(), kept(uses_left=0), kept(an_invitation(expires_at=NOW))],
    ids=["good", "used up", "expired"],
)
def test_who_is_in_already_stays_as_it_is_however_little_the_invitation_is_worth(
    viewer: Viewer, role: Role, invitation: Invitation
) -> None:
    decision = decide(an_act(ACCEPT, viewer=viewer, ref=None), state(invitations=(invitation,)))

    assert decision.role is role
    assert decision.head is HEAD
    assert decision.put_invitation is None
    assert decision.affected == frozenset()


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(NOBODYS, id="unknown"),
        pytest.param(state(invitations=(kept(an_invitation("other")),)), id="another code"),
        pytest.param(state(invitations=(kept(uses_left=0),)), id="used up"),
        pytest.param(state(invitations=(kept(an_invitation(expires_at=NOW)),)), id="expired"),
        pytest.param(replace(DELETED, invitations={kept().id: kept()}), id="deleted"),
    ],
)
def test_why_an_invitation_is_no_good_nobody_is_told(before: SharingState) -> None:
    with pytest.raises(InvitationNotFound) as raised:
        decide(an_act(ACCEPT, viewer=DAVE, ref=None), before)

    assert (str(raised.value), raised.value.facts) == (str(InvitationNotFound()), InvitationNotFound().facts)


def test_an_invitation_is_good_until_it_expires() -> None:
    before = state(invitations=(kept(),))
    just_before = IN_A_DAY - timedelta(microseconds=1)

    assert decide(an_act(ACCEPT, viewer=DAVE, ref=None, now=just_before), before).role is VIEWER
    with pytest.raises(InvitationNotFound):
        decide(an_act(ACCEPT, viewer=DAVE, ref=None, now=IN_A_DAY), before)


@pytest.mark.parametrize("name", ["acme", "acme2"])
def test_an_invitation_of_one_tenant_is_none_in_another(name: str) -> None:
    stranger = replace(DAVE, identity=identity_id("dave", tenant(name)))

    with pytest.raises(InvitationNotFound):
        decide(an_act(ACCEPT, viewer=stranger, ref=None), state(invitations=(kept(),)))


# --- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "after", "expected"),
    [
        (10, None, ["m", "a", "b", "z"]),
        (2, None, ["m", "a"]),
        (0, None, []),
        (-1, None, []),
        (2, "m", ["a", "b"]),
        (10, "a", ["b", "z"]),
        (10, "n", ["z"]),
        (10, "z", []),
    ],
)
def test_the_owner_is_listed_first_and_the_others_by_identity(
    first: int, after: str | None, expected: list[str]
) -> None:
    members = [Member(identity=IdentityId(name), role=VIEWER, since=SINCE) for name in "zab"]

    found = listed(IdentityId("m"), NOW, members, first=first, after=None if after is None else IdentityId(after))

    assert [member.identity for member in found] == expected
    assert all(member.role is (OWNER if member.identity == "m" else VIEWER) for member in found)

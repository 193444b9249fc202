"""Any acts of sharing in any order: what the core decides is what a table of roles says, kept apart from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from syncline.core.ids import DatasetId, IdentityId, InvitationId, identity_id, tenant
from syncline.core.limits import Limits
from syncline.core.model import DatasetRef, Role, Viewer
from syncline.core.sharing import (
    AcceptInvitation,
    Act,
    ChangeRole,
    Invite,
    Leave,
    RemoveMember,
    RevokeInvitation,
    Share,
    SharingDecision,
    SharingRequest,
    SharingState,
    TransferOwnership,
    decide,
)
from syncline.errors import SynclineError
from tests.support.core_builders import DATASET, NOW, head_of

INSIDERS = [identity_id(name) for name in ("ann", "ben", "cy", "di", "eve")]
OUTSIDER = identity_id("ann", tenant("other"))
LIMITS = Limits(members=3, invitations=2, datasets=2)
CODES = ("one", "two", "three")
NAMESAKE = DatasetId("e" * 32)

identities = st.sampled_from([*INSIDERS, OUTSIDER])
others = st.sampled_from(INSIDERS)
roles = st.sampled_from(Role)
codes = st.sampled_from(CODES)


class Refused(Exception):
    """By the table; its text is the code of the error that is due."""


def refuse(code: str) -> NoReturn:
    raise Refused(code)


class Table:
    """Who has which role, and which codes are worth what. The oracle: plain names, lists and numbers."""

    def __init__(self) -> None:
        self.roles: dict[str, str] = {INSIDERS[0]: "OWNER"}
        self.codes: dict[str, list[object]] = {}
        """Of each code: its role, the uses that are left, and the hour in which it ends."""
        self.hour = 0
        self.changes = 0

    def owner(self, who: str) -> None:
        role = self.roles.get(who) or refuse("DATASET_NOT_FOUND")
        if role != "OWNER":
            refuse("FORBIDDEN")

    def put(self, who: str, role: str | None) -> None:
        if self.roles.get(who) == role:
            return
        if who not in self.roles and len(self.roles) >= 3:
            refuse("LIMIT_EXCEEDED")
        self.changes += 1
        if role is None:
            del self.roles[who]
        else:
            self.roles[who] = role

    def share(self, by: str, who: str, role: str, *, must_be_member: bool) -> None:
        self.owner(by)
        if role == "OWNER" or who == by:
            refuse("INVALID_INPUT")
        if must_be_member and who not in self.roles:
            refuse("MEMBER_NOT_FOUND")
        self.put(who, role)

    def remove(self, by: str, who: str) -> None:
        self.owner(by)
        if who == by:
            refuse("INVALID_INPUT")
        self.put(who, None)

    def leave(self, by: str) -> None:
        role = self.roles.get(by) or refuse("DATASET_NOT_FOUND")
        if role == "OWNER":
            refuse("FORBIDDEN")
        self.put(by, None)

    def transfer(self, by: str, who: str, *, owns: int, namesake: bool) -> None:
        self.owner(by)
        if who == by:
            return
        if who not in self.roles:
            refuse("MEMBER_NOT_FOUND")
        if namesake:
            refuse("DATASET_EXISTS")
        if owns + 1 > 2:
            refuse("LIMIT_EXCEEDED")
        self.roles |= {by: "EDITOR", who: "OWNER"}
        self.changes += 1

    def invite(self, by: str, code: str, role: str, uses: int, hours: int) -> None:
        self.owner(by)
        if role == "OWNER":
            refuse("INVALID_INPUT")
        good = {c: kept for c, kept in self.codes.items() if self.good(c)}
        if len(good) >= 2:
            refuse("LIMIT_EXCEEDED")
        self.codes = {**good, code: [role, uses, self.hour + hours]}

    def revoke(self, by: str, code: str) -> None:
        self.owner(by)
        self.codes.pop(code, None)

    def good(self, code: str) -> bool:
        ends = self.codes[code][2]
        assert isinstance(ends, int)
        return ends > self.hour

    def accept(self, by: str, code: str) -> None:
        if code not in self.codes or by == OUTSIDER:
            refuse("INVITATION_NOT_FOUND")
        if by in self.roles:
            return
        role, uses, _ = self.codes[code]
        assert isinstance(role, str)
        assert isinstance(uses, int)
        if not uses or not self.good(code):
            refuse("INVITATION_NOT_FOUND")
        self.put(by, role)
        self.codes[code][1] = uses - 1


class SharingAgainstTable(RuleBasedStateMachine):
    """The state is what a store would keep: each decision is written to it, and nothing else is."""

    @initialize()
    def start(self) -> None:
        self.table = Table()
        self.state = SharingState(head=replace(head_of(), owner=INSIDERS[0]), members={}, invitations={})

    @property
    def now(self) -> datetime:
        return NOW + timedelta(hours=self.table.hour)

    # --- acts ---------------------------------------------------------------------------------------------------------

    @rule(by=identities, who=others, role=roles)
    def share(self, by: IdentityId, who: IdentityId, role: Role) -> None:
        self.act(by, Share(identity=who, role=role), lambda: self.table.share(by, who, role, must_be_member=False))

    @rule(by=identities, who=others, role=roles)
    def change_role(self, by: IdentityId, who: IdentityId, role: Role) -> None:
        self.act(by, ChangeRole(identity=who, role=role), lambda: self.table.share(by, who, role, must_be_member=True))

    @rule(by=identities, who=others)
    def remove(self, by: IdentityId, who: IdentityId) -> None:
        self.act(by, RemoveMember(identity=who), lambda: self.table.remove(by, who))

    @rule(by=identities)
    def leave(self, by: IdentityId) -> None:
        self.act(by, Leave(), lambda: self.table.leave(by))

    @rule(by=identities, who=others, owns=st.integers(0, 2), namesake=st.booleans())
    def transfer(self, by: IdentityId, who: IdentityId, owns: int, namesake: bool) -> None:
        self.state = replace(self.state, receiver_owns=owns, receiver_has_name=NAMESAKE if namesake else None)
        self.act(
            by,
            TransferOwnership(identity=who),
            lambda: self.table.transfer(by, who, owns=owns, namesake=namesake),
            may_be_over=owns >= 1 or namesake,
        )

    @rule(by=identities, code=codes, role=roles, uses=st.integers(1, 2), hours=st.integers(1, 3))
    def invite(self, by: IdentityId, code: str, role: Role, uses: int, hours: int) -> None:
        if code in self.table.codes:
            # Nobody gets the same code twice.
            return
        act = Invite(
            id=id_of(code),
            code_hash=code.encode(),
            role=role,
            uses=uses,
            expires_at=self.now + timedelta(hours=hours),
        )
        self.act(by, act, lambda: self.table.invite(by, code, role, uses, hours), may_be_over=True)

    @rule(by=identities, code=codes)
    def revoke(self, by: IdentityId, code: str) -> None:
        self.act(by, RevokeInvitation(id=id_of(code)), lambda: self.table.revoke(by, code))

    @rule(by=identities, code=codes)
    def accept(self, by: IdentityId, code: str) -> None:
        self.act(by, AcceptInvitation(code_hash=code.encode()), lambda: self.table.accept(by, code))

    @rule()
    def an_hour_goes_by(self) -> None:
        self.table.hour += 1

    # --- both sides ---------------------------------------------------------------------------------------------------

    def act(self, by: IdentityId, act: Act, in_table: object, *, may_be_over: bool = False) -> None:
        """Do it on both sides; what was done is then done again, and must change nothing."""
        assert callable(in_table)
        expected: str | None = None
        try:
            in_table()
        except Refused as refused:
            expected = str(refused)
        request = SharingRequest(
            viewer=Viewer(identity=by, device=None), ref=DatasetRef(id=DATASET), act=act, limits=LIMITS, now=self.now
        )
        assert self.decided(request) == expected, act
        if expected is not None or may_be_over:
            return
        before = self.state
        again = self.decided(request)
        # Who has left, or given it away, may not do it again; whatever it is told, nothing changes.
        assert again in (None, "DATASET_NOT_FOUND", "FORBIDDEN")
        assert self.state == before, act

    def decided(self, request: SharingRequest) -> str | None:
        try:
            decision = decide(request, self.state)
        except SynclineError as error:
            return error.code
        self.write(decision)
        return None

    def write(self, decision: SharingDecision) -> None:
        before = self.state
        assert before.head is not None
        members = {**before.members, **{member.identity: member for member in decision.put_members}}
        for identity in decision.dropped_members:
            del members[identity]
        invitations = {k: v for k, v in before.invitations.items() if k not in decision.dropped_invitations}
        if decision.put_invitation is not None:
            invitations[decision.put_invitation.id] = decision.put_invitation
        raised = decision.head.scope - before.head.scope
        assert raised == (1 if decision.affected else 0)
        self.state = replace(before, head=decision.head, members=members, invitations=invitations)

    # --- what is always so --------------------------------------------------------------------------------------------

    @invariant()
    def roles_are_as_the_table_has_them(self) -> None:
        found = self.state.head
        assert found is not None
        members = {identity: member.role.value for identity, member in self.state.members.items()}
        assert {**members, found.owner: "OWNER"} == self.table.roles
        assert found.scope == self.table.changes

    @invariant()
    def there_is_one_owner_who_is_no_member(self) -> None:
        assert self.state.head is not None
        assert self.state.head.owner not in self.state.members
        assert all(member.role is not Role.OWNER for member in self.state.members.values())
        assert all(identity == member.identity for identity, member in self.state.members.items())

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.state.members) + 1 <= LIMITS.members
        good = [each for each in self.state.invitations.values() if each.expires_at > self.now]
        assert len(good) <= LIMITS.invitations
        assert OUTSIDER not in self.state.members

    @invariant()
    def invitations_are_as_the_table_has_them(self) -> None:
        found = {each.code_hash.decode(): (each.role, each.uses_left) for each in self.state.invitations.values()}
        assert found == {code: (role, uses) for code, (role, uses, _) in self.table.codes.items()}


def id_of(code: str) -> InvitationId:
    return InvitationId(code.encode().hex().ljust(32, "0"))


TestSharingAgainstTable = SharingAgainstTable.TestCase
